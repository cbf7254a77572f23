/**
 * Where bytes live. A backend stages content, keeps it in its natural place once the namespace points
 * to it, and removes it once the namespace does not. It never decides what is true: the namespace does.
 *
 * Errors: CallFSError INSUFFICIENT_STORAGE when there is no room, BACKEND_UNAVAILABLE when the disk or
 * bucket fails. A failed operation leaves older content as it was.
 */
import type { BackendType, Content } from '../core/entry.ts';
import type { LocatedEntry } from '../core/located-entry.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import type { PartialContents } from './partial-contents.ts';

/** Takes bytes; the chunk may be reused as soon as the promise resolves. */
export interface ByteSink {
  write(chunk: Uint8Array): Promise<void>;
}

/** One content, opened and checked. Keeps giving these bytes whatever happens to the path meanwhile. */
export interface ContentReader extends AsyncDisposable {
  readonly sizeBytes: number;
  /** All bytes in one piece; only for content that is small. */
  readAll(): Promise<Uint8Array>;
  /** Sends the bytes from `start` (inclusive) to `end` (exclusive), never holding more than a few buffers. */
  copyTo(sink: ByteSink, start: number, end: number): Promise<void>;
}

/** Content that is durable but that nothing points to yet. */
export interface StagedContent {
  readonly content: Content;
  /** When its last byte was written, in milliseconds since the epoch. */
  readonly mtimeMs: number;
  open(): Promise<ContentReader>;
}

export type FoundContent =
  | { readonly kind: 'intact'; readonly reader: ContentReader }
  /** Other bytes lie in the natural place: changed outside CallFS, or not settled yet. */
  | { readonly kind: 'changed' }
  | { readonly kind: 'missing' };

/** What lies in a natural place, whoever put it there. */
export interface ObservedContent {
  readonly content: Content;
  readonly mtimeMs: number;
}

export interface StageOptions {
  /** More bytes than this reject with PAYLOAD_TOO_LARGE; undefined: no limit. */
  readonly maxBytes: number | undefined;
  /** How many there will be, as far as somebody has said so. */
  readonly declaredBytes?: number | undefined;
}

export interface Backend {
  readonly type: BackendType;

  /** Contents that arrive in pieces; undefined: this backend cannot keep them. */
  readonly partials?: PartialContents | undefined;

  /** Rejects when the backend cannot be used now. */
  check(): Promise<void>;

  /** Rejects with INSUFFICIENT_STORAGE when there is certainly no room for a content of this size. */
  assertRoom(sizeBytes: number): Promise<void>;

  /** Bytes there is room for now; undefined: nobody knows. */
  freeBytes(): Promise<number | undefined>;

  /** Receives all bytes and makes them durable. Rejects, leaving nothing, when the source or the disk fails; closes no source. */
  stage(contentId: string, bytes: AsyncIterable<Uint8Array>, options: StageOptions): Promise<StagedContent>;

  /**
   * Stages a content with the same bytes as one that lies here, without reading them; undefined: that is not possible,
   * or the original is not where it was looked for, and its bytes may still be read and staged.
   */
  stageClone(contentId: string, original: Content, path: VirtualPath): Promise<StagedContent | undefined>;

  /** The namespace now points to this content: bring it to its natural place soon. */
  committed(staged: StagedContent): void;

  /**
   * A file whose bytes several instances reach has become this instance's: bring it to its natural place if its former
   * owner did not. Undefined: nobody else reaches this backend.
   */
  takenOver?(contentId: string): void;

  /** The namespace will never point to this content. */
  discard(staged: StagedContent): Promise<void>;

  /** The outcome of the commit is not known: ask the namespace, then keep or remove the bytes. */
  reconcile(staged: StagedContent): void;

  /** A commit left this backend something to do: removals, moves. */
  outboxPending(): void;

  /** Opens a content where it is now, wherever settling has brought it. */
  open(content: Content, path: VirtualPath): Promise<FoundContent>;

  /** Whether `open` would find the content, without opening it. */
  probe(content: Content, path: VirtualPath): Promise<FoundContent['kind']>;

  /** Resolves when everything committed before the call lies in its natural place, as far as the disk allowed. */
  settled(): Promise<void>;

