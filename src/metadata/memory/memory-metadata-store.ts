/**
 * The namespace in the memory of one process, for tests and simulated clusters. A mutation is atomic
 * because it runs without awaiting; nothing outlives the object.
 */
import { type Content, type Entry, type FileEntry, ROOT_ID } from '../../core/entry.ts';
import { metadataUnavailable } from '../../core/errors.ts';
import { EXECUTE, maySeverChild, permits, READ, type User, WRITE } from '../../core/permissions.ts';
import type {
  CreateEntry,
  CreateOutcome,
  DiscardedContent,
  Heartbeat,
  InstanceFiles,
  InstanceRecord,
  LocatedContent,
  LocatedFile,
  MetadataStore,
  NewEntry,
  RegisterInstance,
  RemoveEntry,
  RemoveOutcome,
  RemoveTreeOutcome,
  ReplaceContent,
  ReplaceOutcome,
} from '../metadata-store.ts';
import { compareBytes } from './byte-order.ts';
import { EntryTree } from './entry-tree.ts';

export class MemoryMetadataStore implements MetadataStore {
  #closed = false;
  readonly #entries = new EntryTree();
  readonly #discarded = new Map<number, DiscardedContent>();
  readonly #instances = new Map<string, InstanceRecord>();
  #lastSeq = 0;

  async resolve(names: readonly string[]): Promise<readonly Entry[]> {
    const tree = this.#tree();
    const found: Entry[] = [tree.root];
    let parentId = tree.root.id;
    for (const name of names) {
      const entry = tree.findChild(parentId, name);
      if (!entry) break;
      found.push(entry);
      parentId = entry.id;
    }
    return found;
  }

