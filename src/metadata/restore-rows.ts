/** What bringing entries back needs of a store's table, inside one transaction. */
import type { Entry } from '../core/entry.ts';

export interface RestoreRows {
  findAll(ids: readonly string[]): Promise<readonly Entry[]>;
  findChild(parentId: string, name: string): Promise<Entry | undefined>;
  listChildren(directoryId: string): Promise<readonly Entry[]>;
  /** Those whose names, ids and contents are free; resolves to their ids. All parents must be there. */
  insertAll(entries: readonly Entry[]): Promise<ReadonlySet<string>>;
  /** Writes the whole entry, also its parent and its name. */
  update(entry: Entry): Promise<void>;
  /** Only without children. */
  remove(entryId: string): Promise<void>;
  /** Directories → those that take what belongs into them. */
  findMerged(directoryIds: readonly string[]): Promise<ReadonlyMap<string, string>>;
  /** One that is merged into itself was made in the end of a rebuild, in the place of the real one. */
  merge(directoryId: string, intoId: string): Promise<void>;
  unmerge(directoryId: string): Promise<void>;
}
