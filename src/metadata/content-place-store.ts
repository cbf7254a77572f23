/** The part of the namespace that says where a content lies, and which instance answers for it, when nothing that clients see changes. */
import type { BackendType } from '../core/entry.ts';

export interface RelocateContent {
  readonly contentId: string;
  /** Only if the entry says that the content lies here; null: in its natural place. */
  readonly fromKey: string | null;
  /** Where it lies now. */
  readonly toKey: string | null;
  /** What it is recognised by there. */
  readonly storageStamp: string;
  /** The announcement of this place, which ends with it; undefined: there was none. */
  readonly announced?: number | undefined;
}

export interface AnnouncePlace {
  /** Who brings it there, and has to remove it again if that is never recorded. */
  readonly instanceId: string;
  readonly contentId: string;
  readonly key: string;
}

export type Announcement =
  | { readonly kind: 'announced'; readonly seq: number }
  /** It still has to be removed from there, by this instance or another one. */
  | { readonly kind: 'busy' }
  /** No entry points to the content any more. */
  | { readonly kind: 'gone' };

export interface TakeOverEntry {
  readonly entryId: string;
  /** Only if the file belongs to this instance. */
  readonly from: string;
  readonly to: string;
}

export interface ContentPlace {
  readonly instanceId: string;
  readonly backendType: BackendType;
}

export interface ContentPlaceStore {
  /** Whether any file lies there. May take long on a large namespace, but holds nothing else up. */
  holdsFiles(place: ContentPlace): Promise<boolean>;

  /**
   * Says beforehand where a content will be brought: from then on it is in the instance's outbox as garbage under that key,
   * until `relocateContent` records it there.
   */
  announcePlace(request: AnnouncePlace): Promise<Announcement>;

  /**
   * Records that a content lies under another key of its backend; not a new version. What lies under the old key is
   * handed to its instance's removals. False: no entry points to the content any more, or to another key of it.
   */
  relocateContent(request: RelocateContent): Promise<boolean>;

  /**
   * Gives a file whose bytes several instances reach to another one of them: path, content and ETag stay. False: it is
   * gone, belongs to another instance or has its bytes where only that instance reaches them.
   */
  takeOverEntry(request: TakeOverEntry): Promise<boolean>;
}
