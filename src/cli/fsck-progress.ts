/** A progress bar for whoever waits at a terminal; appears only when it takes long. */
import { SingleBar } from 'cli-progress';
import type { CheckContext } from '../engine/check-subject.ts';

const APPEARS_AFTER_MS = 1000;
/** A file is looked at twice: from the namespace, and from the disk. */
const LOOKS_PER_FILE = 2;

export class FsckProgress implements Disposable {
  readonly #context: Pick<CheckContext, 'store' | 'instanceId'>;
  readonly #timer: NodeJS.Timeout | undefined;
  #bar: SingleBar | undefined;
  #looks = 0;
  #ended = false;

  constructor(context: Pick<CheckContext, 'store' | 'instanceId'>) {
    this.#context = context;
    if (process.stderr.isTTY) this.#timer = setTimeout(() => void this.#appear().catch(() => {}), APPEARS_AFTER_MS);
  }

  advance(): void {
    this.#looks += 1;
    this.#bar?.update(this.#looks);
  }

  async #appear(): Promise<void> {
    const counts = await this.#context.store.countFiles();
    if (this.#ended) return;
    const files = counts.find(({ instanceId }) => instanceId === this.#context.instanceId)?.files ?? 0;
    this.#bar = new SingleBar({
      format: 'checking [{bar}] {percentage}% {eta_formatted} left',
      stream: process.stderr,
      clearOnComplete: true,
      hideCursor: true,
    });
    this.#bar.start(files * LOOKS_PER_FILE, this.#looks);
  }

  [Symbol.dispose](): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#bar?.stop();
  }
}
