/**
 * Brings files to other instances while all of them serve, pass by pass over what is still to be moved, until nothing is
 * left. Keeps no state: what is left to do is always what the namespace says.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { FileEntry } from '../core/entry.ts';
import { forEachParallel } from '../core/for-each-parallel.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import type { LocatedFile } from '../metadata/metadata-store.ts';
import { RateLimit } from './rate-limit.ts';

/** What became of one file; the namespace alone knows when a move broke off. */
export type FileMove =
  | { readonly kind: 'moved' }
  /** Nothing is at the path any more, or something else. */
  | { readonly kind: 'gone' }
  /** @see FailedMove */
  | ({ readonly kind: 'failed' } & FailedMove);

export interface FailedMove {
  readonly reason: string;
  /** Whether other files may fare better with another target. */
  readonly isTargetsFault: boolean;
  /** What `reason` was made of, if that is known. */
  readonly error?: unknown;
}

export interface MoveFiles {
  /** What is to be moved as things are now. */
  readonly files: () => AsyncGenerator<LocatedFile, undefined>;
  readonly countLeft: () => Promise<Amount>;
  /** Who may take a file; undefined: nobody can now. */
  readonly chooseTarget: (entry: FileEntry) => Promise<string | undefined>;
  /** Lets a target take a file over, while it stays readable and writable. Rejects when going on makes no sense. */
  readonly move: (path: VirtualPath, targetId: string) => Promise<FileMove>;
  /** Told of a target that other files fare badly with, too. */
  readonly onTargetFailed: (targetId: string) => void;
  /** Files on their way at the same time. */
  readonly parallel: number;
  /** On average; undefined: as fast as it goes. */
  readonly bytesPerSecond: number | undefined;
  /** Without a file moved for so long it is given up. */
  readonly patienceMs: number;
  /** Aborted: nothing more begins; what is on its way is finished or broken off, as `move` decides. */
  readonly signal: AbortSignal;
  readonly onProgress: (progress: MoveProgress) => void;
}

export interface MoveProgress {
  readonly moved: Amount;
  /** What is moved and what was left when that was last counted. */
  readonly total: Amount;
}

export interface Amount {
  files: number;
  sizeBytes: number;
}

/** From when on no more files come that have to be moved, too. */
export interface Mark {
  readonly isKnown: boolean;
  readonly known: Promise<void>;
}

const LOOK_AGAIN_AFTER_MS = 500;

export class FileMover {
  readonly moved: Amount = { files: 0, sizeBytes: 0 };
  readonly movedTo = new Map<string, Amount>();
  /** Of files that are left, why the last attempt failed. */
  readonly failures = new Map<VirtualPath, string>();
  readonly #request: MoveFiles;
  readonly #rate: RateLimit;
  #progressAtMs = performance.now();
  #total: Amount = { files: 0, sizeBytes: 0 };
  /** Attempts that failed since the last that did not. */
  #failedInRow = 0;

  constructor(request: MoveFiles) {
    this.#request = request;
    this.#rate = new RateLimit(request.bytesPerSecond);
  }

  /** Until nothing is left, it is told to stop, or nothing moves any more. */
  async moveAll(mark: Mark): Promise<void> {
    const { signal, countLeft, patienceMs } = this.#request;
    while (!signal.aborted) {
      const mayTakeFiles = !mark.isKnown;
      const left = await countLeft();
      this.#total = { files: this.moved.files + left.files, sizeBytes: this.moved.sizeBytes + left.sizeBytes };
      this.#tellProgress();
      if (left.files === 0) {
        if (!mayTakeFiles) return;
        // Files may come until the instance knows that it takes none.
        await mark.known;
        continue;
      }
      const before = this.moved.files;
      this.failures.clear();
      await this.#movePass();
      if (this.moved.files > before) continue;
      if (performance.now() - this.#progressAtMs > patienceMs) return;
      await pause(LOOK_AGAIN_AFTER_MS, undefined, { signal }).catch(() => {});
    }
  }

  /** Every file once, or until attempts fail in a row. */
  async #movePass(): Promise<void> {
    const { parallel } = this.#request;
    const files = this.#request.files();
    this.#failedInRow = 0;
    const rest = { [Symbol.asyncIterator]: () => ({ next: () => this.#next(files) }) };
    try {
      await forEachParallel(rest, parallel, ({ entry, path }) => this.#moveFile(entry, path));
    } finally {
      await files.return(undefined);
    }
  }

  async #next(files: AsyncGenerator<LocatedFile, undefined>): Promise<IteratorResult<LocatedFile, undefined>> {
    const { parallel, signal } = this.#request;
    if (signal.aborted || this.#failedInRow >= 2 * parallel) return { done: true, value: undefined };
    return files.next();
  }

  async #moveFile(entry: FileEntry, path: VirtualPath): Promise<void> {
    const { signal, chooseTarget, move, onTargetFailed } = this.#request;
    const { sizeBytes } = entry;
    try {
      await this.#rate.take(sizeBytes, signal);
    } catch {
      return;
    }
    const targetId = await chooseTarget(entry);
    if (targetId === undefined) {
      this.#fail(path, 'no other instance can take it now');
      return;
    }
    const outcome = await move(path, targetId);
    if (outcome.kind === 'failed') {
      this.#fail(path, `${targetId}: ${outcome.reason}`);
      if (outcome.isTargetsFault) onTargetFailed(targetId);
      return;
    }
    this.#failedInRow = 0;
    if (outcome.kind === 'moved') this.#count(targetId, sizeBytes);
  }

  #fail(path: VirtualPath, reason: string): void {
    this.#failedInRow += 1;
    this.failures.set(path, reason);
  }

  #count(targetId: string, sizeBytes: number): void {
    const given = this.movedTo.get(targetId) ?? { files: 0, sizeBytes: 0 };
    this.movedTo.set(targetId, given);
    for (const amount of [this.moved, given]) {
      amount.files += 1;
      amount.sizeBytes += sizeBytes;
    }
    this.#progressAtMs = performance.now();
    this.#tellProgress();
  }

  #tellProgress(): void {
    this.#request.onProgress({ moved: this.moved, total: this.#total });
  }
}
