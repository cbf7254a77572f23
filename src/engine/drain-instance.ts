/**
 * Brings everything that an instance holds to other instances while all of them serve. Can be stopped and begun again
 * at any time: what is left to do is always what the namespace says the instance holds.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { FileEntry } from '../core/entry.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';
import { type DrainTarget, DrainTargets } from './drain-targets.ts';
import { filesOf } from './files-of.ts';
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
  /** Whether other files may fare better with this target. */
  readonly isTargetsFault: boolean;
}

export interface DrainContext {
  readonly store: MetadataStore;
  /** Those that answer now, and are not drained themselves. Rejects when going on makes no sense. */
  readonly findTargets: () => Promise<readonly DrainTarget[]>;
  /** Lets a target take a file over, while it stays readable and writable. Rejects when going on makes no sense. */
  readonly move: (path: VirtualPath, targetId: string) => Promise<FileMove>;
}

export interface DrainRequest {
  readonly instanceId: string;
  /** Files on their way at the same time. */
  readonly parallel: number;
  /** On average; undefined: as fast as it goes. */
  readonly bytesPerSecond: number | undefined;
  /** Aborted: nothing more begins; what is on its way is finished or broken off, as `move` decides. */
  readonly signal: AbortSignal;
  readonly onProgress: (progress: DrainProgress) => void;
}

export interface DrainProgress {
  readonly moved: Amount;
  /** What is moved and what was left when that was last counted. */
  readonly total: Amount;
}

export interface Amount {
  files: number;
  sizeBytes: number;
}

export interface DrainReport {
  readonly instanceId: string;
  readonly moved: Amount;
  readonly movedTo: ReadonlyMap<string, Amount>;
  readonly directories: number;
  readonly left: Amount;
  readonly directoriesLeft: number;
  /** Removals that the instance's disk has yet to follow. */
  readonly unsettled: number;
  /** Of files that are left, why the last attempt failed. */
  readonly failures: ReadonlyMap<VirtualPath, string>;
  readonly stopped: boolean;
}

const DIRECTORIES_AT_ONCE = 500;
/** Without a file moved for so long it is given up. */
const PATIENCE_MS = 20_000;
const LOOK_AGAIN_AFTER_MS = 500;
/** How often targets are asked again whether they answer and how much room they have. */
const SURVEY_EVERY_MS = 10_000;
const SUSPEND_MS = 2000;
/** How long the instance's disk gets to follow in the end. */
const SETTLE_MS = 10_000;
const OUTBOX_LOOK = 1000;

/** @throws Error with one line for the operator when nothing can be moved at all */
export async function drainInstance(context: DrainContext, request: DrainRequest): Promise<DrainReport> {
  const { store } = context;
  const { instanceId, signal } = request;
  const drain = new Drain(context, request);
  await drain.survey();
  if (!(await store.setDraining({ instanceId, draining: true })))
    throw new Error(`There is no instance ${instanceId}.`);
  await drain.moveFiles(awaitMark(store, instanceId));
  const isEmpty = (await drain.countLeft()).files === 0 && !signal.aborted;
  const directories = isEmpty ? await drain.handOverDirectories() : 0;
  const unsettled = isEmpty ? await awaitSettled(store, instanceId, signal) : 0;
  return {
    instanceId,
    moved: drain.moved,
    movedTo: drain.movedTo,
    directories,
    left: await drain.countLeft(),
    directoriesLeft: await store.countDirectories(instanceId),
    unsettled,
    failures: drain.failures,
    stopped: signal.aborted,
  };
}

class Drain {
  readonly moved: Amount = { files: 0, sizeBytes: 0 };
  readonly movedTo = new Map<string, Amount>();
  readonly failures = new Map<VirtualPath, string>();
  readonly #context: DrainContext;
  readonly #request: DrainRequest;
  readonly #rate: RateLimit;
  readonly #targets = new DrainTargets();
  #surveyedAtMs = Number.NEGATIVE_INFINITY;
  #surveyed: Promise<void> = Promise.resolve();
  #progressAtMs = performance.now();
  #total: Amount = { files: 0, sizeBytes: 0 };
  /** Attempts that failed since the last that did not. */
  #failedInRow = 0;

  constructor(context: DrainContext, request: DrainRequest) {
    this.#context = context;
    this.#request = request;
    this.#rate = new RateLimit(request.bytesPerSecond);
  }