  /** Reads what lies in a natural place as new content named `contentId`; undefined when there is no file. */
  observe(path: VirtualPath, contentId: string): Promise<ObservedContent | undefined>;
}

/** `another-key`: of a backend that knows of each content where it is, wherever that may be. */
export type MisplacedArea = 'staging' | 'long-names' | 'another-key';

/** What became of a content, looked for wherever it may lie. */
export type Examination =
  | { readonly kind: 'intact' }
  /** Size and stamp fit, the bytes are others. */
  | { readonly kind: 'corrupt'; readonly checksum: string }
  /** It lies somewhere else than in its natural place; the instance finds it only in `staging`. */
  | { readonly kind: 'misplaced'; readonly area: MisplacedArea }
  /** Another file lies in the natural place. @see Holdings.observe */
  | { readonly kind: 'changed'; readonly adoptable: boolean }
  | { readonly kind: 'missing' }
  | { readonly kind: 'unreadable'; readonly reason: string };

/** A file that lies in a backend, whoever put it there. */
export interface HeldFile {
  /** Where it lies under the root, as an operator reads it; also names that no path can have. */
  readonly location: string;
  /** The same as bytes: names on a disk need not be text. */
  readonly rawLocation: Uint8Array;
  /** The path whose natural place this is; undefined: of none. */
  readonly path: VirtualPath | undefined;
  /** The content it is named after; undefined: it has the name of a path. */
  readonly contentId: string | undefined;
  readonly sizeBytes: number;
  readonly storageStamp: string;
  /** Stays the same while the file is written to, and is not shared with a file that comes after it. */
  readonly identity: string;
}

/** A file that nothing in the namespace accounts for. */
export interface StrangeFile {
  readonly file: HeldFile;
  /** Bytes that were to become a content of this instance, and did not. */
  readonly isStaged: boolean;
}

/** Bytes that are kept for an upload which was not finished, and are no file yet. */
export interface UnfinishedBytes {
  readonly location: string;
  readonly id: string;
}

/** Where a content was found, and what it is recognised by there. */
export type FoundPlace = Pick<Content, 'storageKey' | 'storageStamp'>;

export interface UnreadablePlace {
  readonly location: string;
  readonly reason: string;
}

/** What a backend holds, looked at and put right from beside the instance that serves it, or in its absence. */
export interface Holdings extends AsyncDisposable {
  readonly type: BackendType;
  /** Where it is, for the operator. */
  readonly root: string;
  /** Whether this process has the backend for itself: the instance does not run and cannot start. */
  readonly claimed: boolean;

  /** Whether the instance's process uses the backend now. */
  isServed(): Promise<boolean>;

  /** Rejects when what is there now is not the instance's: nothing may be concluded from what is missing. */
  assertPresent(): Promise<void>;

  /** Before much is looked at: what can be looked at together is. @param under only that path and what is below */
  survey?(under: VirtualPath | undefined): Promise<void>;

  /** @param deep also reads all bytes of what looks intact */
  examine(content: Content, path: VirtualPath, deep: boolean): Promise<Examination>;

  /** @see Backend.observe */
  observe(path: VirtualPath, contentId: string): Promise<ObservedContent | undefined>;

  /** Every file but staged ones; `under`: only that path and what is below. In no particular order. */
  files(under: VirtualPath | undefined): AsyncIterable<HeldFile | UnreadablePlace>;

  /**
   * Those of some files that nothing accounts for, as far as can be said now. Undefined: the place of a file tells whose it
   * is, and the namespace what belongs there.
   */
  findStrange?(files: readonly HeldFile[]): Promise<readonly StrangeFile[]>;

  /** Removes exactly this file, which was staged and that nothing points to. */
  removeStaged?(file: HeldFile): Promise<void>;

  /** What nobody goes on with. */
  unfinished?(): Promise<readonly UnfinishedBytes[]>;

  removeUnfinished?(bytes: UnfinishedBytes): Promise<void>;

  /** Whether that very file is still there. */
  isThere(file: HeldFile): Promise<boolean>;

  /** The content ids that something is staged under. */
  staged(): Promise<readonly string[]>;

  /** When the last byte of a staged content was written; undefined: nothing is staged under this id. */
  stagedAtMs(contentId: string): Promise<number | undefined>;

  /** The ids of resumable uploads that have bytes here. */
  uploads(): Promise<readonly string[]>;

