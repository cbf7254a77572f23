/**
 * The entries in memory, found by id, by parent and name, and by content: keeps the three in step.
 * Knows nothing about who may change what.
 */

import { compareBytes } from '../../core/byte-order.ts';
import { type DirectoryEntry, type Entry, type FileEntry, ROOT_ID, ROOT_MODE } from '../../core/entry.ts';
import { pathOfNames, type VirtualPath } from '../../core/virtual-path.ts';

const ROOT: DirectoryEntry = {
  type: 'directory',
  id: ROOT_ID,
  parentId: ROOT_ID,
  name: '',
  mode: ROOT_MODE,
  owner: 'root',
  group: 'root',
  uid: 0,
  gid: 0,
  mtimeMs: 0,
  createdAtMs: 0,
  version: 1,
  instanceId: '',
  backendType: 'localfs',
};

export class EntryTree {
  #root = ROOT;
  readonly #byId = new Map<string, Entry>([[ROOT_ID, ROOT]]);
  readonly #byContent = new Map<string, FileEntry>();
  /** The children of every directory by name; a directory has a map here even when it is empty. */
  readonly #children = new Map<string, Map<string, Entry>>([[ROOT_ID, new Map()]]);

  get root(): DirectoryEntry {
    return this.#root;
  }

  /** Makes an instance the one that made the root; false: one has. */
  claimRoot(instanceId: string, nowMs: number): boolean {
    if (this.#root.instanceId !== '') return false;
    this.#root = { ...this.#root, instanceId, mtimeMs: nowMs, createdAtMs: nowMs };
    this.#byId.set(ROOT_ID, this.#root);
    return true;
  }

  find(id: string): Entry | undefined {
    return this.#byId.get(id);
  }

  findFile(id: string): FileEntry | undefined {
    const entry = this.#byId.get(id);
    return entry?.type === 'file' ? entry : undefined;
  }

  findByContent(contentId: string): FileEntry | undefined {
    return this.#byContent.get(contentId);
  }

  findChild(parentId: string, name: string): Entry | undefined {
    return this.#children.get(parentId)?.get(name);
  }

  isDirectory(id: string): boolean {
    return this.#children.has(id);
  }

  hasChildren(id: string): boolean {
    return (this.#children.get(id)?.size ?? 0) > 0;
  }

  all(): IteratorObject<Entry> {
    return this.#byId.values();
  }

  files(): IteratorObject<FileEntry> {
    return this.#byContent.values();
  }

  /** Those that an instance made. */
  directoriesOf(instanceId: string): DirectoryEntry[] {
    return [...this.#byId.values()].filter(
      (entry): entry is DirectoryEntry => entry.type === 'directory' && entry.instanceId === instanceId,
    );
  }

  /** Children whose names are greater than `after`, in byte order. */
  childrenOf(id: string, after = ''): Entry[] {
    const children = this.#children.get(id)?.values() ?? [];
    return [...children]
      .filter((child) => compareBytes(child.name, after) > 0)
      .sort((left, right) => compareBytes(left.name, right.name));
  }

  /** An entry with everything below it, each after its parent. */
  subtreeOf(top: Entry): readonly Entry[] {
    const subtree = [top];
    for (const entry of subtree) subtree.push(...this.childrenOf(entry.id));
    return subtree;
  }

  /** The directories below one, down to a depth. */
  directoriesBelow(topId: string, depth: number): DirectoryEntry[] {
    const found: DirectoryEntry[] = [];
    let level = [topId];
    for (let at = 0; at < depth && level.length > 0; at++) {
      const next = level.flatMap((id) => this.childrenOf(id).filter((child) => child.type === 'directory'));
      level = next.map(({ id }) => id);
      found.push(...next);
    }
    return found;
  }

  /** Adds an entry, or puts a newer version in the place of the one with its id. */
  put(entry: Entry): void {
    if (entry.id === ROOT_ID && entry.type === 'directory') {
      this.#root = entry;
      this.#byId.set(ROOT_ID, entry);
      return;
    }
    const previous = this.findFile(entry.id);
    if (previous) this.#byContent.delete(previous.contentId);
    this.#byId.set(entry.id, entry);
    this.#children.get(entry.parentId)?.set(entry.name, entry);
    if (entry.type === 'file') this.#byContent.set(entry.contentId, entry);
    else if (!this.#children.has(entry.id)) this.#children.set(entry.id, new Map());
  }

  /** Puts an entry in another place; what is below it goes with it. */
  move(from: Entry, to: Entry): void {
    this.#children.get(from.parentId)?.delete(from.name);
    this.put(to);
  }

  delete(entry: Entry): void {
    this.#byId.delete(entry.id);
    this.#children.delete(entry.id);
    this.#children.get(entry.parentId)?.delete(entry.name);
    if (entry.type === 'file') this.#byContent.delete(entry.contentId);
  }

  pathOf(entry: Entry): VirtualPath {
    const names = this.above(entry).map(({ name }) => name);
    return pathOfNames(entry.id === ROOT_ID ? [] : [...names, entry.name]);
  }

  /** The directories above an entry, outermost first, without the root. */
  above(entry: Entry): Entry[] {
    const above: Entry[] = [];
    for (let at = this.find(entry.parentId); at && at.id !== ROOT_ID; at = this.find(at.parentId)) above.unshift(at);
    return above;
  }
}
