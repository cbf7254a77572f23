/** The entries in memory as bringing entries back needs them. */
import type { Entry } from '../../core/entry.ts';
import type { RestoreRows } from '../restore-rows.ts';
import type { EntryTree } from './entry-tree.ts';

export class MemoryRestoreRows implements RestoreRows {
  readonly #tree: EntryTree;
  readonly #merged: Map<string, string>;

  constructor(tree: EntryTree, merged: Map<string, string>) {
    this.#tree = tree;
    this.#merged = merged;
  }

  async findAll(ids: readonly string[]): Promise<readonly Entry[]> {
    return ids.map((id) => this.#tree.find(id)).filter((entry) => entry !== undefined);
  }

  async findChild(parentId: string, name: string): Promise<Entry | undefined> {
    return this.#tree.findChild(parentId, name);
  }

  async listChildren(directoryId: string): Promise<readonly Entry[]> {
    return this.#tree.childrenOf(directoryId);
  }

  async insertAll(entries: readonly Entry[]): Promise<ReadonlySet<string>> {
    const inserted = new Set<string>();
    for (const entry of entries) {
      const isTaken =
        this.#tree.find(entry.id) !== undefined ||
        this.#tree.findChild(entry.parentId, entry.name) !== undefined ||
        (entry.type === 'file' && this.#tree.findByContent(entry.contentId) !== undefined);
      if (isTaken) continue;
      this.#tree.put(entry);
      inserted.add(entry.id);
    }
    return inserted;
  }

  async update(entry: Entry): Promise<void> {
    const current = this.#tree.find(entry.id);
    if (current) this.#tree.move(current, entry);
  }

  async remove(entryId: string): Promise<void> {
    const entry = this.#tree.find(entryId);
    if (entry) this.#tree.delete(entry);
  }

  async findMerged(directoryIds: readonly string[]): Promise<ReadonlyMap<string, string>> {
    return new Map([...this.#merged].filter(([id]) => directoryIds.includes(id)));
  }

  async merge(directoryId: string, intoId: string): Promise<void> {
    this.#merged.set(directoryId, intoId);
  }

  async unmerge(directoryId: string): Promise<void> {
    this.#merged.delete(directoryId);
  }
}
