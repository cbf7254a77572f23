/**
 * The part of the store in memory that tells instances what is left for them, that catalogs are kept by, and that brings
 * a lost namespace back from them.
 */

import { compareBytes } from '../../core/byte-order.ts';
import { type BackendType, type Entry, ROOT_ID } from '../../core/entry.ts';
import { metadataUnavailable } from '../../core/errors.ts';
import type { LocatedEntry } from '../../core/located-entry.ts';
import type { CatalogStore, HoldingsPage, Note } from '../catalog-store.ts';
import type { InstanceRecord } from '../instance-store.ts';
import type { OutboxItem } from '../metadata-store.ts';
import {
  type BeginRebuild,
  type EndRebuild,
  isPlaceholder,
  type Misplacement,
  PLACEHOLDER_MODE,
  type RebuildStore,
  type RebuiltInstance,
  type RestoreEntries,
  type RestoreOutcome,
  UNPLACED_ID,
} from '../rebuild-store.ts';
import { restoreEntries } from '../restore-entries.ts';
import { EntryTree } from './entry-tree.ts';
import { MemoryRestoreRows } from './memory-restore-rows.ts';

export class MemoryRebuildStore implements CatalogStore, RebuildStore {
  protected closed = false;
  protected readonly entries = new EntryTree();
  protected readonly outbox = new Map<number, OutboxItem>();
  protected readonly instances = new Map<string, InstanceRecord>();
  readonly #notes = new Map<number, Note>();
  readonly #rebuilds = new Map<string, boolean>();
  readonly #merged = new Map<string, string>();
  #lastSeq = 0;
  #storeId: string | undefined;

