/**
 * The namespace in the memory of one process, for tests and simulated clusters. A mutation is atomic
 * because it runs without awaiting; nothing outlives the object.
 */

import { compareBytes } from '../../core/byte-order.ts';
import { type BackendType, type Content, type Entry, type FileEntry, ROOT_ID } from '../../core/entry.ts';
import { EXECUTE, maySeverChild, permits, READ, type User, WRITE } from '../../core/permissions.ts';
import type { VirtualPath } from '../../core/virtual-path.ts';
import { withAttributes } from '../changed-attributes.ts';
import { isFollowedByDisk } from '../followed-by-disk.ts';
import type {
  HandOverDirectories,
  InstanceFiles,
  InstanceRecord,
  RemoveInstance,
  RemoveInstanceOutcome,
} from '../instance-store.ts';
import type {
  ChangeAttributes,
  ChangeAttributesOutcome,
  CreateEntry,
  CreateOutcome,
  DirectoryTree,
  LocatedContent,
  LocatedFile,
  MetadataStore,
  MoveEntry,
  MoveOutcome,
  NewEntry,
  RemoveEntry,
  RemoveOutcome,
  RemoveTreeOutcome,
  ReplaceContent,
  ReplaceOutcome,
} from '../metadata-store.ts';
import { MemoryInstances } from './memory-instances.ts';
import { MemoryJobStore } from './memory-job-store.ts';
import { MemoryLinkStore } from './memory-link-store.ts';
import { MemoryUploadStore } from './memory-upload-store.ts';
import { refuseMove } from './refuse-move.ts';

export class MemoryMetadataStore extends MemoryInstances implements MetadataStore {
  readonly jobs = new MemoryJobStore();
  readonly links = new MemoryLinkStore();
  readonly uploads = new MemoryUploadStore();
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
      this.discard(replaced);
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
    if (isInPlace || !isFollowedByDisk(entry)) this.note(entry);
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
    if (request.discardPrevious || previous.instanceId !== instanceId) this.discard(previous);
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
    if (!request.discardPrevious || !isFollowedByDisk(entry)) this.note(entry);
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
    const { from, to, expectContentId, expectInstanceId, relocated } = request;
    const tree = this.tree();
    const entry = tree.find(request.entryId);
    if (!entry || entry.id === ROOT_ID || entry.parentId !== from.parentId || entry.name !== from.name) {
      return { kind: 'changed' };
    }
    const contentId = entry.type === 'file' ? entry.contentId : undefined;
    if (expectContentId !== undefined && contentId !== expectContentId) return { kind: 'changed' };
    if (expectInstanceId !== undefined && entry.instanceId !== expectInstanceId) return { kind: 'changed' };
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
    if (entry.type === 'file' && relocated) this.discard(entry);
    let { parentId } = to;
    for (const directory of to.missingParents) {
      tree.put({ ...directory, parentId, version: 1 });
      this.note(directory);
      parentId = directory.id;
    }
    if (isRenamed && standing) {
      if (standing.type === 'file') this.discard(standing);
      else this.note(standing);
      tree.delete(standing);
    }
    const { content, ...holder } = relocated ?? { content: undefined };
    const moved: Entry =
      entry.type === 'file'
        ? { ...entry, ...content, ...holder, parentId, name: to.name, version: entry.version + 1 }
        : { ...entry, parentId, name: to.name, version: entry.version + 1 };
    tree.move(entry, moved);
    if (moved.type === 'file' && !isFollowedByDisk(moved)) this.note(moved);
    if (!relocated) this.#tellOfMove(entry, path, tree.pathOf(moved));
    return { kind: 'moved', entry: moved };
  }

  /** The instance that holds the file, or all that may hold something below the directory. */
  #tellOfMove(entry: Entry, path: VirtualPath, to: VirtualPath): void {
    const content = entry.type === 'file' ? contentOf(entry) : undefined;
    for (const [instanceId, backendType] of this.#followersOf(entry)) {
      const seq = this.nextSeq();
      this.#outbox.set(seq, { kind: 'move', seq, instanceId, backendType, entryId: entry.id, path, to, content });
    }
  }

  #followersOf(entry: Entry): readonly (readonly [string, BackendType])[] {
    if (entry.type === 'file') return [[entry.instanceId, entry.backendType]];
    const instances = [...this.#instances.values()];
    return [
      ...instances.map(({ id }) => [id, 'localfs'] as const),
      ...instances.filter(({ bucketId }) => bucketId !== '').map(({ id }) => [id, 's3'] as const),
    ];
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

  async removeEntry({ entryId, expectContentId, expectInstanceId }: RemoveEntry): Promise<RemoveOutcome> {
    const tree = this.tree();
    const entry = tree.find(entryId);
    if (!entry) return { kind: 'changed' };
    if (expectContentId !== undefined && (entry.type !== 'file' || entry.contentId !== expectContentId)) {
      return { kind: 'changed' };
    }
    if (expectInstanceId !== undefined && entry.instanceId !== expectInstanceId) return { kind: 'changed' };
    if (entryId === ROOT_ID || tree.hasChildren(entryId)) return { kind: 'not-empty' };
    if (entry.type === 'file') this.discard(entry);
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
      if (entry.type === 'file') this.discard(entry);
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

  async countFiles(): Promise<readonly InstanceFiles[]> {
    const counts = new Map<string, InstanceFiles>();
    for (const { instanceId, sizeBytes } of this.tree().files()) {
      const known = counts.get(instanceId) ?? { instanceId, files: 0, sizeBytes: 0 };
      counts.set(instanceId, { instanceId, files: known.files + 1, sizeBytes: known.sizeBytes + sizeBytes });
    }
    return [...counts.values()].sort((left, right) => compareBytes(left.instanceId, right.instanceId));
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
    const sharers = [...this.#instances.values()].filter(
      ({ id, bucketId }) => id !== instanceId && bucketId !== '' && bucketId === current?.bucketId,
    );
    const order = ({ id, stopped, draining }: InstanceRecord): string => `${Number(stopped)}${Number(draining)}${id}`;
    const [sharer] = sharers.sort((left, right) => compareBytes(order(left), order(right)));
    for (const row of this.#outbox.values()) {
      if (row.instanceId !== instanceId) continue;
      if (sharer && row.kind === 'discard' && row.backendType === 's3') {
        this.#outbox.set(row.seq, { ...row, instanceId: sharer.id });
      } else {
        this.#outbox.delete(row.seq);
      }
    }
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

  protected override isDiscarded(contentId: string, key: string): boolean {
    return this.#outbox
      .values()
      .some((row) => row.kind === 'discard' && row.contentId === contentId && row.storageKey === key);
  }

  protected override discard(file: FileEntry): number {
    const seq = this.nextSeq();
    const { id: entryId, instanceId, backendType } = file;
    const path = this.tree().pathOf(file);
    this.#outbox.set(seq, { kind: 'discard', seq, instanceId, entryId, backendType, path, ...contentOf(file) });
    if (!isFollowedByDisk(file)) this.note(file);
    return seq;
  }
}

function contentOf({ contentId, sizeBytes, checksum, storageKey, storageStamp }: FileEntry): Content {
  return { contentId, sizeBytes, checksum, storageKey, storageStamp };
}
