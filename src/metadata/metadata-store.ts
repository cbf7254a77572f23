/**
 * The namespace: the only arbiter of the cluster. Every mutation is one transaction, and that
 * transaction is the only commit point of the operation it belongs to. Knows nothing about
 * users' rights to an operation (except where a whole tree is judged at once), bytes or HTTP.
 *
 * All methods reject with CallFSError METADATA_UNAVAILABLE when the store cannot be reached and
 * INSUFFICIENT_STORAGE when it has no room. A rejected mutation did not happen.
 */
import type { BackendType, Content, DirectoryEntry, Entry, FileEntry } from '../core/entry.ts';
import type { User } from '../core/permissions.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import type { CatalogStore } from './catalog-store.ts';
import type { ContentPlaceStore } from './content-place-store.ts';
import type { InstanceStore } from './instance-store.ts';
import type { JobStore } from './job-store.ts';
import type { LinkStore } from './link-store.ts';
import type { RebuildStore } from './rebuild-store.ts';
import type { UploadStore } from './upload-store.ts';

/** A new entry as the caller decides it; the store adds the parent and `version` 1. */
export type NewEntry = NewFile | NewDirectory;
export type NewFile = Omit<FileEntry, 'parentId' | 'version'>;
export type NewDirectory = Omit<DirectoryEntry, 'parentId' | 'version'>;

export interface CreateEntry {
  /** The deepest directory that exists, as the caller resolved and authorised it. */
  readonly parentId: string;
  /** Directories that are missing between it and the entry, outermost first. */
  readonly missingParents: readonly NewDirectory[];
  readonly entry: NewEntry;
  /** The file's bytes lie in their natural place already: nothing but a note tells its instance about it. */
  readonly isInPlace?: boolean;
  /** A file that stands there and makes room; undefined: nothing may stand there. */
  readonly replacesId?: string | undefined;
  /** The resumable upload that becomes the file, and is finished with it: only if it was not finished before. */
  readonly finishesUpload?: string | undefined;
}

export type CreateOutcome =
  | { readonly kind: 'created'; readonly entry: Entry }
  /** The name is taken: here is who won. */
  | { readonly kind: 'exists'; readonly entry: Entry }
  /** The parents are not what the caller resolved any more: resolve, authorise and try again. */
  | { readonly kind: 'changed' };

export interface ReplaceContent {
  readonly entryId: string;
  /** Only if the entry still has this content; undefined: whatever it has. */
  readonly expectContentId: string | undefined;
  /** The instance that has the new content. Without `takeOver` only if the entry still belongs to it. */
  readonly instanceId: string;
  readonly backendType: BackendType;
  /** Also when the entry belongs to another instance by now: it becomes this one's, the old bytes garbage there. */
  readonly takeOver: boolean;
  readonly content: Content;
  /** Undefined keeps the declared type. */
  readonly contentType: string | null | undefined;
  readonly mtimeMs: number;
  /** False when the old bytes are already gone (changed outside CallFS): nothing is left to remove. */
  readonly discardPrevious: boolean;
  /** @see CreateEntry.finishesUpload */
  readonly finishesUpload?: string | undefined;
}

export type ReplaceOutcome =
  | { readonly kind: 'replaced'; readonly entry: FileEntry }
  /** The entry is gone, belongs to another instance or has other content than expected. */
  | { readonly kind: 'changed' };

export interface RemoveEntry {
  readonly entryId: string;
  /** Only if the file still has this content; undefined: whatever it has. */
  readonly expectContentId: string | undefined;
  /** Only if it still belongs to this instance; undefined: whoever has it. */
  readonly expectInstanceId?: string | undefined;
}

export type RemoveOutcome =
  | { readonly kind: 'removed' }
  | { readonly kind: 'not-empty' }
  /** Gone, or the expected content was replaced. */
  | { readonly kind: 'changed' };