  async describeContents(contentIds: readonly string[]): Promise<readonly LocatedEntry[]> {
    const files = contentIds.map((contentId) => this.tree().findByContent(contentId));
    return files.filter((file) => file !== undefined).map((file) => this.#locate(file));
  }

  async describeEntries(entryIds: readonly string[]): Promise<readonly LocatedEntry[]> {
    const entries = entryIds.map((id) => this.tree().find(id));
    return entries.filter((entry) => entry !== undefined).map((entry) => this.#locate(entry));
  }

  async describeKeys(storageKeys: readonly string[]): Promise<readonly LocatedEntry[]> {
    const files = this.tree()
      .all()
      .filter((entry) => entry.type === 'file');
    const there = files.filter(({ storageKey }) => storageKey !== null && storageKeys.includes(storageKey));
    return Array.from(there, (file) => this.#locate(file));
  }

  async listHoldings(instanceId: string, after: string | undefined, limit: number): Promise<HoldingsPage> {
    const page = this.#pageOf(this.tree().all(), after, limit);
    const own = page.filter((entry) => entry.instanceId === instanceId).map((entry) => this.#locate(entry));
    return { entries: own, next: page.length < limit ? undefined : page.at(-1)?.id };
  }

  async listNotes(instanceId: string | undefined, limit: number): Promise<readonly Note[]> {
    this.assertOpen();
    const wanted = this.#notes.values().filter((note) => instanceId === undefined || note.instanceId === instanceId);
    return [...wanted.take(limit)];
  }

  async listOutbox(instanceId: string, limit: number, backendType?: BackendType): Promise<readonly OutboxItem[]> {
    this.assertOpen();
    const own = this.outbox
      .values()
      .filter((row) => row.instanceId === instanceId && (backendType ?? row.backendType) === row.backendType);
    return [...own.take(limit)];
  }

  async listWholeOutbox(after: number | undefined, limit: number): Promise<readonly OutboxItem[]> {
    this.assertOpen();
    const behind = this.outbox.values().filter(({ seq }) => after === undefined || seq > after);
    return [...behind.take(limit)];
  }

  async forgetOutbox(seqs: readonly number[]): Promise<void> {
    this.assertOpen();
    for (const seq of seqs) this.outbox.delete(seq);
  }

  /** Nobody else shares it. */
  async watchOutbox(_wake: () => void): Promise<AsyncDisposable> {
    return { async [Symbol.asyncDispose]() {} };
  }

  async forgetNotes(seqs: readonly number[]): Promise<void> {
    this.assertOpen();
    for (const seq of seqs) this.#notes.delete(seq);
  }

  async identify(candidate: string): Promise<string> {
    this.assertOpen();
    this.#storeId ??= candidate;
    return this.#storeId;
  }

  async beginRebuild({ instanceId, nowMs }: BeginRebuild): Promise<boolean> {
    const tree = this.tree();
    if (this.#rebuilds.size === 0) {
      if (tree.hasChildren(ROOT_ID)) return false;
      tree.put({ ...tree.root, version: 0, mode: PLACEHOLDER_MODE });
      this.#merged.set(ROOT_ID, ROOT_ID);
    }
    this.#rebuilds.set(instanceId, false);
    const nothing = { endpoint: '', publicUrl: '', bootId: '', beat: 0, version: '', process: '', bucketId: '' };
    if (!this.instances.has(instanceId)) {
      const state = { draining: false, lastSeenMs: nowMs, stopped: true };
      this.instances.set(instanceId, { id: instanceId, ...nothing, ...state });
    }
    return true;
  }

  restoreEntries({ entries }: RestoreEntries): Promise<readonly RestoreOutcome[]> {
    return restoreEntries(new MemoryRestoreRows(this.tree(), this.#merged), entries);
  }

  async moveToPlaces(files: readonly Misplacement[]): Promise<void> {
    this.assertOpen();
    for (const file of files) {
      const seq = this.nextSeq();
      this.outbox.set(seq, { kind: 'move', seq, ...file });
    }
  }

  async finishRebuild(instanceId: string): Promise<void> {
    this.assertOpen();
    this.#rebuilds.set(instanceId, true);
    this.#removeUnplacedIfEmpty();
  }

  #removeUnplacedIfEmpty(): void {
    const tree = this.tree();
    const unplaced = tree.find(UNPLACED_ID);
    if (unplaced && !tree.hasChildren(UNPLACED_ID)) tree.delete(unplaced);
  }

  async listRebuilds(): Promise<readonly RebuiltInstance[]> {
    this.assertOpen();
    const rebuilds = [...this.#rebuilds].sort(([left], [right]) => compareBytes(left, right));
    return rebuilds.map(([instanceId, finished]) => ({ instanceId, finished }));
  }

  async listPlaceholders(after: string | undefined, limit: number): Promise<readonly LocatedEntry[]> {
    const placeholders = this.#pageOf(this.#placeholders(), after, limit);
    return placeholders.map((entry) => this.#locate(entry));
  }

  #placeholders(): IteratorObject<Entry> {
    const all = this.tree().all();
    return all.filter(
      (entry) => isPlaceholder(entry) && this.#merged.get(entry.id) !== entry.id && entry.id !== UNPLACED_ID,
    );
  }

  async endRebuild({ instanceId, nowMs }: EndRebuild): Promise<number> {
    const tree = this.tree();
    for (const entry of tree.childrenOf(UNPLACED_ID)) {
      tree.move(entry, { ...entry, parentId: ROOT_ID, name: `recovered-${entry.name}` });
    }
    this.#removeUnplacedIfEmpty();
    const made = { instanceId, mtimeMs: nowMs, createdAtMs: nowMs };
    const ended = [...this.#placeholders()].map((entry) => ({ ...entry, ...made }));
    for (const { id } of ended) this.#merged.set(id, id);
    const root = tree.root.version === 0 ? [{ ...tree.root, ...made, version: 1 }] : [];
    for (const entry of [...ended, ...root]) {
      tree.put(entry);
      this.note(entry);
    }
    return ended.length + root.length;
  }

  /** @see ../sql/notes.ts */
  protected note({ instanceId, id }: Pick<Entry, 'instanceId' | 'id'>): void {
    const seq = this.nextSeq();
    if (instanceId !== '') this.#notes.set(seq, { seq, instanceId, entryId: id });
  }

  protected forgetNotesOf(instanceId: string): void {
    for (const note of this.#notes.values()) if (note.instanceId === instanceId) this.#notes.delete(note.seq);
  }

  protected nextSeq(): number {
    this.#lastSeq += 1;
    return this.#lastSeq;
  }

  protected assertOpen(): void {
    if (this.closed) throw metadataUnavailable(new Error('The store in memory is closed.'));
  }

  protected tree(): EntryTree {
    this.assertOpen();
    return this.entries;
  }

  #pageOf(entries: IteratorObject<Entry>, after: string | undefined, limit: number): Entry[] {
    const behind = entries.filter(({ id }) => after === undefined || compareBytes(id, after) > 0);
    return [...behind].sort((left, right) => compareBytes(left.id, right.id)).slice(0, limit);
  }

  #locate(entry: Entry): LocatedEntry {
    const tree = this.tree();
    const above = tree.above(entry).map(({ id, name, instanceId }) => ({ id, name, instanceId }));
    return { entry, path: tree.pathOf(entry), above };
  }
}
