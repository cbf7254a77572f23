/** A progress bar for whoever waits at a terminal for an adoption; appears only when it takes long. */
import type { Options, Params, SingleBar } from 'cli-progress';
import type { ImportSource } from '../backends/import-source.ts';

const APPEARS_AFTER_MS = 1000;

export class AdoptProgress implements Disposable {
  readonly #source: ImportSource;
  readonly #timer: NodeJS.Timeout | undefined;
  #bar: SingleBar | undefined;
  #done = 0;
  #isCounted = false;
  #ended = false;

  constructor(source: ImportSource) {
    this.#source = source;
    if (process.stderr.isTTY) this.#timer = setTimeout(() => void this.#appear().catch(() => {}), APPEARS_AFTER_MS);
  }

  /** So many files more are done with. */
  advance(files: number): void {
    this.#done += files;
    this.#bar?.update(this.#done);
  }

  async #appear(): Promise<void> {
    const { Format, SingleBar } = (await import('cli-progress')).default;
    if (this.#ended) return;
    const format = (options: Options, { value, total, progress, eta }: Params): string => {
      if (!this.#isCounted) return `adopting: ${value} files so far`;
      const left = Format.TimeFormat(eta, options, 1);
      return `adopting [${Format.BarFormat(progress, options)}] ${value} of ${total} files, ${left} left`;
    };
    const bar = new SingleBar({ format, stream: process.stderr, clearOnComplete: true, hideCursor: true });
    this.#bar = bar;
    bar.start(0, this.#done);
    await this.#count(bar);
  }

  /** Nobody knows how many files there are before they are counted, which runs beside the adoption. */
  async #count(bar: SingleBar): Promise<void> {
    let total = 0;
    for await (const { files } of this.#source.walk(() => undefined)) {
      if (this.#ended) return;
      total += files.length;
    }
    this.#isCounted = true;
    bar.setTotal(Math.max(total, this.#done));
  }

  [Symbol.dispose](): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#bar?.stop();
  }
}
