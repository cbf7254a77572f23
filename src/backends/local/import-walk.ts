/** Walks a folder with files to be imported: names as the bytes they are, never through symbolic links. */
import type { Dirent, Stats } from 'node:fs';
import { lstat, opendir } from 'node:fs/promises';
import { systemErrorCode } from '../../core/errors.ts';
import { RESERVED_TOP_LEVEL_NAME } from '../../core/virtual-path.ts';
import type { ImportBatch, ImportFolder, PathProblem, RefusedImport } from '../import-source.ts';
import { isAbsent } from './descriptor.ts';

export interface ImportWalk {
  /** Absolute. */
  readonly top: string;
  /** Absolute files to be left out. */
  readonly excluded: ReadonlySet<string>;
  readonly problem: PathProblem;
}

/** Bounds memory, and is what one commit of the metadata store takes. */
const MAX_BATCH = 256;
/** Names that one look at the disk fetches. */
const NAMES_AT_ONCE = 256;
/** Every filesystem of the ext family has this folder at its top. */
export const OF_THE_FILESYSTEM = 'lost+found';
const PERMISSION_BITS = 0o1777;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export async function* walkImport(walk: ImportWalk): AsyncGenerator<ImportBatch> {
  const stats = await lstat(walk.top);
  yield* walkFolder(walk, [], [toFolder('', stats)]);
}

async function* walkFolder(
  walk: ImportWalk,
  names: readonly string[],
  folders: readonly ImportFolder[],
): AsyncGenerator<ImportBatch> {
  const batch = new Batch(folders);
  try {
    const options = { encoding: 'buffer' as 'utf8', bufferSize: NAMES_AT_ONCE };
    for await (const found of await opendir(fileOf(walk, names), options)) {
      const subfolder = await sort(walk, batch, names, found as unknown as Dirent<Buffer>);
      if (subfolder) yield* walkFolder(walk, [...names, subfolder.name], [...folders, subfolder]);
      if (batch.isFull) yield batch.take();
    }
  } catch (error) {
    if (isAbsent(error) && names.length > 0) return;
    batch.refused.push({ names, reason: unreadable(error) });
  }
  yield batch.take();
}

/** Puts one thing where it belongs; a folder to go down into is returned. */
async function sort(
  walk: ImportWalk,
  batch: Batch,
  above: readonly string[],
  found: Dirent<Buffer>,
): Promise<ImportFolder | undefined> {
  const name = decode(found.name);
  const names = [...above, name ?? spell(found.name)];
  const file = fileOf(walk, names);
  // Also of a folder elsewhere: it may be another instance's data root, or the top of a disk.
  const isTop = above.length === 0;
  if ((isTop && name === RESERVED_TOP_LEVEL_NAME) || walk.excluded.has(file)) return undefined;
  const reason = refusal(walk, found, name, names);
  if (reason !== undefined) {
    batch.refused.push({ names, reason });
    return undefined;
  }
  if (found.isFile()) {
    batch.files.push(names.at(-1) ?? '');
    return undefined;
  }
  try {
    const stats = await lstat(file);
    if (isTop && name === OF_THE_FILESYSTEM && isPrivateOfRoot(stats)) return undefined;
    if (stats.isDirectory()) return toFolder(names.at(-1) ?? '', stats);
  } catch (error) {
    if (!isAbsent(error)) batch.refused.push({ names, reason: unreadable(error) });
  }
  return undefined;
}

function refusal(
  { problem }: ImportWalk,
  found: Dirent<Buffer>,
  name: string | undefined,
  names: readonly string[],
): string | undefined {
  if (name === undefined) return 'The name is not valid UTF-8.';
  return refusalOf(found, problem(names));
}

/** Why what was found cannot be imported; undefined: it can, if it can be read. */
export function refusalOf(
  found: Pick<Stats, 'isFile' | 'isDirectory' | 'isSymbolicLink'>,
  problem: string | undefined,
): string | undefined {
  if (found.isSymbolicLink()) return 'It is a symbolic link.';
  if (!found.isFile() && !found.isDirectory()) return 'It is neither a file nor a folder.';
  return problem;
}

class Batch {
  readonly #folders: readonly ImportFolder[];
  #first = true;
  files: string[] = [];
  refused: RefusedImport[] = [];

  constructor(folders: readonly ImportFolder[]) {
    this.#folders = folders;
  }

  get isFull(): boolean {
    return this.files.length + this.refused.length >= MAX_BATCH;
  }

  take(): ImportBatch {
    const { files, refused } = this;
    const batch = { folders: this.#folders, first: this.#first, files, refused };
    this.files = [];
    this.refused = [];
    this.#first = false;
    return batch;
  }
}

/** Why a file or a folder cannot be read, in one sentence. */
export function unreadable(error: unknown): string {
  const code = systemErrorCode(error);
  if (code === undefined) throw error;
  return `It cannot be read (${code}).`;
}

function fileOf({ top }: ImportWalk, names: readonly string[]): string {
  return [top === '/' ? '' : top, ...names].join('/') || '/';
}

export function toFolder(name: string, { mode, mtimeMs }: Stats): ImportFolder {
  return { name, mode: mode & PERMISSION_BITS, mtimeMs: Math.floor(mtimeMs) };
}

function isPrivateOfRoot({ uid, mode }: Stats): boolean {
  return uid === 0 && (mode & 0o777) === 0o700;
}

function decode(name: Buffer): string | undefined {
  try {
    return utf8.decode(name);
  } catch {
    return undefined;
  }
}

/** Bytes that are no text, for a person to read: what is not ASCII as `\xff`. */
function spell(name: Buffer): string {
  return name.toString('latin1').replace(/[\x80-\xff]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16)}`);
}
