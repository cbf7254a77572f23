/**
 * Brings everything that an instance holds to other instances while all of them serve. Can be stopped and begun again
 * at any time: what is left to do is always what the namespace says the instance holds.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { VirtualPath } from '../core/virtual-path.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';
import { type DrainTarget, DrainTargets } from './drain-targets.ts';
import { filesOf } from './files-of.ts';
import { type Amount, type FileMove, FileMover, type Mark, type MoveProgress } from './move-files.ts';

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
  readonly onProgress: (progress: MoveProgress) => void;
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
  const targets = new SurveyedTargets(context);
  const bucketId = (await store.findInstance(instanceId))?.bucketId;
  const countLeft = (): Promise<Amount> => countHeld(store, instanceId);
  const mover = new FileMover({
    ...request,
    files: () => filesOf(store, instanceId),
    countLeft,
    chooseTarget: ({ sizeBytes, backendType }) => targets.choose(sizeBytes, backendType === 's3' ? bucketId : ''),
    move: context.move,
    onTargetFailed: (targetId) => targets.suspend(targetId),
    patienceMs: PATIENCE_MS,
  });
  await targets.survey();
  if (!(await store.setDraining({ instanceId, draining: true })))
    throw new Error(`There is no instance ${instanceId}.`);
  await mover.moveAll(awaitMark(store, instanceId));
  const isEmpty = (await countLeft()).files === 0 && !signal.aborted;
  const directories = isEmpty ? await handOverDirectories(store, request, targets) : 0;
  const unsettled = isEmpty ? await awaitSettled(store, instanceId, signal) : 0;
  return {
    instanceId,
    moved: mover.moved,
    movedTo: mover.movedTo,
    directories,
    left: await countLeft(),
    directoriesLeft: await store.countDirectories(instanceId),
    unsettled,
    failures: mover.failures,
    stopped: signal.aborted,
  };
}

/** The targets of a drain, asked again now and then whether they answer and how much room they have. */
class SurveyedTargets {
  readonly #context: DrainContext;
  readonly #targets = new DrainTargets();
  #surveyedAtMs = Number.NEGATIVE_INFINITY;
  #surveyed: Promise<void> = Promise.resolve();

  constructor(context: DrainContext) {
    this.#context = context;
  }

  /** Looks for targets unless that was done just now. */
  survey(): Promise<void> {
    if (performance.now() - this.#surveyedAtMs > SURVEY_EVERY_MS) {
      this.#surveyedAtMs = performance.now();
      this.#surveyed = this.#context.findTargets().then((targets) => this.#targets.update(targets));
    }
    return this.#surveyed;
  }

  /** @returns undefined: none can take so many bytes now */
  async choose(sizeBytes: number, bucketId = ''): Promise<string | undefined> {
    await this.survey();
    return this.#targets.choose(sizeBytes, bucketId);
  }

  suspend(targetId: string): void {
    this.#targets.suspend(targetId, SUSPEND_MS);
  }
}

async function countHeld(store: MetadataStore, instanceId: string): Promise<Amount> {
  const own = (await store.countFiles()).find((count) => count.instanceId === instanceId);
  return { files: own?.files ?? 0, sizeBytes: own?.sizeBytes ?? 0 };
}

/** Directories have no bytes; who made them only matters to who asks for them to be made again. */
async function handOverDirectories(
  store: MetadataStore,
  { instanceId: from, signal }: DrainRequest,
  targets: SurveyedTargets,
): Promise<number> {
  let count = 0;
  while (!signal.aborted) {
    const to = await targets.choose(0);
    if (to === undefined) break;
    const moved = await store.handOverDirectories({ from, to, limit: DIRECTORIES_AT_ONCE });
    if (moved === 0) break;
    count += moved;
  }
  return count;
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
  let seen = await store.findInstance(instanceId);
  const start = performance.now();
  for (let seenAtMs = start; ; ) {
    const rows = await store.listOutbox(instanceId, OUTBOX_LOOK);
    const now = await store.findInstance(instanceId);
    if (now?.beat !== seen?.beat) [seen, seenAtMs] = [now, performance.now()];
    // What does not run follows nothing.
    const isDead = now === undefined || now.stopped || performance.now() - seenAtMs > DEAD_AFTER_MS;
    if (rows.length === 0 || signal.aborted || isDead || performance.now() - start > SETTLE_MS) return rows.length;
    await pause(LOOK_EVERY_MS);
  }
}
