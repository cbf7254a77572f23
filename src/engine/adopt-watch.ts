/**
 * Adopts a source and goes on: what happens to its files outside CallFS is noticed and taken into the namespace. No
 * notice is trusted: what was touched is looked at once it is quiet, and the namespace tells whether CallFS itself did
 * it. So it runs beside the instance, and a look too many does no harm.
 */
import type { Holdings } from '../backends/backend.ts';
import type { SourceWatch, WatchableSource } from '../backends/watchable-source.ts';
import { backendUnavailable, CallFSError, systemErrorCode } from '../core/errors.ts';
import { forEachParallel } from '../core/for-each-parallel.ts';
import type { User } from '../core/permissions.ts';
import { isWithin, namesOf, type VirtualPath } from '../core/virtual-path.ts';
import { adoptTree, type ImportNames, problemOf } from './adopt-tree.ts';
import { type WatchEvent, WatchEvents, type WatchTotals } from './adopt-watch-events.ts';
import { MissingFiles } from './adopt-watch-missing.ts';
import { isQuiet, TouchedNames } from './adopt-watch-queue.ts';
import { RecentlyAdopted } from './adopt-watch-recent.ts';
import { TouchedFiles } from './adopt-watch-touched.ts';
import type { EngineContext } from './engine-context.ts';

export interface AdoptWatchRequest {
  /** Owns what is adopted, with its first group. */
  readonly owner: User;
  /** The directory of the namespace that the source's top becomes. */
  readonly into: VirtualPath;
  /** For how long a file must have been missing until its entry goes, too; undefined: entries stay. */
  readonly removeAfterMs: number | undefined;
  /** How often everything is looked at, for what was not noticed. */
  readonly rescanMs: number;
  readonly report: (event: WatchEvent) => void;
  /** Told how many files more the first pass is done with. */
  readonly onDone: (files: number) => void;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** How often everything is looked at when the system lets not everything be watched. */
const RESCAN_UNWATCHED_MS = 30_000;
/** Whether the source is there is asked so often. */
const PRESENCE_MS = 2000;
const RETRY_MS = 1000;
const RESCAN_SOON_MS = 2000;
/** So that what is missed again and again leaves time for other work. */
const MIN_RESCAN_GAP_MS = 10_000;
const MIN_PAUSE_MS = 50;
const AT_ONCE = 64;
const BATCHES_AT_ONCE = 6;
const MAX_BATCH = 256;
const MAX_DUE = 4096;
const PAGE_SIZE = 1000;

/** Runs until the signal; passing trouble is reported and waited for. */
export async function adoptAndWatch(
  context: EngineContext,
  source: WatchableSource,
  request: AdoptWatchRequest,
): Promise<WatchTotals> {
  await using holdings = await source.openHoldings();
  return await new AdoptWatch(context, source, holdings, request).run();
}

class AdoptWatch {
  readonly #context: EngineContext;
  readonly #source: WatchableSource;
  readonly #holdings: Holdings;
  readonly #request: AdoptWatchRequest;
  readonly #events: WatchEvents;
  readonly #queue = new TouchedNames();
  readonly #recent = new RecentlyAdopted();
  readonly #missing: MissingFiles;
  readonly #touched: TouchedFiles;
  readonly #into: readonly string[];
  #identity: string | undefined;
  #rescanAtMs = 0;
  #rescannedAtMs = Number.NEGATIVE_INFINITY;
  #rescanning: Promise<void> | undefined;
  #failure: unknown;
  #isFirst = true;
  readonly #firstPass = Promise.withResolvers<void>();
  #limited = false;
  #wake = (): void => {};

