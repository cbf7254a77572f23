/** A progress bar for whoever waits at a terminal while files are moved. */
import type { Options, Params, SingleBar } from 'cli-progress';
import type { MoveProgress } from '../engine/move-files.ts';
import { bytesText } from './bytes-text.ts';

export class MoveProgressBar implements Disposable {
  readonly #bar: SingleBar | undefined;
  #progress: MoveProgress | undefined;

  private constructor(bar: SingleBar | undefined) {
    this.#bar = bar;
  }

  /** @param what is done, e.g. `draining callfs-3` */
  static async open(what: string): Promise<MoveProgressBar> {
    if (!process.stderr.isTTY) return new MoveProgressBar(undefined);
    const { Format, SingleBar } = (await import('cli-progress')).default;
    const format = (options: Options, { progress, eta }: Params): string => {
      const { moved, total } = shown.#progress ?? NOTHING;
      const files = `${moved.files} of ${total.files} files`;
      const bytes = `${bytesText(moved.sizeBytes)} of ${bytesText(total.sizeBytes)}`;
      const left = Format.TimeFormat(eta, options, 1);
      return `${what} [${Format.BarFormat(progress, options)}] ${files}, ${bytes}, ${left} left`;
    };
    const bar = new SingleBar({ format, stream: process.stderr, clearOnComplete: true, hideCursor: true });
    const shown = new MoveProgressBar(bar);
    bar.start(0, 0);
    return shown;
  }

  show(progress: MoveProgress): void {
    this.#progress = progress;
    const { moved, total } = progress;
    this.#bar?.setTotal(costOf(total));
    this.#bar?.update(costOf(moved));
  }

  [Symbol.dispose](): void {
    this.#bar?.stop();
  }
}

const NOTHING: MoveProgress = { moved: { files: 0, sizeBytes: 0 }, total: { files: 0, sizeBytes: 0 } };

/** Small files take as long as so many bytes. */
const BYTES_PER_FILE = 64 * 1024;

function costOf({ files, sizeBytes }: MoveProgress['moved']): number {
  return sizeBytes + files * BYTES_PER_FILE;
}
