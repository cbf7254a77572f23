/**
 * The namespace in the memory of one process, for tests and simulated clusters. A mutation is atomic
 * because it runs without awaiting; nothing outlives the object.
 */
import { type Content, type Entry, type FileEntry, ROOT_ID } from '../../core/entry.ts';
import { metadataUnavailable } from '../../core/errors.ts';
import { EXECUTE, maySeverChild, permits, READ, type User, WRITE } from '../../core/permissions.ts';
import { MAX_PATH_BYTES, namesOf, pathOfNames, type VirtualPath } from '../../core/virtual-path.ts';
import {
  type ChangeAttributes,
  type ChangeAttributesOutcome,
  type CreateEntry,
  type CreateOutcome,
  type Heartbeat,
  type InstanceFiles,
  type InstanceRecord,
  type LocatedContent,
  type LocatedFile,
  MAX_MOVED_PATH_BYTES,
  type MetadataStore,
  type MoveEntry,
  type MoveOutcome,
  type NewEntry,
  type OutboxItem,
  type RegisterInstance,
  type RemoveEntry,
  type RemoveOutcome,
  type RemoveTreeOutcome,
  type ReplaceContent,
  type ReplaceOutcome,
} from '../metadata-store.ts';
import { compareBytes } from './byte-order.ts';
import { EntryTree } from './entry-tree.ts';