  /** Removes the bytes of an upload that nobody continues. */
  removeUpload(id: string): Promise<void>;

  /** Moves exactly this file to where unknown files are kept; resolves to its new location, undefined when it is not there. */
  moveAside(file: HeldFile): Promise<string | undefined>;

  /** Brings a misplaced content back to where `settle` finds it. Only when claimed. */
  bringBack(contentId: string): Promise<void>;

  /** What the instance does when it starts: places staged content, removes what nothing points to. Only when claimed. */
  settle(ledger: ContentLedger, catalog?: CatalogLedger): Promise<void>;
}

/** Holdings of which the namespace says for each content where it is. */
export interface PlacedHoldings extends Holdings {
  /** Whether a content that is where it says belongs elsewhere. */
  isMisplaced(content: Content, path: VirtualPath): boolean;

  /** Where a content is, wherever it may lie; undefined: nowhere, or other bytes are there. */
  find(content: Content, path: VirtualPath): Promise<FoundPlace | undefined>;

  /**
   * Reads what somebody has put where a content was, as new content named `contentId`; undefined: nothing is there, or what
   * another entry has put there.
   */
  observeInstead(content: Content, path: VirtualPath, contentId: string): Promise<ObservedContent | undefined>;
}

/** Holdings that can say what the namespace was. */
export interface RecallingHoldings extends Holdings {
  /** What the instance has kept of what the namespace said about its data. Only when claimed. */
  recall(): Promise<RecalledCatalog>;

  /** Files that are staged, as `files` gives the others. */
  stagedFiles(): AsyncIterable<HeldFile | UnreadablePlace>;
}

export interface RecalledCatalog {
  /** The files that the instance held and the directories that it made, as far as it knows. */
  readonly entries: readonly LocatedEntry[];
  /** It has kept nothing at all. */
  readonly isMissing: boolean;
  /** Pieces that cannot be read; the last one before a crash may be such. */
  readonly damagedLines: number;
}

/** What a backend asks of the namespace to settle; the metadata store fits. */
export interface ContentLedger {
  locateContents(contentIds: readonly string[]): Promise<readonly { contentId: string; path: VirtualPath }[]>;
  /** What commits left for this backend of the instance to do, oldest first. */
  listOutbox(instanceId: string, limit: number): Promise<readonly Unsettled[]>;
  forgetOutbox(seqs: readonly number[]): Promise<void>;
  /** Whether the namespace has a file of this backend of the instance at a path now. */
  hasFile(path: VirtualPath): Promise<boolean>;
}

/** What a backend asks of the namespace to keep beside its data what the namespace says about it. */
export interface CatalogLedger {
  /** Which namespace it is, and whether what this instance held was brought back into it from its catalog. */
  identify(): Promise<{ readonly storeId: string; readonly rebuild: 'none' | 'begun' | 'finished' }>;
  describeContents(contentIds: readonly string[]): Promise<readonly LocatedEntry[]>;
  /** Entries that are gone are left out. */
  describeEntries(entryIds: readonly string[]): Promise<readonly LocatedEntry[]>;
  /** What this instance holds and has made, piece by piece, in the order of the ids. */
  listHoldings(
    after: string | undefined,
    limit: number,
  ): Promise<{ readonly entries: readonly LocatedEntry[]; readonly next: string | undefined }>;
  /** The oldest of the entries of this instance that changed without leaving it anything else to do. */
  listNotes(limit: number): Promise<readonly { readonly seq: number; readonly entryId: string }[]>;
  forgetNotes(seqs: readonly number[]): Promise<void>;
}

export type Unsettled = Discarded | Moved;

/** Content that the namespace no longer points to, at the path where it lay. */
export interface Discarded extends Content {
  readonly kind: 'discard';
  readonly seq: number;
  readonly entryId?: string;
  readonly backendType: BackendType;
  readonly path: VirtualPath;
}

/** An entry that lay at `path` and now belongs at `to`, with everything below it. */
export interface Moved {
  readonly kind: 'move';
  readonly seq: number;
  readonly entryId?: string;
  readonly path: VirtualPath;
  readonly to: VirtualPath;
  /** What the file had when it moved; undefined: it is a directory. */
  readonly content: Content | undefined;
}
