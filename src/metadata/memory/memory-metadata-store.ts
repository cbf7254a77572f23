/**
 * The namespace in the memory of one process, for tests and simulated clusters. A mutation is atomic
 * because it runs without awaiting; nothing outlives the object.
 */

import { compareBytes } from '../../core/byte-order.ts';
import { type Content, type Entry, type FileEntry, ROOT_ID } from '../../core/entry.ts';
import { EXECUTE, maySeverChild, permits, READ, type User, WRITE } from '../../core/permissions.ts';
import type { VirtualPath } from '../../core/virtual-path.ts';
import { withAttributes } from '../changed-attributes.ts';
import type {
  ChangeAttributes,
  ChangeAttributesOutcome,
  CreateEntry,
  CreateOutcome,
  DirectoryTree,
  HandOverDirectories,
  Heartbeat,
  HeartbeatOutcome,
  InstanceFiles,
  InstanceRecord,
  LocatedContent,
  LocatedFile,
  MetadataStore,
  MoveEntry,
  MoveOutcome,
  NewEntry,
  RegisterInstance,
  RemoveEntry,
  RemoveInstance,
  RemoveInstanceOutcome,
  RemoveOutcome,
  RemoveTreeOutcome,
  ReplaceContent,
  ReplaceOutcome,
  SetDraining,
} from '../metadata-store.ts';
import { MemoryJobStore } from './memory-job-store.ts';
import { MemoryRebuildStore } from './memory-rebuild-store.ts';
import { MemoryUploadStore } from './memory-upload-store.ts';
import { refuseMove } from './refuse-move.ts';

export class MemoryMetadataStore extends MemoryRebuildStore implements MetadataStore {
  readonly jobs = new MemoryJobStore();
  readonly uploads = new MemoryUploadStore();
  readonly #entries = this.entries;
  readonly #outbox = this.outbox;
  readonly #instances = this.instances;

