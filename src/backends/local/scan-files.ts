/** Walks the disk below a data root, names as the bytes they are, CallFS's own files left out. */
import type { Dirent, Stats } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { systemErrorCode } from '../../core/errors.ts';
import { namesOf, RESERVED_TOP_LEVEL_NAME, toVirtualPath, type VirtualPath } from '../../core/virtual-path.ts';
import type { HeldFile, UnreadablePlace } from '../backend.ts';
import { isAbsent, unlessAbsent } from './descriptor.ts';
import { stampOf } from './stamp.ts';

/** Every filesystem of the ext family has this folder at its top, and only root may look into it. */
const OF_THE_FILESYSTEM = 'lost+found';

interface Place {
  /** Relative to the root. */
  readonly raw: Buffer;
  /** Undefined as soon as one name on the way cannot be part of a path. */
  readonly names: readonly string[] | undefined;
}

export interface Scan {
  readonly root: string;
  /** Locations of files that belong to the operator, not to the namespace. */
  readonly excluded: ReadonlySet<string>;
}

/** Files (whatever is not a directory) at natural places; `under`: only that path and what is below. */
export async function* scanNaturalFiles(
  scan: Scan,
  under: VirtualPath | undefined,
): AsyncGenerator<HeldFile | UnreadablePlace> {
  const names = under === undefined ? [] : namesOf(under);
  const top: Place = { raw: Buffer.from(names.join('/')), names };
  if (names.length > 0) {
    const found = await look(scan, top, undefined);
    if (found) yield found;
  }
  yield* scanBelow(scan, top);
}

/** Content under its id, where natural paths are too long. */
export async function* scanContentFiles(scan: Scan, folder: string): AsyncGenerator<HeldFile | UnreadablePlace> {
  for (const entry of (await unlessAbsent(readdir(`${scan.root}/${folder}`, { withFileTypes: true }))) ?? []) {
    if (entry.isDirectory()) continue;
    const found = await look(scan, { raw: Buffer.from(`${folder}/${entry.name}`), names: undefined }, entry.name);
    if (found) yield found;
  }
}

async function* scanBelow(scan: Scan, top: Place): AsyncGenerator<HeldFile | UnreadablePlace> {
  const waiting = [top];
  for (let place = waiting.pop(); place; place = waiting.pop()) {
    const listed = await list(scan, place);
    if (!Array.isArray(listed)) {
      yield listed;
      continue;
    }
    for (const entry of listed) {
      const child = childOf(place, entry.name);
      if (child.raw.equals(Buffer.from(RESERVED_TOP_LEVEL_NAME))) continue;
      if (entry.isDirectory()) {
        waiting.push(child);
        continue;
      }
      const found = await look(scan, child, undefined);
      if (found) yield found;
    }
  }
}

async function list(scan: Scan, place: Place): Promise<Dirent<Buffer>[] | UnreadablePlace> {
  try {
    return await readdir(absolute(scan, place.raw), { withFileTypes: true, encoding: 'buffer' });
  } catch (error) {
    if (isAbsent(error)) return [];
    const code = systemErrorCode(error);
    if (code === 'EACCES' && place.raw.equals(Buffer.from(OF_THE_FILESYSTEM))) return [];
    return { location: place.raw.toString(), reason: code ?? String(error) };
  }
}

function childOf({ raw, names }: Place, name: Buffer): Place {
  const text = name.toString();
  const isText = Buffer.from(text).equals(name);
  return {
    raw: raw.length === 0 ? name : Buffer.concat([raw, Buffer.from('/'), name]),
    names: names && isText ? [...names, text] : undefined,
  };
}

async function look(
  scan: Scan,
  { raw, names }: Place,
  contentId: string | undefined,
): Promise<HeldFile | UnreadablePlace | undefined> {
  const file = absolute(scan, raw);
  const location = raw.toString();
  if (scan.excluded.has(location)) return undefined;
  try {
    const stats = await lstat(file);
    if (stats.isDirectory()) return undefined;
    const place = { location, rawLocation: raw, path: pathOf(names), contentId };
    return { ...place, sizeBytes: stats.size, storageStamp: stampOf(stats), identity: identityOf(stats) };
  } catch (error) {
    return isAbsent(error) ? undefined : { location, reason: systemErrorCode(error) ?? String(error) };
  }
}

/** The inode and when it was made: the same number may soon name another file. */
export function identityOf({ ino, birthtimeMs }: Stats): string {
  return `${ino}-${birthtimeMs}`;
}

export function absolute({ root }: Pick<Scan, 'root'>, raw: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`${root}/`), raw]);
}

function pathOf(names: readonly string[] | undefined): VirtualPath | undefined {
  try {
    return names && toVirtualPath(names);
  } catch {
    return undefined;
  }
}
