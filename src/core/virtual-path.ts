/**
 * Paths of the namespace. The only place where a request target is percent-decoded and
 * where a path is spelled back into a URL. Knows nothing about disks or buckets.
 */
import { invalidPath } from './errors.ts';

declare const canonical: unique symbol;

/** A validated absolute path: `/` or `/a/b`, no trailing slash, names byte for byte as the client sent them. */
export type VirtualPath = string & { readonly [canonical]: true };

export interface ParsedPath {
  readonly path: VirtualPath;
  /** The client wrote a trailing slash (or the root): it means a directory. */
  readonly namesDirectory: boolean;
}

/** Bytes in one name: the limit of every common filesystem. */
export const MAX_SEGMENT_BYTES = 255;
/** Bytes in a whole path, leading slash included. */
export const MAX_PATH_BYTES = 4096;
/** Kept for an instance's own files beside the data, so no entry may have it at the top level. */
export const RESERVED_TOP_LEVEL_NAME = '.callfs';

/** The directory of the namespace in which copies of trees are made before anybody sees them. No request can name it. */
export const COPIES_PATH = `/${RESERVED_TOP_LEVEL_NAME}/copies` as VirtualPath;

export const ROOT_PATH = '/' as VirtualPath;

// ignoreBOM keeps a leading U+FEFF; dropping it would make two different names one.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const FORBIDDEN_CHARACTERS = /[\u0000-\u001f\u007f\\\u202a-\u202e\u2066-\u2069]/u;
const BEYOND_BYTES = /[\u0100-\uffff]/;
const SAFE_ASCII_NAME = /^[A-Za-z0-9_\-.~]+$/;

/**
 * Parses the raw, still encoded path of a request target (no query).
 *
 * @param encoded as Node gives it: one UTF-16 unit per byte received
 * @throws CallFSError INVALID_PATH with what is wrong
 */
export function parseEncodedPath(encoded: string): ParsedPath {
  const names: string[] = [];
  for (const segment of encoded.split('/')) {
    if (segment !== '') names.push(decodeSegment(segment));
  }
  return { path: toVirtualPath(names), namesDirectory: encoded === '' || encoded.endsWith('/') };
}

/**
 * Joins already decoded names into a path.
 * @throws CallFSError INVALID_PATH if a name or the whole is not allowed
 */
export function toVirtualPath(names: readonly string[]): VirtualPath {
  for (const name of names) assertName(name);
  if (names[0] === RESERVED_TOP_LEVEL_NAME) {
    throw invalidPath(`The top-level name "${RESERVED_TOP_LEVEL_NAME}" is reserved for CallFS itself.`);
  }
  const path = `/${names.join('/')}`;
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) throw invalidPath(`A path may have at most ${MAX_PATH_BYTES} bytes.`);
  return path as VirtualPath;
}

function decodeSegment(segment: string): string {
  if (SAFE_ASCII_NAME.test(segment)) return segment;
  try {
    return utf8.decode(percentDecode(segment));
  } catch (error) {
    if (error instanceof TypeError) throw invalidPath('The path is not valid UTF-8.');
    throw error;
  }
}

function percentDecode(segment: string): Uint8Array {
  // Taken as bytes such characters would become other ones, even letters.
  if (BEYOND_BYTES.test(segment)) throw invalidPath('The path has characters that are not percent-encoded.');
  const received = Buffer.from(segment, 'latin1');
  const decoded = Buffer.allocUnsafe(received.length);
  let length = 0;
  for (let at = 0; at < received.length; at++) {
    const byte = received[at] ?? 0;
    if (byte !== 0x25) {
      decoded[length++] = byte;
      continue;
    }
    const hex = segment.slice(at + 1, at + 3);
    if (!/^[0-9A-Fa-f]{2}$/.test(hex))
      throw invalidPath('The path has a "%" that two hexadecimal digits do not follow.');
    decoded[length++] = Number.parseInt(hex, 16);
    at += 2;
  }
  return decoded.subarray(0, length);
}

function assertName(name: string): void {
  if (name === '' || name === '.' || name === '..') throw invalidPath('The path has a "." or ".." segment.');
  if (name.includes('/')) throw invalidPath('The path has an encoded slash (%2F) inside a segment.');
  if (FORBIDDEN_CHARACTERS.test(name)) {
    throw invalidPath('The path has a control character, a backslash or a bidirectional control.');
  }
  if (!name.isWellFormed()) throw invalidPath('The path is not valid Unicode.');
  if (name.length * 3 > MAX_SEGMENT_BYTES && Buffer.byteLength(name) > MAX_SEGMENT_BYTES) {
    throw invalidPath(`A name may have at most ${MAX_SEGMENT_BYTES} bytes.`);
  }
}

/** The names of a path from the top: `[]` for the root. */
export function namesOf(path: VirtualPath): readonly string[] {
  return path === ROOT_PATH ? [] : path.slice(1).split('/');
}

/** The path of the `depth` topmost names of `names`. */
export function pathOfNames(names: readonly string[], depth = names.length): VirtualPath {
  return `/${names.slice(0, depth).join('/')}` as VirtualPath;
}

export function childPath(parent: VirtualPath, name: string): VirtualPath {
  return (parent === ROOT_PATH ? `/${name}` : `${parent}/${name}`) as VirtualPath;
}

/** Whether a path is `directory` itself or lies below it. */
export function isWithin(path: VirtualPath, directory: VirtualPath): boolean {
  if (directory === ROOT_PATH || path === directory) return true;
  return path.length > directory.length && path[directory.length] === '/' && path.startsWith(directory);
}

/** Percent-encodes a path for a URL, also the characters that a shell or a Markdown reader would take for its own. */
export function encodePath(path: VirtualPath): string {
  return path
    .split('/')
    .map((name) =>
      encodeURIComponent(name).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`),
    )
    .join('/');
}
