/** Listings: the children of a directory, or the tree below it, in byte order, from any point on. */
import { type DirectoryEntry, type Entry, ROOT_ID } from '../core/entry.ts';
import { CallFSError, permissionDenied } from '../core/errors.ts';
import { EXECUTE, permits, READ, type User } from '../core/permissions.ts';
import { childPath, namesOf, type VirtualPath } from '../core/virtual-path.ts';
import type { EngineContext } from './engine-context.ts';
import { getEntry, resolvePath } from './resolve-path.ts';

export interface ListRequest {
  readonly user: User;
  readonly path: VirtualPath;
  /** Levels below the children to descend to; 0: only the children. */
  readonly depth: number;
  /** Names, relative to the directory, of the last entry already seen; empty: from the start. */
  readonly after: readonly string[];
}

export interface ListedEntry {
  readonly entry: Entry;
  readonly path: VirtualPath;
}

export interface Listing {
  readonly directory: DirectoryEntry;
  /** A directory comes right before what lies below it. Directories that may not be read are not descended into. */
  readonly entries: AsyncIterable<ListedEntry>;
}

/** Entries fetched with one query. */
const PAGE_SIZE = 1000;

export async function listDirectory(context: EngineContext, request: ListRequest): Promise<Listing> {
  const { user, path, depth, after } = request;
  const directory = getEntry(await resolvePath(context, user, path), false);
  if (directory.type === 'file') {
    throw new CallFSError('BAD_REQUEST', `${path} is a file; only a directory can be listed.`, { details: { path } });
  }
  if (!permits(user, directory, READ)) throw permissionDenied(`You may not list the directory ${path}.`);
  return { directory, entries: walk(context, user, { directory, path, depth, after }) };
}

interface Level {
  readonly directory: DirectoryEntry;
  readonly path: VirtualPath;
  readonly depth: number;
  readonly after: readonly string[];
}

async function* walk(context: EngineContext, user: User, level: Level): AsyncGenerator<ListedEntry> {
  const { directory, path, depth, after } = level;
  const [resumeAt, ...resumeBelow] = after;
  if (resumeAt !== undefined) yield* resume(context, user, level, resumeAt, resumeBelow);
  let last = resumeAt;
  for (;;) {
    const page = await context.store.listChildren(directory.id, last, PAGE_SIZE);
    for (const entry of page) {
      const listed = { entry, path: childPath(path, entry.name) };
      yield listed;
      yield* walkBelow(context, user, listed, depth, []);
    }
    last = page.at(-1)?.name;
    if (page.length < PAGE_SIZE) return;
  }
}

/** Goes on inside the child that the last page ended in, if it is still there. */
async function* resume(
  context: EngineContext,
  user: User,
  { path, depth }: Level,
  name: string,
  below: readonly string[],
): AsyncGenerator<ListedEntry> {
  if (depth === 0) return;
  const names = namesOf(childPath(path, name));
  const entry = (await context.store.resolve(names))[names.length];
  if (entry) yield* walkBelow(context, user, { entry, path: childPath(path, name) }, depth, below);
}

async function* walkBelow(
  context: EngineContext,
  user: User,
  { entry, path }: ListedEntry,
  depth: number,
  after: readonly string[],
): AsyncGenerator<ListedEntry> {
  if (entry.type === 'file' || depth === 0 || entry.id === ROOT_ID) return;
  if (!permits(user, entry, READ | EXECUTE)) return;
  yield* walk(context, user, { directory: entry, path, depth: depth - 1, after });
}