  async countLeft(): Promise<Amount> {
    const counts = await this.#context.store.countFiles();
    const own = counts.find(({ instanceId }) => instanceId === this.#request.instanceId);
    return { files: own?.files ?? 0, sizeBytes: own?.sizeBytes ?? 0 };
  }

  /** Until the instance holds no file, it is told to stop, or nothing moves any more. */
  async moveFiles(mark: Mark): Promise<void> {
    const { signal } = this.#request;
    while (!signal.aborted) {
      const mayTakeFiles = !mark.isKnown;
      const left = await this.countLeft();
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
      if (performance.now() - this.#progressAtMs > PATIENCE_MS) return;
      await pause(LOOK_AGAIN_AFTER_MS, undefined, { signal }).catch(() => {});
    }
  }

  /** Every file of the instance once, or until attempts fail in a row. */
  async #movePass(): Promise<void> {
    const { instanceId, parallel, signal } = this.#request;
    const files = filesOf(this.#context.store, instanceId);
    this.#failedInRow = 0;
    const lane = async (): Promise<void> => {
      while (!signal.aborted && this.#failedInRow < 2 * parallel) {
        const next = await files.next();
        if (next.done) return;
        await this.#moveFile(next.value.entry, next.value.path);
      }
    };
    try {
      await Promise.all(Array.from({ length: parallel }, lane));
    } finally {
      await files.return(undefined);
    }
  }

  async #moveFile({ sizeBytes }: FileEntry, path: VirtualPath): Promise<void> {
    const { signal } = this.#request;
    try {
      await this.#rate.take(sizeBytes, signal);
    } catch {
      return;
    }
    await this.survey();
    const targetId = this.#targets.choose(sizeBytes);
    if (targetId === undefined) {
      this.#fail(path, 'no other instance can take it now');
      return;
    }
    const outcome = await this.#context.move(path, targetId);
    if (outcome.kind === 'failed') {
      this.#fail(path, `${targetId}: ${outcome.reason}`);
      if (outcome.isTargetsFault) this.#targets.suspend(targetId, SUSPEND_MS);
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

  /** Looks for targets unless that was done just now. */
  survey(): Promise<void> {
    if (performance.now() - this.#surveyedAtMs > SURVEY_EVERY_MS) {
      this.#surveyedAtMs = performance.now();
      this.#surveyed = this.#context.findTargets().then((targets) => this.#targets.update(targets));
    }
    return this.#surveyed;
  }

  /** Directories have no bytes; who made them only matters to who asks for them to be made again. */
  async handOverDirectories(): Promise<number> {
    const { store } = this.#context;
    const { instanceId: from, signal } = this.#request;
    let count = 0;
    while (!signal.aborted) {
      await this.survey();
      const to = this.#targets.choose(0);
      if (to === undefined) break;
      const moved = await store.handOverDirectories({ from, to, limit: DIRECTORIES_AT_ONCE });
      if (moved === 0) break;
      count += moved;
    }
    return count;
  }
}

interface Mark {
  readonly isKnown: boolean;
  readonly known: Promise<void>;
}

/** A heartbeat tells it; the second one proves that the first was heard. */
const BEATS_TO_KNOW = 2;
/** An instance that does not beat for so long does not run. */
const DEAD_AFTER_MS = 3000;
const LOOK_EVERY_MS = 100;

/** Whether the instance, if it runs, knows that it takes no new files. */
function awaitMark(store: MetadataStore, instanceId: string): Mark {
  const mark = { isKnown: false };
  const wait = async (): Promise<void> => {
    const first = await store.findInstance(instanceId);
    for (let last = first, lastAtMs = performance.now(); performance.now() - lastAtMs < DEAD_AFTER_MS; ) {
      const now = await store.findInstance(instanceId);
      if (!now || now.stopped || now.bootId !== first?.bootId || now.beat >= first.beat + BEATS_TO_KNOW) break;
      if (now.beat !== last?.beat) [last, lastAtMs] = [now, performance.now()];
      await pause(LOOK_EVERY_MS);
    }
    mark.isKnown = true;
  };
  const known = wait();
  known.catch(() => {});
  return {
    known,
    get isKnown() {
      return mark.isKnown;
    },
  };
}

/** @returns removals that are still left after a while */
async function awaitSettled(store: MetadataStore, instanceId: string, signal: AbortSignal): Promise<number> {
  for (const start = performance.now(); ; ) {
    const rows = await store.listOutbox(instanceId, OUTBOX_LOOK);
    if (rows.length === 0 || signal.aborted || performance.now() - start > SETTLE_MS) return rows.length;
    await pause(LOOK_EVERY_MS);
  }
}
