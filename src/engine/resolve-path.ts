/** From a path to what is there now, with every permission on the way checked. */
import type { DirectoryEntry, Entry, FileEntry } from '../core/entry.ts';
import { notADirectory, notFound, permissionDenied } from '../core/errors.ts';
import { faultPoint } from '../core/fault-point.ts';
import { EXECUTE, permits, type User, WRITE } from '../core/permissions.ts';
import { namesOf, pathOfNames, ROOT_PATH, type VirtualPath } from '../core/virtual-path.ts';
import type { EngineContext } from './engine-context.ts';

export interface ResolvedPath {
  /** Grows whenever any entry of the namespace gets another path. */
  readonly pathsVersion: number;
  readonly path: VirtualPath;
  /** What the path names; undefined when nothing is there. */
  readonly entry: Entry | undefined;
  /** The deepest directory on the way that exists; for the root, the root. */
  readonly parent: DirectoryEntry;
  /** Names from `parent` down to the path that do not exist, its own last; empty when it exists. */
  readonly missing: readonly string[];
  /** A file that stands where the path needs a directory. */
  readonly blockedBy: { readonly entry: FileEntry; readonly path: VirtualPath } | undefined;
}

/** @throws CallFSError PERMISSION_DENIED when a directory on the way may not be searched, whatever lies below it */
export async function resolvePath(context: EngineContext, user: User, path: VirtualPath): Promise<ResolvedPath> {
  const names = namesOf(path);
  const chain = await context.store.resolve(names);
  faultPoint('engine:resolved');
  const pathsVersion = chain[0]?.version ?? 0;
  const directories: DirectoryEntry[] = [];
  for (const [depth, entry] of chain.entries()) {
    if (depth === names.length) {
      const parent = directories.at(-1) ?? asDirectory(entry);
      return { pathsVersion, path, entry, parent, missing: [], blockedBy: undefined };
    }
    if (entry.type === 'file') {
      const blockedBy = { entry, path: pathOfNames(names, depth) };
      return {
        pathsVersion,
        path,
        entry: undefined,
        parent: lastOf(directories),
        missing: names.slice(depth),
        blockedBy,
      };
    }
    if (!permits(user, entry, EXECUTE)) {
      throw permissionDenied(`You may not search the directory ${pathOfNames(names, depth) || ROOT_PATH}.`);
    }
    directories.push(entry);
  }
  const missing = names.slice(directories.length - 1);
  return { pathsVersion, path, entry: undefined, parent: lastOf(directories), missing, blockedBy: undefined };
}

/** @see ResolvedPath.pathsVersion */
export async function pathsVersionOf({ store }: Pick<EngineContext, 'store'>): Promise<number> {
  return (await store.resolve([]))[0]?.version ?? 0;
}

/** What the path names; below a file there is nothing. @throws CallFSError FILE_NOT_FOUND */
export function getEntry({ entry, path }: ResolvedPath, namesDirectory: boolean): Entry {
  if (!entry || (namesDirectory && entry.type === 'file')) throw notFound(path);
  return entry;
}

/** @throws CallFSError when the path cannot be created: its parent is a file, or may not be written */
export function assertMayCreate(user: User, { parent, path, missing, blockedBy }: ResolvedPath): void {
  if (blockedBy) throw notADirectory(blockedBy.path);
  if (permits(user, parent, WRITE | EXECUTE)) return;
  const names = namesOf(path);
  const parentPath = pathOfNames(names, names.length - missing.length);
  throw permissionDenied(`You may not create anything in the directory ${parentPath}.`);
}

function asDirectory(entry: Entry): DirectoryEntry {
  if (entry.type === 'file') throw new TypeError('The root is a file.');
  return entry;
}

function lastOf(directories: readonly DirectoryEntry[]): DirectoryEntry {
  const last = directories.at(-1);
  if (!last) throw new TypeError('The store resolved a path without the root.');
  return last;
}