export type RemoveTreeOutcome =
  | { readonly kind: 'removed'; readonly count: number }
  | { readonly kind: 'changed' }
  /** The user may not empty a directory below: nothing was removed. */
  | { readonly kind: 'denied'; readonly path: VirtualPath };

export interface MoveEntry {
  readonly entryId: string;
  /** Only if the entry is still this child, as the caller resolved and authorised it. */
  readonly from: { readonly parentId: string; readonly name: string };
  /** Only if the file still has this content; undefined: whatever it has. */
  readonly expectContentId: string | undefined;
  /** Only if it still belongs to this instance; undefined: whoever has it. */
  readonly expectInstanceId?: string | undefined;
  /** Where it goes: may be where it is, when only the content moves. */
  readonly to: {
    /** The deepest directory that exists, as the caller resolved and authorised it. */
    readonly parentId: string;
    /** Directories that are missing between it and the entry, outermost first. */
    readonly missingParents: readonly NewDirectory[];
    readonly name: string;
  };
  /** A file, or an empty directory, that stands there and makes room; undefined: nothing may stand there. */
  readonly replacesId: string | undefined;
  /** The file's bytes now lie here; undefined: where they were. Needs `expectContentId`. */
  readonly relocated: RelocatedContent | undefined;
}

/** The same bytes in another backend. */
export interface RelocatedContent {
  readonly content: Content;
  readonly instanceId: string;
  readonly backendType: BackendType;
}

export type MoveOutcome =
  | { readonly kind: 'moved'; readonly entry: Entry }
  /** The name is taken: here is by whom. */
  | { readonly kind: 'exists'; readonly entry: Entry }
  /** The directory that shall make room has children. */
  | { readonly kind: 'not-empty' }
  /** The directory would lie in itself. */
  | { readonly kind: 'cycle' }
  /** A path below the directory would have more than MAX_MOVED_PATH_BYTES. */
  | { readonly kind: 'too-long' }
  /** The entry or the way to its new place is not what the caller resolved any more: start over. */
  | { readonly kind: 'changed' };

/** A directory may grow longer paths only up to here: a disk must be able to follow, whatever the path of its data root. */
export const MAX_MOVED_PATH_BYTES = 3072;

export interface ChangeAttributes {
  readonly entryId: string;
  /** Only if the entry still has this version, as the caller resolved and authorised it. */
  readonly expectVersion: number;
  /** What is undefined stays. */
  readonly mode: number | undefined;
  readonly owner: { readonly name: string; readonly uid: number } | undefined;
  readonly group: { readonly name: string; readonly gid: number } | undefined;
}

export type ChangeAttributesOutcome =
  | { readonly kind: 'attributes-changed'; readonly entry: Entry }
  /** The entry is gone or has another version. */
  | { readonly kind: 'changed' };

/** Where the entry that points to a content stands now. */
export interface LocatedContent {
  readonly contentId: string;
  readonly path: VirtualPath;
}

/** A file with the path it has. */
export interface LocatedFile {
  readonly entry: FileEntry;
  readonly path: VirtualPath;
}

/** What a commit left for an instance to do on its own disk. */
export type OutboxItem = DiscardedContent | MovedPath;

interface OutboxAttributes {
  /** Grows with every item; items are handled in this order. */
  readonly seq: number;
  /** Who has to do it. */
  readonly instanceId: string;
  readonly entryId: string;
  /** The path the entry had before the commit. */
  readonly path: VirtualPath;
  /** Which of the instance's backends has to do it. */
  readonly backendType: BackendType;
}

/** Bytes that a commit made garbage and that `instanceId` still has to remove from its backend. */
export interface DiscardedContent extends OutboxAttributes, Content {
  readonly kind: 'discard';
}

/** An entry that has another path now; everything below a directory with it. */
export interface MovedPath extends OutboxAttributes {
  readonly kind: 'move';
  readonly to: VirtualPath;
  /** What the file had when it moved; undefined: it is a directory. */
  readonly content: Content | undefined;
}

