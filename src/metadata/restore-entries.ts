/**
 * How entries come back into a namespace that is being rebuilt, the same for every store. Directories that are not there
 * yet are stood for by placeholders; a placeholder that is in the way of something real makes room, wherever it came from.
 */
import { type DirectoryEntry, type Entry, type FileEntry, ROOT_ID } from '../core/entry.ts';
import type { DirectoryAbove, LocatedEntry } from '../core/located-entry.ts';
import { RESERVED_TOP_LEVEL_NAME } from '../core/virtual-path.ts';
import { isPlaceholder, PLACEHOLDER_MODE, type RestoreOutcome, UNPLACED_ID } from './rebuild-store.ts';
import type { RestoreRows } from './restore-rows.ts';

export async function restoreEntries(
  rows: RestoreRows,
  entries: readonly LocatedEntry[],
): Promise<readonly RestoreOutcome[]> {
  const restoration = new Restoration(rows);
  await restoration.lookUp(entries);
  const outcomes = new Map<LocatedEntry, RestoreOutcome>();
  // Directories one by one, as others may make room for them; files together, as nearly all of them are new.
  for (const located of entries) {
    if (located.entry.type === 'directory')
      outcomes.set(located, await restoration.restoreDirectory(located.entry, located.above));
  }
  const files: { located: LocatedEntry; entry: FileEntry }[] = [];
  for (const located of entries) {
    const { entry, above } = located;
    if (entry.type === 'directory') continue;
    files.push({ located, entry: { ...entry, parentId: await restoration.findParent(entry.parentId, above) } });
  }
  const inserted = await restoration.insertNew(files.map(({ entry }) => entry));
  for (const { located, entry } of files) {
    outcomes.set(located, inserted.has(entry.id) ? { kind: 'restored' } : await restoration.restoreFile(entry));
  }
  return entries.map((located) => outcomes.get(located) ?? { kind: 'restored' });
}

const NOBODY = { owner: 'root', group: 'root', uid: 0, gid: 0, mtimeMs: 0, createdAtMs: 0, version: 0 };

type Access = Pick<Entry, 'owner' | 'group' | 'mode'>;

function hasSameAccess(one: Access, other: Access): boolean {
  return one.owner === other.owner && one.group === other.group && one.mode === other.mode;
}

class Restoration {
  readonly #rows: RestoreRows;
  /** What is there of the entries that matter, by id. */
  readonly #known = new Map<string, Entry>();
  readonly #merged = new Map<string, string>();
  /** Made in the end of a rebuild; the root is among them from the beginning of one. */
  readonly #ended = new Set<string>();

  constructor(rows: RestoreRows) {
    this.#rows = rows;
  }

