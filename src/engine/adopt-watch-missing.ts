/**
 * Entries whose files are gone from the disk. That a file is missing says nothing about what the user wants, so the
 * entry stays, unless it was asked for that it goes, too; and the bytes of a file that comes back are never removed.
 */
import type { Holdings } from '../backends/backend.ts';
import type { FileEntry } from '../core/entry.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import { readPendingRemovals } from './adopt-tree-removals.ts';
import type { WatchEvents } from './adopt-watch-events.ts';
import type { EngineContext } from './engine-context.ts';

export interface MissingFilesOptions {
  readonly context: EngineContext;
  readonly holdings: Holdings;
  readonly events: WatchEvents;
  /** Undefined: entries stay for good. */
  readonly removeAfterMs: number | undefined;
  /** Where a file with this stamp and size was adopted of late. */
  readonly adoptedAt: (entry: FileEntry) => VirtualPath | undefined;
  /** Rejects when the data root is not there: nothing may be concluded then. */
  readonly assertPresent: () => Promise<void>;
}

interface Missing {
  readonly contentId: string;
  /** By a clock that only goes forward. */
  readonly sinceMs: number;
  told: boolean;
}

/** What CallFS itself is about to put there or take away is there or gone long before. */
const CONFIRM_MS = 1000;
const SETTLING_MS = 500;
/** A row behind so many others is left to the instance. */
const OUTBOX_LIMIT = 10_000;
/** The stamp of no file. */
const NO_STAMP = 'missing';

export class MissingFiles {
  readonly #options: MissingFilesOptions;
  readonly #missing = new Map<VirtualPath, Missing>();

  constructor(options: MissingFilesOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#missing.values().reduce((count, { told }) => count + Number(told), 0);
  }

  /** The entry's file is there, or the entry is not. */
  forget(path: VirtualPath, entry: FileEntry | undefined): void {
    const known = this.#missing.get(path);
    if (!known) return;
    this.#missing.delete(path);
    if (known.told && entry) this.#options.events.tell({ kind: 'returned', path });
  }

  /**
   * The entry's file was just found missing.
   * @returns after how many milliseconds to look again; undefined: there is nothing more to do
   */
  async found(entry: FileEntry, path: VirtualPath): Promise<number | undefined> {
    const { context, assertPresent, events, removeAfterMs } = this.#options;
    if ((await readPendingRemovals(context)).concerns(path)) return SETTLING_MS;
    await assertPresent();
    let known = this.#missing.get(path);
    if (known?.contentId !== entry.contentId) {
      known = { contentId: entry.contentId, sinceMs: performance.now(), told: false };
      this.#missing.set(path, known);
    }
    const forMs = performance.now() - known.sinceMs;
    if (forMs < CONFIRM_MS) return CONFIRM_MS - forMs;
    if (!known.told) events.tell({ kind: 'missing', path, movedTo: await this.#movedTo(entry, path) });
    known.told = true;
    if (removeAfterMs === undefined) return undefined;
    if (forMs < removeAfterMs) return removeAfterMs - forMs;
    return this.#remove(entry, path);
  }

  /** Where the file lies now; what was adopted at some path may have gone from there since, as from the entry's own. */
  async #movedTo(entry: FileEntry, path: VirtualPath): Promise<VirtualPath | undefined> {
    const { adoptedAt, holdings } = this.#options;
    const to = adoptedAt(entry);
    if (to === undefined || to === path) return undefined;
    return (await holdings.examine(entry, to, false)).kind === 'intact' ? to : undefined;
  }

  /** The removal gets a stamp that fits no file: it cannot take one that is put back at this moment. */
  async #remove(entry: FileEntry, path: VirtualPath): Promise<number | undefined> {
    const { context, holdings, events, assertPresent } = this.#options;
    await context.store.restampContent(entry.contentId, NO_STAMP);
    const stamped = { ...entry, storageStamp: NO_STAMP };
    await assertPresent();
    // A file that came back is recognised by its checksum, as after a restore.
    if ((await holdings.examine(stamped, path, false)).kind !== 'missing') return SETTLING_MS;
    const outcome = await context.store.removeEntry({ entryId: entry.id, expectContentId: entry.contentId });
    if (outcome.kind !== 'removed') return SETTLING_MS;
    await this.#forgetRemoval(entry);
    this.#missing.delete(path);
    events.tell({ kind: 'removed', path });
    return undefined;
  }

  /** There is nothing to remove from the disk; what appears at the path from now on is somebody's new file. */
  async #forgetRemoval({ contentId, backendType }: FileEntry): Promise<void> {
    const { store, instanceId } = this.#options.context;
    const rows = await store.listOutbox(instanceId, OUTBOX_LIMIT, backendType);
    const own = rows.filter((row) => row.kind === 'discard' && row.contentId === contentId);
    await store.forgetOutbox(own.map(({ seq }) => seq));
  }
}