  constructor(context: EngineContext, source: WatchableSource, holdings: Holdings, request: AdoptWatchRequest) {
    const events = new WatchEvents(request.report);
    this.#context = {
      ...context,
      onAdopted: (path) => {
        events.forget(path);
        events.tell({ kind: 'updated', path });
      },
    };
    this.#source = source;
    this.#holdings = holdings;
    this.#request = request;
    this.#events = events;
    this.#into = namesOf(request.into);
    this.#missing = new MissingFiles({
      ...{ context, holdings, events },
      removeAfterMs: request.removeAfterMs,
      adoptedAt: (entry) => this.#recent.pathOf(entry),
      assertPresent: () => this.#assertRoot(),
    });
    this.#touched = new TouchedFiles({
      ...{ context: this.#context, source, holdings, request, events },
      queue: this.#queue,
      missing: this.#missing,
      recent: this.#recent,
    });
  }

  async run(): Promise<WatchTotals> {
    const { signal } = this.#request;
    signal.addEventListener('abort', () => this.#wake(), { once: true });
    using watch = this.#source.watch((names) => problemOf([...this.#into, ...names]), {
      touched: (names) => this.#onTouched(names),
      missed: () => this.#onMissed(),
      limited: (problem) => this.#onLimited(problem),
    });
    try {
      while (!signal.aborted) await this.#pause(await this.#turn(watch));
    } finally {
      await this.#rescanning;
    }
    return this.#events.totals(this.#missing.count);
  }

  /** @returns how long there is nothing to do */
  async #turn(watch: SourceWatch): Promise<number> {
    try {
      await this.#assertThere();
      await this.#rescanIfDue(watch);
      while (!this.#request.signal.aborted && (await this.#handleDue()));
      this.#throwFailure();
      if (this.#events.inTrouble) {
        await this.#context.store.resolve([]);
        this.#rescanAtMs = 0;
      }
      this.#events.wentWell();
      return Math.min(PRESENCE_MS, Math.max(MIN_PAUSE_MS, this.#queue.nextInMs()));
    } catch (error) {
      if (!isPassing(error)) throw error;
      this.#events.trouble(error.message);
      return RETRY_MS;
    }
  }

  /** The signal ends it early, and so does the first notice unless there is trouble. */
  #pause(ms: number): Promise<void> {
    if (this.#request.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        if (this.#events.inTrouble && !this.#request.signal.aborted) return;
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #onTouched(names: ImportNames): void {
    const wasEmpty = this.#queue.size === 0;
    if (names.length > 0) this.#queue.touch(names);
    if (wasEmpty) this.#wake();
  }

  #onMissed(): void {
    const soon = Math.max(performance.now() + RESCAN_SOON_MS, this.#rescannedAtMs + MIN_RESCAN_GAP_MS);
    this.#rescanAtMs = Math.min(this.#rescanAtMs, soon);
  }

  #onLimited(problem: string): void {
    const everyMs = Math.min(RESCAN_UNWATCHED_MS, this.#request.rescanMs);
    const remedy = `Until then everything is looked at every ${everyMs / 1000} s.`;
    if (!this.#limited) this.#events.tell({ kind: 'limited', problem: `${problem} ${remedy}` });
    this.#limited = true;
  }

  /** Another disk mounted in its place has nothing that was watched. */
  async #assertThere(): Promise<void> {
    await this.#assertRoot();
    const identity = await asPassing(this.#source.identify());
    if (identity !== this.#identity) this.#rescanAtMs = 0;
    this.#identity = identity;
  }

  #assertRoot(): Promise<void> {
    return asPassing(this.#holdings.assertPresent());
  }

  /** The first pass is waited for; later what is noticed meanwhile does not wait. */
  async #rescanIfDue(watch: SourceWatch): Promise<void> {
    if (this.#rescanning || performance.now() < this.#rescanAtMs) return;
    this.#rescanAtMs = Number.POSITIVE_INFINITY;
    this.#rescanning = this.#rescan(watch)
      .catch((error: unknown) => {
        this.#failure = error;
      })
      .finally(() => {
        this.#rescanning = undefined;
        this.#rescannedAtMs = performance.now();
        const { rescanMs } = this.#request;
        const nextMs = this.#limited ? Math.min(rescanMs, RESCAN_UNWATCHED_MS) : rescanMs;
        this.#rescanAtMs = Math.min(this.#rescanAtMs, performance.now() + (this.#failure ? RETRY_MS : nextMs));
      });
    if (this.#isFirst) await Promise.race([this.#firstPass.promise, this.#rescanning]);
    this.#throwFailure();
  }

  #throwFailure(): void {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure;
  }

  async #rescan(watch: SourceWatch): Promise<void> {
    const { owner, into, onDone, signal } = this.#request;
    const isFirst = this.#isFirst;
    await watch.refresh();
    const report = await adoptTree(this.#context, this.#source, {
      ...{ owner, into, dryRun: false },
      onDone: isFirst ? onDone : () => {},
      watcher: {
        signal,
        whole: (files) => this.#wholeOf(files),
        adopted: (path, content) => {
          this.#recent.add(path, content);
          if (!isFirst) this.#events.tell({ kind: 'adopted', path });
        },
        postponed: (names) => this.#onTouched(names),
      },
    });
    if (signal.aborted && !isFirst) return;
    if (isFirst) this.#events.first(report);
    else this.#events.leftAlone(report);
    this.#isFirst = false;
    this.#firstPass.resolve();
    await this.#lookAtEntries();
  }

  /** The others are looked at again when they have been left alone. */
  async #wholeOf(files: readonly ImportNames[]): Promise<readonly ImportNames[]> {
    const whole: ImportNames[] = [];
    await forEachParallel(files, AT_ONCE, async (names) => {
      const look = await this.#source.look(names);
      const isWhole = isQuiet(look, { seen: undefined }, this.#context.clock.now());
      if (isWhole && !this.#touched.isBeingWritten(names, look)) whole.push(names);
      else this.#onTouched(names);
    });
    return whole;
  }

  /** What was changed or taken away on disk without a notice. */
  async #lookAtEntries(): Promise<void> {
    const { signal, into } = this.#request;
    const { instanceId, store } = this.#context;
    for (let after: string | undefined; !signal.aborted; ) {
      const page = await store.listFiles(after, PAGE_SIZE);
      const own = page.filter(({ entry, path }) => {
        return entry.instanceId === instanceId && entry.backendType === this.#holdings.type && isWithin(path, into);
      });
      await forEachParallel(own, AT_ONCE, async ({ entry, path }) => {
        const { kind } = await this.#holdings.examine(entry, path, false);
        if (kind !== 'changed' && (kind !== 'missing' || !this.#source.inPlace)) return;
        this.#onTouched(namesOf(path).slice(this.#into.length));
      });
      after = page.at(-1)?.entry.id;
      if (page.length < PAGE_SIZE) return;
    }
  }

  /** False: nothing was due. */
  async #handleDue(): Promise<boolean> {
    const folders = this.#queue.takeDue(MAX_DUE);
    const batches = folders.flatMap((touched) => chunks(touched, MAX_BATCH));
    try {
      await forEachParallel(batches, BATCHES_AT_ONCE, (batch) => this.#touched.handle(batch));
    } catch (error) {
      for (const { names } of batches.flat()) this.#queue.touch(names);
      throw error;
    }
    return batches.length > 0;
  }
}

function chunks<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  );
}

/** The source or the store does not answer, but may in a while. */
function isPassing(error: unknown): error is Error {
  return (error instanceof CallFSError && error.status >= 500) || systemErrorCode(error) !== undefined;
}

/** What tells the operator that a disk is not there. */
async function asPassing<T>(look: Promise<T>): Promise<T> {
  try {
    return await look;
  } catch (error) {
    throw backendUnavailable(error instanceof Error ? error.message : String(error), error);
  }
}
