/** The part of the store in memory that says where a content lies and which instance answers for it. */
import type { FileEntry } from '../../core/entry.ts';
import type {
  Announcement,
  AnnouncePlace,
  ContentPlace,
  ContentPlaceStore,
  RelocateContent,
  TakeOverEntry,
} from '../content-place-store.ts';
import { MemoryRebuildStore } from './memory-rebuild-store.ts';

export abstract class MemoryContentPlaces extends MemoryRebuildStore implements ContentPlaceStore {
  /** Its bytes become garbage, where the entry says that they are. @returns the number in the outbox */
  protected abstract discard(file: FileEntry): number;
  protected abstract isDiscarded(contentId: string, key: string): boolean;

  async holdsFiles({ instanceId, backendType }: ContentPlace): Promise<boolean> {
    return this.tree()
      .files()
      .some((file) => file.instanceId === instanceId && file.backendType === backendType);
  }

  async announcePlace({ instanceId, contentId, key }: AnnouncePlace): Promise<Announcement> {
    if (this.isDiscarded(contentId, key)) return { kind: 'busy' };
    const file = this.tree().findByContent(contentId);
    if (!file) return { kind: 'gone' };
    const seq = this.discard({ ...file, instanceId, storageKey: key, storageStamp: '' });
    return { kind: 'announced', seq };
  }

  async relocateContent(request: RelocateContent): Promise<boolean> {
    const { contentId, fromKey, toKey, storageStamp, announced } = request;
    const tree = this.tree();
    const file = tree.findByContent(contentId);
    if (file?.storageKey !== fromKey) return false;
    if (announced !== undefined) await this.forgetOutbox([announced]);
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
