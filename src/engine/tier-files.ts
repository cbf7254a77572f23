/**
 * Moves files of an instance to the backends where its rules say that they belong, one round over all of them, while they
 * stay readable and writable. Keeps no state: what is left to do is always what the namespace says.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { BackendType } from '../core/entry.ts';
import { forEachParallel } from '../core/for-each-parallel.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import type { LocatedFile } from '../metadata/metadata-store.ts';
import { filesOf } from './files-of.ts';
import type { Amount, FileMove } from './move-files.ts';
import type { PlanContext } from './plan-tiering.ts';
import { RateLimit } from './rate-limit.ts';
import { judgeFile, type TierRule } from './tier-rules.ts';

export interface TierContext extends PlanContext {
  /** Moves a file unless it has changed. Rejects when going on makes no sense. */
  readonly move: (file: LocatedFile, to: BackendType) => Promise<FileMove>;
  /** Why nothing can or shall be moved now; undefined: nothing is in the way. Asked before a round and when moves fail. */
  readonly findObstacle: () => Promise<string | undefined>;
}

export interface TierRequest {
  readonly rules: readonly TierRule[];
  /** Files on their way at the same time. */
  readonly parallel: number;
  /** On average; undefined: as fast as it goes. */
  readonly bytesPerSecond: number | undefined;
  /** Aborted: nothing more begins; what is on its way is finished or broken off, as `move` decides. */
  readonly signal: AbortSignal;
  readonly onMoved: (file: LocatedFile, to: BackendType) => void;
}

export interface TierReport {
  readonly moved: Amount;
  /** They changed, were moved or removed meanwhile. */
  readonly left: number;
  readonly failed: number;
  /** Why, for some of them. */
  readonly failures: ReadonlyMap<VirtualPath, string>;
  /** Why it ended early; undefined: it went over all files, or was told to stop. */
  readonly obstacle: string | undefined;
}

const MAX_FAILURES_TOLD = 20;
/** So many failures in a row, for each file at the same time, make it look for an obstacle and slow down. */
const FAILURES_IN_ROW = 2;
const SLOWEST_MS = 10_000;

export async function tierFiles(context: TierContext, request: TierRequest): Promise<TierReport> {
  const obstacle = await context.findObstacle();
  const round = new TierRound(context, request, obstacle);
  if (obstacle === undefined) await round.run();
  return round;
}

class TierRound implements TierReport {
  readonly moved: Amount = { files: 0, sizeBytes: 0 };
  left = 0;
  failed = 0;
  readonly failures = new Map<VirtualPath, string>();
  obstacle: string | undefined;
  readonly #context: TierContext;
  readonly #request: TierRequest;
  readonly #rate: RateLimit;
  /** Since the last file that did not fail. */
  #failedInRow = 0;

  constructor(context: TierContext, request: TierRequest, obstacle: string | undefined) {
    this.#context = context;
    this.#request = request;
    this.#rate = new RateLimit(request.bytesPerSecond);
    this.obstacle = obstacle;
  }

  async run(): Promise<void> {
    const { store, instanceId } = this.#context;
    const files = filesOf(store, instanceId);
    const due = this.#dueFiles(files);
    try {
      await forEachParallel(due, this.#request.parallel, ({ file, to }) => this.#moveFile(file, to));
    } finally {
      await due.return(undefined);
    }
  }

  get #isOver(): boolean {
    return this.#request.signal.aborted || this.obstacle !== undefined;
  }

  async *#dueFiles(files: AsyncGenerator<LocatedFile, undefined>) {
    for await (const file of files) {
      if (this.#isOver) return;
      const judged = judgeFile(this.#request.rules, file, this.#context.clock.now());
      if (judged?.state === 'due') yield { file, to: judged.rule.to };
    }
  }

  async #moveFile(file: LocatedFile, to: BackendType): Promise<void> {
    const { signal, onMoved } = this.#request;
    await this.#rate.take(file.entry.sizeBytes, signal).catch(() => {});
    if (this.#isOver) return;
    const outcome = await this.#context.move(file, to);
    if (outcome.kind === 'failed') {
      if (!signal.aborted) await this.#fail(file.path, outcome.reason);
      return;
    }
    this.#failedInRow = 0;
    if (outcome.kind === 'gone') {
      this.left += 1;
      return;
    }
    this.moved.files += 1;
    this.moved.sizeBytes += file.entry.sizeBytes;
    onMoved(file, to);
  }

  /** One bad file holds up no other, but what takes none at all is not asked for ever again and again. */
  async #fail(path: VirtualPath, reason: string): Promise<void> {
    const { parallel, signal } = this.#request;
    this.failed += 1;
    if (this.failures.size < MAX_FAILURES_TOLD) this.failures.set(path, reason);
    this.#failedInRow += 1;
    const excess = this.#failedInRow - FAILURES_IN_ROW * parallel;
    if (excess < 0) return;
    this.obstacle ??= await this.#context.findObstacle();
    if (this.#isOver) return;
    await pause(Math.min(SLOWEST_MS, 10 * 2 ** excess), undefined, { signal }).catch(() => {});
  }
}