/** Where a directory stands: little, because a tree may have many. */
export type DirectoryPlace = Pick<DirectoryEntry, 'id' | 'parentId' | 'name'>;

/** The directories of a tree at one moment. */
export interface DirectoryTree {
  /** In no particular order. */
  readonly directories: readonly DirectoryPlace[];
  /** The root's version at that moment, which grows whenever any entry gets another path. */
  readonly pathsVersion: number;
}

export interface MetadataStore extends CatalogStore, RebuildStore, ContentPlaceStore, InstanceStore {
  readonly jobs: JobStore;
  readonly links: LinkStore;
  readonly uploads: UploadStore;

  /**
   * The entries on the way to a path, from the root to the deepest that exists (at least the root),
   * all of one moment and in one round trip. The path exists when the last one is its own.
   */
  resolve(names: readonly string[]): Promise<readonly Entry[]>;

  /** Exclusive create, with the missing parents, as one: exactly one of many callers gets `created`. */
  createEntry(request: CreateEntry): Promise<CreateOutcome>;

  /** Points a file to new content; the old content is handed to its instance's removals in the same transaction. */
  replaceContent(request: ReplaceContent): Promise<ReplaceOutcome>;

  /** Records that the same bytes are now recognised by another stamp (restored from a backup); not a new version. */
  restampContent(contentId: string, storageStamp: string): Promise<void>;

  /**
   * Gives an entry another path, everything below a directory with it, or a file's bytes another place, or both, as one:
   * every reader sees it there or here. Instances that hold bytes of it find what to do in their outbox.
   */
  moveEntry(request: MoveEntry): Promise<MoveOutcome>;

  /** Changes who an entry belongs to and who may use it. */
  changeAttributes(request: ChangeAttributes): Promise<ChangeAttributesOutcome>;

  /** Removes a file or an empty directory; never leaves a child without a parent, whoever races. */
  removeEntry(request: RemoveEntry): Promise<RemoveOutcome>;

  /** Removes a directory with everything below as one, if `user` may empty every directory in it. */
  removeTree(directoryId: string, user: User): Promise<RemoveTreeOutcome>;

  /**
   * Children in byte order of their names, one page.
   * @param after only names greater than this; undefined: from the first
   */
  listChildren(directoryId: string, after: string | undefined, limit: number): Promise<readonly Entry[]>;

  /**
   * The directories below one, all of one moment: whatever is renamed or moved meanwhile is there as it was before or as
   * it is after, wholly.
   * @param depth levels; 1: only those in the directory itself
   */
  readDirectories(topId: string, depth: number): Promise<DirectoryTree>;

  /**
   * All files of the namespace with their paths, one page, in the order of their ids: a file that exists all
   * the time is listed exactly once, whatever happens to its name and its content meanwhile.
   * @param after only ids greater than this; undefined: from the first
   */
  listFiles(after: string | undefined, limit: number): Promise<readonly LocatedFile[]>;

  /** Which of these contents an entry points to, and under which path; the others are garbage. */
  locateContents(contentIds: readonly string[]): Promise<readonly LocatedContent[]>;

  /**
   * The oldest of what an instance still has to do where it keeps bytes.
   * @param backendType only what that backend has to do; undefined: all
   */
  listOutbox(instanceId: string, limit: number, backendType?: BackendType): Promise<readonly OutboxItem[]>;

  /** What all instances still have to do, whether the instance is known or not, one page behind `after`. */
  listWholeOutbox(after: number | undefined, limit: number): Promise<readonly OutboxItem[]>;

  /**
   * Calls `wake` soon after somebody left work for an instance, until what it resolves to is disposed. Only a hint:
   * a store may wake late, in vain or never.
   */
  watchOutbox(wake: () => void): Promise<AsyncDisposable>;

  /** Forgets what has durably been done. Unknown numbers are not an error. */
  forgetOutbox(seqs: readonly number[]): Promise<void>;

  /** Finishes what was asked for, then closes. */
  [Symbol.asyncDispose](): Promise<void>;
}