  async resolve(names: readonly string[]): Promise<readonly Entry[]> {
    const tree = this.tree();
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

  async createEntry(request: CreateEntry): Promise<CreateOutcome> {
    const { parentId, missingParents, entry, isInPlace, replacesId } = request;
    const tree = this.tree();
    if (!this.uploads.isUnfinished(request.finishesUpload)) return { kind: 'changed' };
    const [outermost = entry] = missingParents;
    const standing = tree.findChild(parentId, outermost.name);
    const replaced = standing?.type === 'file' && standing.id === replacesId ? standing : undefined;
    if (replacesId !== undefined && !(replaced && outermost === entry)) return { kind: 'changed' };
    const winner = replaced ? undefined : standing;
    if (winner && outermost === entry) return { kind: 'exists', entry: winner };
    if (winner || !tree.isDirectory(parentId)) return { kind: 'changed' };
    if ([...missingParents, entry].some((candidate) => this.#isKnown(candidate))) return { kind: 'changed' };

    if (replaced) {
      this.#discard(replaced);
      tree.delete(replaced);
    }
    let nearestId = parentId;
    for (const directory of missingParents) {
      tree.put({ ...directory, parentId: nearestId, version: 1 });
      this.note(directory);
      nearestId = directory.id;
    }
    const created: Entry = { ...entry, parentId: nearestId, version: 1 };
    tree.put(created);
    if (entry.type === 'directory' || isInPlace) this.note(entry);
    this.uploads.finish(request.finishesUpload);
    return { kind: 'created', entry: created };
  }

  /** Whether its id or its content's is taken, which would make two entries one. */
  #isKnown(entry: NewEntry): boolean {
    const tree = this.tree();
    if (tree.find(entry.id)) return true;
    return entry.type === 'file' && tree.findByContent(entry.contentId) !== undefined;
  }

  async replaceContent(request: ReplaceContent): Promise<ReplaceOutcome> {
    const { entryId, expectContentId, instanceId, backendType, content, contentType, mtimeMs } = request;
    const tree = this.tree();
    const previous = tree.findFile(entryId);
    if (!this.uploads.isUnfinished(request.finishesUpload)) return { kind: 'changed' };
    if (!previous || (previous.instanceId !== instanceId && !request.takeOver)) return { kind: 'changed' };
    if (expectContentId !== undefined && previous.contentId !== expectContentId) return { kind: 'changed' };
    this.#assertUnused(content, entryId);
    if (request.discardPrevious || previous.instanceId !== instanceId) this.#discard(previous);
    const { sha256: _ofPrevious, ...kept } = previous;
    const entry: FileEntry = {
      ...kept,
      ...content,
      etag: content.contentId,
      instanceId,
      backendType,
      contentType: contentType === undefined ? previous.contentType : contentType,
      mtimeMs,
      version: previous.version + 1,
    };
    tree.put(entry);
    if (!request.discardPrevious) this.note(entry);
    this.uploads.finish(request.finishesUpload);
    return { kind: 'replaced', entry };
  }

  #assertUnused(content: Content, entryId: string): void {
    const holder = this.tree().findByContent(content.contentId);
    if (holder && holder.id !== entryId) throw new Error(`The content ${content.contentId} belongs to another file.`);
  }

  async restampContent(contentId: string, storageStamp: string): Promise<void> {
    const tree = this.tree();
    const file = tree.findByContent(contentId);
    if (!file) return;
    tree.put({ ...file, storageStamp });
    this.note(file);
  }

  async moveEntry(request: MoveEntry): Promise<MoveOutcome> {
    const { from, to, expectContentId, relocated } = request;
    const tree = this.tree();
    const entry = tree.find(request.entryId);
    if (!entry || entry.id === ROOT_ID || entry.parentId !== from.parentId || entry.name !== from.name) {
      return { kind: 'changed' };
    }
    const contentId = entry.type === 'file' ? entry.contentId : undefined;
    if (expectContentId !== undefined && contentId !== expectContentId) return { kind: 'changed' };
    if (relocated) this.#assertUnused(relocated.content, entry.id);
    const isRenamed = to.parentId !== from.parentId || to.name !== from.name || to.missingParents.length > 0;
    if (isRenamed) {
      const refused = refuseMove(tree, entry, request);
      if (refused) return refused;
    } else if (!relocated || entry.type === 'directory') {
      return { kind: 'moved', entry };
    }
    if (isRenamed) tree.put({ ...tree.root, version: tree.root.version + 1 });
    const standing = to.missingParents.length > 0 ? undefined : tree.findChild(to.parentId, to.name);
    const path = tree.pathOf(entry);
    if (entry.type === 'file' && relocated) this.#discard(entry);
    let { parentId } = to;
    for (const directory of to.missingParents) {
      tree.put({ ...directory, parentId, version: 1 });
      this.note(directory);
      parentId = directory.id;
    }
    if (isRenamed && standing) {
      if (standing.type === 'file') this.#discard(standing);
      else this.note(standing);
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

  /** The instance that holds the file, or all that may hold something below the directory. */
  #tellOfMove(entry: Entry, path: VirtualPath, to: VirtualPath): void {
    const holders = entry.type === 'file' ? [entry.instanceId] : this.#instances.keys();
    const content = entry.type === 'file' ? contentOf(entry) : undefined;
    for (const instanceId of holders) {
      const seq = this.nextSeq();
      this.#outbox.set(seq, { kind: 'move', seq, instanceId, entryId: entry.id, path, to, content });
    }
  }

  async changeAttributes(request: ChangeAttributes): Promise<ChangeAttributesOutcome> {
    const tree = this.tree();
    const previous = tree.find(request.entryId);
    if (previous?.version !== request.expectVersion) return { kind: 'changed' };
    const entry = withAttributes(previous, request);
    tree.put(entry);
    this.note(entry);
    return { kind: 'attributes-changed', entry };
  }

  async removeEntry({ entryId, expectContentId }: RemoveEntry): Promise<RemoveOutcome> {
    const tree = this.tree();
    const entry = tree.find(entryId);
    if (!entry) return { kind: 'changed' };
    if (expectContentId !== undefined && (entry.type !== 'file' || entry.contentId !== expectContentId)) {
      return { kind: 'changed' };
    }
    if (entryId === ROOT_ID || tree.hasChildren(entryId)) return { kind: 'not-empty' };
    if (entry.type === 'file') this.#discard(entry);
    else this.note(entry);
    tree.delete(entry);
    return { kind: 'removed' };
  }

  async removeTree(directoryId: string, user: User): Promise<RemoveTreeOutcome> {
    const tree = this.tree();
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
    for (const entry of subtree) {
      if (entry.type === 'file') this.#discard(entry);
      else this.note(entry);
    }
    for (const entry of subtree) tree.delete(entry);
    return { kind: 'removed', count: subtree.length };
  }

  async listChildren(directoryId: string, after: string | undefined, limit: number): Promise<readonly Entry[]> {
    return this.tree().childrenOf(directoryId, after).slice(0, limit);
  }

  async listFiles(after: string | undefined, limit: number): Promise<readonly LocatedFile[]> {
    const tree = this.tree();
    const behind = tree.files().filter(({ id }) => after === undefined || compareBytes(id, after) > 0);
    const page = [...behind].sort((left, right) => compareBytes(left.id, right.id)).slice(0, limit);
    return page.map((entry) => ({ entry, path: tree.pathOf(entry) }));
  }

  async readDirectories(topId: string, depth: number): Promise<DirectoryTree> {
    const below = this.tree().directoriesBelow(topId, depth);
    const directories = below.map(({ id, parentId, name }) => ({ id, parentId, name }));
    return { directories, pathsVersion: this.tree().root.version };
  }

  async locateContents(contentIds: readonly string[]): Promise<readonly LocatedContent[]> {
    const tree = this.tree();
    const files = contentIds.map((contentId) => tree.findByContent(contentId)).filter((file) => file !== undefined);
    return files.map((file) => ({ contentId: file.contentId, path: tree.pathOf(file) }));
  }

  async findInstance(id: string): Promise<InstanceRecord | undefined> {
    this.assertOpen();
    return this.#instances.get(id);
  }

  async listInstances(): Promise<readonly InstanceRecord[]> {
    this.assertOpen();
    return [...this.#instances.values()].sort((left, right) => compareBytes(left.id, right.id));
  }

  async registerInstance(request: RegisterInstance): Promise<boolean> {
    this.assertOpen();
    const { replaces, nowMs, ...registered } = request;
    const { id } = registered;
    const current = this.#instances.get(id);
    if (current?.bootId !== replaces?.bootId || current?.beat !== replaces?.beat) return false;
    const beat = (current?.beat ?? 0) + 1;
    const draining = current?.draining ?? false;
    this.#instances.set(id, { ...registered, beat, lastSeenMs: nowMs, stopped: false, draining });
    if (this.#entries.claimRoot(id, nowMs)) this.note(this.#entries.root);
    return true;
  }

  async heartbeat({ id, bootId, endpoint, nowMs }: Heartbeat): Promise<HeartbeatOutcome> {
    const current = this.#findBoot(id, bootId);
    if (!current) return 'replaced';
    this.#instances.set(id, { ...current, endpoint, beat: current.beat + 1, lastSeenMs: nowMs });
    return current.draining ? 'draining' : 'alive';
  }

  async markStopped(id: string, bootId: string): Promise<void> {
    const current = this.#findBoot(id, bootId);
    if (current) this.#instances.set(id, { ...current, stopped: true });
  }

  async countFiles(): Promise<readonly InstanceFiles[]> {
    const counts = new Map<string, InstanceFiles>();
    for (const { instanceId, sizeBytes } of this.tree().files()) {
      const known = counts.get(instanceId) ?? { instanceId, files: 0, sizeBytes: 0 };
      counts.set(instanceId, { instanceId, files: known.files + 1, sizeBytes: known.sizeBytes + sizeBytes });
    }
    return [...counts.values()].sort((left, right) => compareBytes(left.instanceId, right.instanceId));
  }

  async setDraining({ instanceId, draining }: SetDraining): Promise<boolean> {
    const current = await this.findInstance(instanceId);
    if (current) this.#instances.set(instanceId, { ...current, draining });
    return current !== undefined;
  }

  async handOverDirectories({ from, to, limit }: HandOverDirectories): Promise<number> {
    const tree = this.tree();
    const directories = tree.directoriesOf(from).slice(0, limit);
    for (const entry of directories) {
      tree.put({ ...entry, instanceId: to, version: entry.version + 1 });
      this.note(entry);
      this.note({ ...entry, instanceId: to });
    }
    return directories.length;
  }

  async removeInstance({ instanceId, expect, lostFiles, heir }: RemoveInstance): Promise<RemoveInstanceOutcome> {
    const tree = this.tree();
    const current = this.#instances.get(instanceId);
    const isAsSeen = current?.bootId === expect?.bootId && current?.beat === expect?.beat;
    if (!isAsSeen || !this.#instances.has(heir) || heir === instanceId) return { kind: 'changed' };
    const files = [...tree.files()].filter((file) => file.instanceId === instanceId);
    if (files.length !== lostFiles) return { kind: 'holds-files', files: files.length };
    for (const file of files) tree.delete(file);
    const directories = tree.directoriesOf(instanceId);
    for (const entry of directories) {
      tree.put({ ...entry, instanceId: heir, version: entry.version + 1 });
      this.note({ ...entry, instanceId: heir });
    }
    this.forgetNotesOf(instanceId);
    for (const row of this.#outbox.values()) if (row.instanceId === instanceId) this.#outbox.delete(row.seq);
    this.uploads.removeOf(instanceId);
    this.#instances.delete(instanceId);
    return { kind: 'removed', files: files.length, directories: directories.length };
  }

  async countDirectories(instanceId: string): Promise<number> {
    return this.tree().directoriesOf(instanceId).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.closed = true;
  }

  #findBoot(id: string, bootId: string): InstanceRecord | undefined {
    this.assertOpen();
    const current = this.#instances.get(id);
    return current?.bootId === bootId ? current : undefined;
  }

  #discard(file: FileEntry): void {
    const seq = this.nextSeq();
    const { id: entryId, instanceId, backendType } = file;
    const path = this.tree().pathOf(file);
    this.#outbox.set(seq, { kind: 'discard', seq, instanceId, entryId, backendType, path, ...contentOf(file) });
  }
}

function contentOf({ contentId, sizeBytes, checksum, storageKey, storageStamp }: FileEntry): Content {
  return { contentId, sizeBytes, checksum, storageKey, storageStamp };
}
