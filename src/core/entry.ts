/** What the namespace holds: files and directories, as every layer sees them. */

export type BackendType = 'localfs' | 's3';

interface EntryAttributes {
  readonly id: string;
  readonly parentId: string;
  readonly name: string;
  /** Permission bits including the sticky bit, e.g. 0o644. */
  readonly mode: number;
  /** Decides the owner class; numeric ids are only shown. */
  readonly owner: string;
  readonly group: string;
  readonly uid: number;
  readonly gid: number;
  /** Milliseconds since the epoch. */
  readonly mtimeMs: number;
  readonly createdAtMs: number;
  /** Grows by one with every change of the entry. */
  readonly version: number;
  /** The instance that holds the bytes of a file, or that made a directory. */
  readonly instanceId: string;
  readonly backendType: BackendType;
}

/** Immutable bytes as a backend keeps them. */
export interface Content {
  /** Names these bytes; a replaced file gets another one. */
  readonly contentId: string;
  readonly sizeBytes: number;
  /** CRC-32 (the polynomial of zlib) of all bytes, as eight hexadecimal digits. */
  readonly checksum: string;
  /** SHA-256 of all bytes, in hexadecimal digits; undefined: an earlier version of CallFS stored them without it. */
  readonly sha256?: string | undefined;
  /** Where the backend keeps the bytes when that is not the natural place; null: the natural place. */
  readonly storageKey: string | null;
  /** By what the backend recognises the bytes it stored (an inode and its time, an S3 ETag); opaque to others. */
  readonly storageStamp: string;
}

type ByteSums = Pick<Content, 'sizeBytes' | 'checksum' | 'sha256'>;

/** As far as is known of both: what is read now has all sums, what was stored once may have fewer. */
export function haveSameBytes(left: ByteSums, right: ByteSums): boolean {
  if (left.sizeBytes !== right.sizeBytes || left.checksum !== right.checksum) return false;
  return left.sha256 === undefined || right.sha256 === undefined || left.sha256 === right.sha256;
}

export interface FileEntry extends EntryAttributes, Content {
  readonly type: 'file';
  readonly contentType: string | null;
  /** New with every new content; unlike the content id it stays when the bytes only move to another instance. */
  readonly etag: string;
}

export interface DirectoryEntry extends EntryAttributes {
  readonly type: 'directory';
}

export type Entry = FileEntry | DirectoryEntry;
export type EntryType = Entry['type'];

/** The root directory's id; it is its own parent. */
export const ROOT_ID = 'root';

export const DEFAULT_FILE_MODE = 0o644;
export const DEFAULT_DIRECTORY_MODE = 0o755;
/** Everybody may create at the top, nobody may remove what others made (like /tmp). */
export const ROOT_MODE = 0o1777;

/** Octal as the protocol writes it: at least four digits. */
export function formatMode(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}

/** The strong entity tag: new for every new content (RFC 9110 section 8.8.3). */
export function entityTag(entry: FileEntry): string {
  return `"${entry.etag}"`;
}