export class MemoryMetadataStore implements MetadataStore {
  #closed = false;
  readonly #entries = new EntryTree();
  readonly #outbox = new Map<number, OutboxItem>();
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
    const { entryId, expectContentId, instanceId, backendType, content, contentType, mtimeMs } = request;
    const tree = this.#tree();
    const previous = tree.findFile(entryId);
    if (!previous || (previous.instanceId !== instanceId && !request.takeOver)) return { kind: 'changed' };
    if (expectContentId !== undefined && previous.contentId !== expectContentId) return { kind: 'changed' };
    this.#assertUnused(content, entryId);
    if (request.discardPrevious || previous.instanceId !== instanceId) this.#discard(previous);
    const entry: FileEntry = {
      ...previous,
      ...content,
      etag: content.contentId,
      instanceId,
      backendType,
      contentType: contentType === undefined ? previous.contentType : contentType,
      mtimeMs,
      version: previous.version + 1,
    };
    tree.put(entry);
    return { kind: 'replaced', entry };
  }

  #assertUnused(content: Content, entryId: string): void {
    const holder = this.#tree().findByContent(content.contentId);
    if (holder && holder.id !== entryId) throw new Error(`The content ${content.contentId} belongs to another file.`);
  }

  async restampContent(contentId: string, storageStamp: string): Promise<void> {
    const tree = this.#tree();
    const file = tree.findByContent(contentId);
    if (file) tree.put({ ...file, storageStamp });
  }

  async moveEntry(request: MoveEntry): Promise<MoveOutcome> {
    const { from, to, expectContentId, relocated } = request;
    const tree = this.#tree();
    const entry = tree.find(request.entryId);
    if (!entry || entry.id === ROOT_ID || entry.parentId !== from.parentId || entry.name !== from.name) {
      return { kind: 'changed' };
    }
    const contentId = entry.type === 'file' ? entry.contentId : undefined;
    if (expectContentId !== undefined && contentId !== expectContentId) return { kind: 'changed' };
    if (relocated) this.#assertUnused(relocated.content, entry.id);
    const isRenamed = to.parentId !== from.parentId || to.name !== from.name || to.missingParents.length > 0;
    if (isRenamed) {
      const refused = this.#refuseMove(entry, request);
      if (refused) return refused;
    } else if (!relocated || entry.type === 'directory') {
      return { kind: 'moved', entry };
    }
    const standing = to.missingParents.length > 0 ? undefined : tree.findChild(to.parentId, to.name);
    const path = tree.pathOf(entry);
    if (entry.type === 'file' && relocated) this.#discard(entry);
    let { parentId } = to;
    for (const directory of to.missingParents) {
      tree.put({ ...directory, parentId, version: 1 });
      parentId = directory.id;
    }
    if (isRenamed && standing) {
      if (standing.type === 'file') this.#discard(standing);
      tree.delete(standing);
    }
    const { content, ...holder } = relocated ?? { content: undefined };
    const moved: Entry =
      entry.type === 'file'
        ? { ...entry, ...content, ...holder, parentId, name: to.name, version: entry.version + 1 }
        : { ...entry, parentId, name: to.name, version: entry.version + 1 };
    tree.move(entry, moved);
    if (!relocated) this.#tellOfMove(entry, path, tree.pathOf(moved));
    return { kind: 'moved', entry: moved };
  }

  #refuseMove(entry: Entry, { to, replacesId }: MoveEntry): MoveOutcome | undefined {
    const tree = this.#tree();
    const [outermost] = to.missingParents;
    const parent = tree.find(to.parentId);
    if (parent?.type !== 'directory') return { kind: 'changed' };
    for (let at: Entry | undefined = parent; at && at.id !== ROOT_ID; at = tree.find(at.parentId)) {
      if (at.id === entry.id) return { kind: 'cycle' };
    }
    const above = namesOf(tree.pathOf(parent));
    const newPath = pathOfNames([...above, ...to.missingParents.map(({ name }) => name), to.name]);
    if (this.#isTooLong(entry, newPath)) return { kind: 'too-long' };
    const standing = tree.findChild(to.parentId, outermost?.name ?? to.name);
    if (outermost) return standing || replacesId !== undefined ? { kind: 'changed' } : undefined;
    if (standing?.id === replacesId) {
      return standing && tree.hasChildren(standing.id) ? { kind: 'not-empty' } : undefined;
    }
    return standing && replacesId === undefined ? { kind: 'exists', entry: standing } : { kind: 'changed' };
  }

  #isTooLong(entry: Entry, newPath: VirtualPath): boolean {
    const tree = this.#tree();
    const newBytes = Buffer.byteLength(newPath);
    if (entry.type === 'file') return newBytes > MAX_PATH_BYTES;
    const growth = newBytes - Buffer.byteLength(tree.pathOf(entry));
    if (growth <= 0) return false;
    const paths = tree.subtreeOf(entry).map((below) => Buffer.byteLength(tree.pathOf(below)));
    return Math.max(...paths) + growth > MAX_MOVED_PATH_BYTES;
  }

  /** The instance that holds the file, or all that may hold something below the directory. */
  #tellOfMove(entry: Entry, path: VirtualPath, to: VirtualPath): void {
    const holders = entry.type === 'file' ? [entry.instanceId] : this.#instances.keys();
    const content = entry.type === 'file' ? contentOf(entry) : undefined;
    for (const instanceId of holders) {
      const seq = ++this.#lastSeq;
      this.#outbox.set(seq, { kind: 'move', seq, instanceId, entryId: entry.id, path, to, content });
    }
  }

  async changeAttributes(request: ChangeAttributes): Promise<ChangeAttributesOutcome> {
    const tree = this.#tree();
    const previous = tree.find(request.entryId);
    if (previous?.version !== request.expectVersion) return { kind: 'changed' };
    const { mode = previous.mode, owner, group } = request;
    const entry: Entry = {
      ...previous,
      mode,
      owner: owner?.name ?? previous.owner,
      uid: owner?.uid ?? previous.uid,
      group: group?.name ?? previous.group,
      gid: group?.gid ?? previous.gid,
      version: previous.version + 1,
    };
    tree.put(entry);
    return { kind: 'attributes-changed', entry };
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

  async listOutbox(instanceId: string, limit: number): Promise<readonly OutboxItem[]> {
    this.#assertOpen();
    const own = this.#outbox.values().filter((row) => row.instanceId === instanceId);
    return [...own.take(limit)];
  }

  async listWholeOutbox(after: number | undefined, limit: number): Promise<readonly OutboxItem[]> {
    this.#assertOpen();
    const behind = this.#outbox.values().filter(({ seq }) => after === undefined || seq > after);
    return [...behind.take(limit)];
  }

  async forgetOutbox(seqs: readonly number[]): Promise<void> {
    this.#assertOpen();
    for (const seq of seqs) this.#outbox.delete(seq);
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
    const { id: entryId, instanceId, backendType } = file;
    const path = this.#tree().pathOf(file);
    this.#outbox.set(seq, { kind: 'discard', seq, instanceId, entryId, backendType, path, ...contentOf(file) });
  }
}

function contentOf({ contentId, sizeBytes, checksum, storageKey, storageStamp }: FileEntry): Content {
  return { contentId, sizeBytes, checksum, storageKey, storageStamp };
}
