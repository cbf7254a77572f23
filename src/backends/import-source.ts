/**
 * Files that exist already and may enter the namespace. Whoever implements it never changes or removes a file that
 * it found; it knows nothing about the namespace.
 */
import type { Content, FileEntry } from '../core/entry.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import type { ObservedContent } from './backend.ts';

/** A folder that files to be imported lie in. */
export interface ImportFolder {
  readonly name: string;
  /** Permission bits including the sticky bit. */
  readonly mode: number;
  readonly mtimeMs: number;
}

/** Some of what lies in one folder. */
export interface ImportBatch {
  /** From the top, whose own name does not matter, down to the folder itself. */
  readonly folders: readonly ImportFolder[];
  /** Whether the folder had no batch before this one. */
  readonly first: boolean;
  /** Names of plain files. */
  readonly files: readonly string[];
  readonly refused: readonly RefusedImport[];
}

/** What lies in a folder and cannot be imported. */
export interface RefusedImport {
  /** From the top; bytes that are not text are spelled `\xff`. */
  readonly names: readonly string[];
  readonly reason: string;
}

export interface ImportedFile extends ObservedContent {
  readonly kind: 'imported';
  /** Permission bits. */
  readonly mode: number;
  /** The media type that it has where it comes from; undefined or null: none. */
  readonly contentType?: string | null;
}

export type ImportOutcome =
  | ImportedFile
  | { readonly kind: 'refused'; readonly reason: string }
  /** It is not there any more. */
  | { readonly kind: 'gone' };

/** What has a name at a moment, without being opened. */
export interface ImportLook {
  /** `other`: a symbolic link, a device and the like. */
  readonly kind: 'missing' | 'file' | 'folder' | 'other';
  /** Another one as soon as its bytes, attributes or identity are others. */
  readonly fingerprint: string;
  /** When it was last written to, renamed or changed in its attributes, by the disk's clock, in milliseconds since the epoch. */
  readonly changedMs: number;
}

/** Why a path with these names cannot be in the namespace; undefined: it can. */
export type PathProblem = (names: readonly string[]) => string | undefined;

/** Files that exist beside the namespace, in a backend or where it can get them from. Names are counted from the top. */
export interface ImportSource {
  /** Every folder, also empty ones; memory is bounded by its depth. What has a problem is refused, with all below it. */
  walk(problem: PathProblem): AsyncIterable<ImportBatch>;

  /** Why `take` would refuse the file, as far as can be said without reading it; undefined: it would not. */
  check(names: readonly string[], path: VirtualPath): Promise<string | undefined>;

  /** Makes sure the file lies in the natural place of `path`, never replacing another one, and reads it there once. */
  take(names: readonly string[], path: VirtualPath, contentId: string): Promise<ImportOutcome>;

  /** What has these names now. */
  look(names: readonly string[]): Promise<ImportLook>;
  /** Whether exactly this content lies in the natural place of `path` now. */
  isInPlace(path: VirtualPath, content: Content): Promise<boolean>;
  /** Whether this entry is the file, rather than another one that has its path. */
  isImported(names: readonly string[], path: VirtualPath, entry: FileEntry): Promise<boolean>;
}
