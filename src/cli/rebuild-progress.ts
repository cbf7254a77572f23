/** A progress bar for whoever waits at a terminal for a rebuild; appears only when it takes long. */
import { SingleBar } from 'cli-progress';

const APPEARS_AFTER_MS = 1000;

export class RebuildProgress implements Disposable {
  readonly #startedAt = performance.now();
  #bar: SingleBar | undefined;
  #instanceId: string | undefined;
  #done = 0;

  advance(instanceId: string, done: number, total: number): void {
    this.#done = instanceId === this.#instanceId ? this.#done + done : done;
    this.#instanceId = instanceId;
    if (!process.stderr.isTTY || performance.now() - this.#startedAt < APPEARS_AFTER_MS) return;
    this.#bar ??= newBar(total);
    this.#bar.setTotal(total);
    this.#bar.update(this.#done, { instanceId });
  }

  [Symbol.dispose](): void {
    this.#bar?.stop();
  }
}

function newBar(total: number): SingleBar {
  const bar = new SingleBar({
    format: '{instanceId} [{bar}] {value} of {total} entries',
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: true,
  });
  bar.start(total, 0, { instanceId: '' });
  return bar;
}
