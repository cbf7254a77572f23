/** The part of the store in memory that says where a content lies and which instance answers for it. */
import type { FileEntry } from '../../core/entry.ts';
import type { ContentPlace, ContentPlaceStore, RelocateContent, TakeOverEntry } from '../content-place-store.ts';
import { MemoryRebuildStore } from './memory-rebuild-store.ts';

export abstract class MemoryContentPlaces extends MemoryRebuildStore implements ContentPlaceStore {
  /** Its bytes become garbage, where the entry says that they are. */
  protected abstract discard(file: FileEntry): void;

  async holdsFiles({ instanceId, backendType }: ContentPlace): Promise<boolean> {
    return this.tree()
      .files()
      .some((file) => file.instanceId === instanceId && file.backendType === backendType);
  }

  async relocateContent({ contentId, fromKey, toKey, storageStamp }: RelocateContent): Promise<boolean> {
    const tree = this.tree();
    const file = tree.findByContent(contentId);
    if (file?.storageKey !== fromKey) return false;
    if (fromKey !== toKey) this.discard(file);
    tree.put({ ...file, storageKey: toKey, storageStamp });
    this.note(file);
    return true;
  }

  async takeOverEntry({ entryId, from, to }: TakeOverEntry): Promise<boolean> {
    const tree = this.tree();
    const file = tree.findFile(entryId);
    if (file?.instanceId !== from || file.backendType === 'localfs') return false;
    const taken = { ...file, instanceId: to, version: file.version + 1 };
    tree.put(taken);
    this.note(file);
    this.note(taken);
    return true;
  }
}