  async lookUp(entries: readonly LocatedEntry[]): Promise<void> {
    const above = entries.flatMap((located) => located.above.map(({ id }) => id));
    const parents = entries.map(({ entry }) => entry.parentId);
    const own = entries.map(({ entry }) => entry.id);
    const directories = new Set([...above, ...parents]);
    for (const [id, into] of await this.#rows.findMerged([...new Set([...directories, ...own])])) {
      if (id === into) this.#ended.add(id);
      else if (directories.has(id)) this.#merged.set(id, into);
    }
    const ids = new Set([...directories, ...own, ...this.#merged.values(), ROOT_ID, UNPLACED_ID]);
    for (const entry of await this.#rows.findAll([...ids])) this.#known.set(entry.id, entry);
  }

  async insertNew(files: readonly FileEntry[]): Promise<ReadonlySet<string>> {
    return this.#rows.insertAll(files.filter(({ id }) => !this.#known.has(id)));
  }

  async restoreDirectory(entry: DirectoryEntry, above: readonly DirectoryAbove[]): Promise<RestoreOutcome> {
    const current = this.#known.get(entry.id);
    if (current && current.version > 0 && entry.version > 0 && this.#ended.has(entry.id)) {
      return this.#restoreEnded(entry, current);
    }
    if (current && current.version >= entry.version) return { kind: 'known', entry: current };
    if (entry.id === ROOT_ID) return this.#write(entry);
    const parentId = await this.findParent(entry.parentId, above);
    if (current && !(await this.#leaveOwnSubtree(entry.id, parentId))) return { kind: 'conflict', standing: current };
    const standing = await this.#makeRoom(parentId, entry);
    if (standing === undefined) {
      await this.#write({ ...entry, parentId });
      // It was made in the end of an earlier rebuild.
      if (entry.version === 0 && entry.mtimeMs > 0) await this.#rows.merge(entry.id, entry.id);
      return { kind: 'restored' };
    }
    if (standing.type === 'file') return { kind: 'conflict', standing };
    await this.#merge(entry.id, standing);
    return { kind: 'merged', standing };
  }

  async restoreFile(entry: FileEntry): Promise<RestoreOutcome> {
    const [current] = await this.#rows.findAll([entry.id]);
    if (current && current.version >= entry.version) return { kind: 'known', entry: current };
    const standing = await this.#makeRoom(entry.parentId, entry);
    return standing === undefined ? this.#write(entry) : { kind: 'conflict', standing };
  }

  /** What an operator did with a directory since it was made in the end stays: its place, and its owner and mode. */
  async #restoreEnded(entry: DirectoryEntry, current: Entry): Promise<RestoreOutcome> {
    if (hasSameAccess(current, { ...NOBODY, mode: PLACEHOLDER_MODE })) {
      const { parentId, name } = current;
      return this.#write({ ...entry, parentId, name, version: Math.max(entry.version, current.version) });
    }
    return { kind: hasSameAccess(current, entry) ? 'known' : 'changed', entry: current };
  }

  async #write(entry: Entry): Promise<RestoreOutcome> {
    if ((await this.#rows.findAll([entry.id])).length > 0) {
      await this.#rows.update(entry);
      const [made] = entry.type === 'directory' ? await this.#rows.findMerged([entry.id]) : [];
      if (made?.[1] === entry.id) await this.#rows.unmerge(entry.id);
      this.#ended.delete(entry.id);
    } else if (!(await this.#rows.insertAll([entry])).has(entry.id)) {
      throw new Error(`The entry ${entry.id} cannot be brought back: its content belongs to another one.`);
    }
    this.#known.set(entry.id, entry);
    return { kind: 'restored' };
  }

  /** @returns what has the name and keeps it */
  async #makeRoom(parentId: string, { id, name }: Entry): Promise<Entry | undefined> {
    const standing = await this.#rows.findChild(parentId, name);
    if (!standing || standing.id === id) return undefined;
    if (standing.type === 'file' || !isPlaceholder(standing)) return standing;
    await this.#unplace(standing);
    return undefined;
  }

  /** The directory that an entry belongs into, placeholders made for what is missing. */
  async findParent(parentId: string, above: readonly DirectoryAbove[]): Promise<string> {
    let nearestId = ROOT_ID;
    for (const directory of above) {
      const id = this.#merged.get(directory.id) ?? directory.id;
      if (!this.#known.has(id)) await this.#stand(directory, nearestId);
      nearestId = id;
    }
    const id = this.#merged.get(parentId) ?? parentId;
    if (!this.#known.has(id)) throw new Error(`The directory ${parentId} is not among those above its entry.`);
    return id;
  }

  /** Makes a placeholder, where the directory was seen last unless something else is there by now. */
  async #stand({ id, name, instanceId }: DirectoryAbove, parentId: string): Promise<void> {
    const mode = PLACEHOLDER_MODE;
    const placeholder: DirectoryEntry = {
      ...{ type: 'directory', id, parentId, name, instanceId, mode, backendType: 'localfs' },
      ...NOBODY,
    };
    const isFree = (await this.#rows.findChild(parentId, name)) === undefined;
    if (isFree) await this.#write(placeholder);
    else await this.#unplace(placeholder);
  }

  /** Puts a placeholder where it is in nobody's way. */
  async #unplace(placeholder: DirectoryEntry): Promise<void> {
    if (!this.#known.has(UNPLACED_ID)) {
      const { instanceId, backendType } = placeholder;
      await this.#write({
        ...{ type: 'directory', id: UNPLACED_ID, parentId: ROOT_ID, name: RESERVED_TOP_LEVEL_NAME, mode: 0 },
        ...{ instanceId, backendType, ...NOBODY },
      });
    }
    await this.#write({ ...placeholder, parentId: UNPLACED_ID, name: placeholder.id });
  }

  /** False: the directory would lie in itself, and nothing between the two is a placeholder. */
  async #leaveOwnSubtree(directoryId: string, parentId: string): Promise<boolean> {
    let between: DirectoryEntry | undefined;
    for (let id = parentId; id !== ROOT_ID; ) {
      if (id === directoryId) {
        if (between) await this.#unplace(between);
        return between !== undefined;
      }
      const [at] = await this.#rows.findAll([id]);
      if (at?.type !== 'directory') return false;
      if (between === undefined && isPlaceholder(at)) between = at;
      id = at.parentId;
    }
    return true;
  }

  /** What is below a directory goes to the one that stands in its place, as far as the names are free there. */
  async #merge(directoryId: string, standing: DirectoryEntry): Promise<void> {
    await this.#rows.merge(directoryId, standing.id);
    this.#merged.set(directoryId, standing.id);
    this.#known.set(standing.id, standing);
    if (!this.#known.has(directoryId)) return;
    let left = 0;
    for (const child of await this.#rows.listChildren(directoryId)) {
      const isFree = (await this.#rows.findChild(standing.id, child.name)) === undefined;
      if (isFree) await this.#rows.update({ ...child, parentId: standing.id });
      else left += 1;
    }
    if (left > 0) return;
    await this.#rows.remove(directoryId);
    this.#known.delete(directoryId);
  }
}