  async createEntry({ parentId, missingParents, entry }: CreateEntry): Promise<CreateOutcome> {
    const tree = this.#tree();
    const [outermost = entry] = missingParents;
    const winner = tree.findChild(parentId, outermost.name);
    if (winner && outermost === entry) return { kind: 'exists', entry: winner };
    if (winner || !tree.isDirectory(parentId)) return { kind: 'changed' };
    if ([...missingParents, entry].some((candidate) => this.#isKnown(candidate))) return { kind: 'changed' };

    let nearestId = parentId;
    for (const directory of missingParents) {
      tree.put({ ...directory, parentId: nearestId, version: 1 });
      nearestId = directory.id;
    }
    const created: Entry = { ...entry, parentId: nearestId, version: 1 };
    tree.put(created);
    return { kind: 'created', entry: created };
  }

  /** Whether its id or its content's is taken, which would make two entries one. */
  #isKnown(entry: NewEntry): boolean {
    const tree = this.#tree();
    if (tree.find(entry.id)) return true;
    return entry.type === 'file' && tree.findByContent(entry.contentId) !== undefined;
  }

  async replaceContent(request: ReplaceContent): Promise<ReplaceOutcome> {
    const { entryId, expectContentId, instanceId, content, contentType, mtimeMs, discardPrevious } = request;
    const tree = this.#tree();
    const previous = tree.findFile(entryId);
    if (previous?.instanceId !== instanceId) return { kind: 'changed' };
    if (expectContentId !== undefined && previous.contentId !== expectContentId) return { kind: 'changed' };
    const holder = tree.findByContent(content.contentId);
    if (holder && holder.id !== entryId) throw new Error(`The content ${content.contentId} belongs to another file.`);
    if (discardPrevious) this.#discard(previous);
    const entry: FileEntry = {
      ...previous,
      ...content,
      contentType: contentType === undefined ? previous.contentType : contentType,
      mtimeMs,
      version: previous.version + 1,
    };
    tree.put(entry);
    return { kind: 'replaced', entry };
  }

  async restampContent(contentId: string, storageStamp: string): Promise<void> {
    const tree = this.#tree();
    const file = tree.findByContent(contentId);
    if (file) tree.put({ ...file, storageStamp });
  }

  async removeEntry({ entryId, expectContentId }: RemoveEntry): Promise<RemoveOutcome> {
    const tree = this.#tree();
    const entry = tree.find(entryId);
    if (!entry) return { kind: 'changed' };
    if (expectContentId !== undefined && (entry.type !== 'file' || entry.contentId !== expectContentId)) {
      return { kind: 'changed' };
    }
    if (entryId === ROOT_ID || tree.hasChildren(entryId)) return { kind: 'not-empty' };
    if (entry.type === 'file') this.#discard(entry);
    tree.delete(entry);
    return { kind: 'removed' };
  }

  async removeTree(directoryId: string, user: User): Promise<RemoveTreeOutcome> {
    const tree = this.#tree();
    const top = tree.find(directoryId);
    if (!top || directoryId === ROOT_ID) return { kind: 'changed' };
    const subtree = tree.subtreeOf(top);
    for (const entry of subtree.slice(1)) {
      const parent = tree.find(entry.parentId);
      if (parent && !(permits(user, parent, READ | WRITE | EXECUTE) && maySeverChild(user, parent, entry))) {
        return { kind: 'denied', path: tree.pathOf(parent) };
      }
    }
    // A path is found by way of the parents, so it has to be taken before the first of them goes.
    for (const entry of subtree) if (entry.type === 'file') this.#discard(entry);
    for (const entry of subtree) tree.delete(entry);
    return { kind: 'removed', count: subtree.length };
  }

  async listChildren(directoryId: string, after: string | undefined, limit: number): Promise<readonly Entry[]> {
    return this.#tree().childrenOf(directoryId, after).slice(0, limit);
  }

  async listFiles(after: string | undefined, limit: number): Promise<readonly LocatedFile[]> {
    const tree = this.#tree();
    const behind = tree.files().filter(({ id }) => after === undefined || compareBytes(id, after) > 0);
    const page = [...behind].sort((left, right) => compareBytes(left.id, right.id)).slice(0, limit);
    return page.map((entry) => ({ entry, path: tree.pathOf(entry) }));
  }

  async locateContents(contentIds: readonly string[]): Promise<readonly LocatedContent[]> {
    const tree = this.#tree();
    const files = contentIds.map((contentId) => tree.findByContent(contentId)).filter((file) => file !== undefined);
    return files.map((file) => ({ contentId: file.contentId, path: tree.pathOf(file) }));
  }

  async listDiscarded(instanceId: string, limit: number): Promise<readonly DiscardedContent[]> {
    this.#assertOpen();
    const own = this.#discarded.values().filter((row) => row.instanceId === instanceId);
    return [...own.take(limit)];
  }

  async listAllDiscarded(after: number | undefined, limit: number): Promise<readonly DiscardedContent[]> {
    this.#assertOpen();
    const behind = this.#discarded.values().filter(({ seq }) => after === undefined || seq > after);
    return [...behind.take(limit)];
  }

  async forgetDiscarded(seqs: readonly number[]): Promise<void> {
    this.#assertOpen();
    for (const seq of seqs) this.#discarded.delete(seq);
  }

  async findInstance(id: string): Promise<InstanceRecord | undefined> {
    this.#assertOpen();
    return this.#instances.get(id);
  }

  async listInstances(): Promise<readonly InstanceRecord[]> {
    this.#assertOpen();
    return [...this.#instances.values()].sort((left, right) => compareBytes(left.id, right.id));
  }

  async registerInstance(request: RegisterInstance): Promise<boolean> {
    this.#assertOpen();
    const { replaces, nowMs, ...registered } = request;
    const { id } = registered;
    const current = this.#instances.get(id);
    if (current?.bootId !== replaces?.bootId || current?.beat !== replaces?.beat) return false;
    const beat = (current?.beat ?? 0) + 1;
    this.#instances.set(id, { ...registered, beat, lastSeenMs: nowMs, stopped: false });
    this.#entries.claimRoot(id, nowMs);
    return true;
  }

  async heartbeat({ id, bootId, endpoint, nowMs }: Heartbeat): Promise<boolean> {
    const current = this.#findBoot(id, bootId);
    if (current) this.#instances.set(id, { ...current, endpoint, beat: current.beat + 1, lastSeenMs: nowMs });
    return current !== undefined;
  }

  async markStopped(id: string, bootId: string): Promise<void> {
    const current = this.#findBoot(id, bootId);
    if (current) this.#instances.set(id, { ...current, stopped: true });
  }

  async countFiles(): Promise<readonly InstanceFiles[]> {
    const counts = new Map<string, InstanceFiles>();
    for (const { instanceId, sizeBytes } of this.#tree().files()) {
      const known = counts.get(instanceId) ?? { instanceId, files: 0, sizeBytes: 0 };
      counts.set(instanceId, { instanceId, files: known.files + 1, sizeBytes: known.sizeBytes + sizeBytes });
    }
    return [...counts.values()].sort((left, right) => compareBytes(left.instanceId, right.instanceId));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
  }

  #tree(): EntryTree {
    this.#assertOpen();
    return this.#entries;
  }

  #assertOpen(): void {
    if (this.#closed) throw metadataUnavailable(new Error('The store in memory is closed.'));
  }

  #findBoot(id: string, bootId: string): InstanceRecord | undefined {
    this.#assertOpen();
    const current = this.#instances.get(id);
    return current?.bootId === bootId ? current : undefined;
  }

  #discard(file: FileEntry): void {
    const seq = ++this.#lastSeq;
    const { instanceId, backendType } = file;
    this.#discarded.set(seq, { seq, instanceId, backendType, path: this.#tree().pathOf(file), ...contentOf(file) });
  }
}

function contentOf({ contentId, sizeBytes, checksum, storageKey, storageStamp }: FileEntry): Content {
  return { contentId, sizeBytes, checksum, storageKey, storageStamp };
}
