/** Listings: the children of a directory, or the tree below it, in byte order, from any point on. */
import { type DirectoryEntry, type Entry, ROOT_ID } from '../core/entry.ts';
import { CallFSError, permissionDenied } from '../core/errors.ts';
import { EXECUTE, permits, READ, type User } from '../core/permissions.ts';
import { childPath, RESERVED_TOP_LEVEL_NAME, type VirtualPath } from '../core/virtual-path.ts';
import { type Children, childrenNow, childrenOfMoment } from './children.ts';
import type { EngineContext } from './engine-context.ts';
import { getEntry, pathsVersionOf, resolvePath } from './resolve-path.ts';

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
  /**
   * A directory comes right before what lies below it. Directories that may not be read are not descended into. All
   * directories below are of one moment, so one that is renamed or moved meanwhile is seen once, with all it has.
   */
  readonly entries: AsyncIterable<ListedEntry>;
}

export interface ListedPage {
  readonly directory: DirectoryEntry;
  readonly items: readonly ListedEntry[];
  readonly hasMore: boolean;
  /** Equal in two pages when no entry of the namespace has got another path between them. */
  readonly pathsVersion: number;
}

export async function listDirectory(context: EngineContext, request: ListRequest): Promise<Listing> {
  const { directory } = await resolveListable(context, request);
  if (request.depth === 0) return { directory, entries: walkFrom(childrenNow(context), request, directory) };
  const { children } = await childrenOfMoment(context, directory, request.depth);
  return { directory, entries: walkFrom(children, request, directory) };
}

/** How often a page is read as things are, in the hope that no path changes meanwhile. */
const HOPEFUL_READS = 3;

/** The same, one page of it, whose entries are all of one moment as far as their paths go. */
export async function listPage(context: EngineContext, request: ListRequest, limit: number): Promise<ListedPage> {
  const { directory, ...resolved } = await resolveListable(context, request);
  let before = resolved.pathsVersion;
  for (let read = 0; read < HOPEFUL_READS; read++) {
    const page = await takePage(walkFrom(childrenNow(context), request, directory), limit);
    const pathsVersion = await pathsVersionOf(context);
    if (pathsVersion === before) return { directory, ...page, pathsVersion };
    before = pathsVersion;
  }
  const { children, pathsVersion } = await childrenOfMoment(context, directory, request.depth);
  return { directory, ...(await takePage(walkFrom(children, request, directory), limit)), pathsVersion };
}

async function takePage(
  entries: AsyncIterable<ListedEntry>,
  limit: number,
): Promise<Pick<ListedPage, 'items' | 'hasMore'>> {
  const items: ListedEntry[] = [];
  for await (const listed of entries) {
    if (items.length === limit) return { items, hasMore: true };
    items.push(listed);
  }
  return { items, hasMore: false };
}

async function resolveListable(
  context: EngineContext,
  { user, path }: ListRequest,
): Promise<Pick<ListedPage, 'directory' | 'pathsVersion'>> {
  const resolved = await resolvePath(context, user, path);
  const directory = getEntry(resolved, false);
  if (directory.type === 'file') {
    throw new CallFSError('BAD_REQUEST', `${path} is a file; only a directory can be listed.`, { details: { path } });
  }
  if (!permits(user, directory, READ)) throw permissionDenied(`You may not list the directory ${path}.`);
  return { directory, pathsVersion: resolved.pathsVersion };
}

interface Level {
  readonly directory: DirectoryEntry;
  readonly path: VirtualPath;
  readonly depth: number;
  readonly after: readonly string[];
}

function walkFrom(children: Children, request: ListRequest, directory: DirectoryEntry): AsyncGenerator<ListedEntry> {
  return walk(children, request.user, { ...request, directory });
}

async function* walk(children: Children, user: User, level: Level): AsyncGenerator<ListedEntry> {
  const { directory, path, depth, after } = level;
  const [resumeAt, ...resumeBelow] = after;
  if (resumeAt !== undefined && depth > 0) {
    // Goes on inside the child that the last page ended in, if it is still there.
    const at = childPath(path, resumeAt);
    const entry = await children.find(directory, at);
    if (entry) yield* walkBelow(children, user, { entry, path: at }, depth, resumeBelow);
  }
  for await (const entry of children.of(directory, resumeAt)) {
    if (isHidden(entry)) continue;
    const listed = { entry, path: childPath(path, entry.name) };
    yield listed;
    yield* walkBelow(children, user, listed, depth, []);
  }
}

/** What no request can name, no listing shows. */
const isHidden = ({ parentId, name }: Entry): boolean => parentId === ROOT_ID && name === RESERVED_TOP_LEVEL_NAME;

async function* walkBelow(
  children: Children,
  user: User,
  { entry, path }: ListedEntry,
  depth: number,
  after: readonly string[],
): AsyncGenerator<ListedEntry> {
  if (entry.type === 'file' || depth === 0 || entry.id === ROOT_ID) return;
  if (!permits(user, entry, READ | EXECUTE)) return;
  yield* walk(children, user, { directory: entry, path, depth: depth - 1, after });
}
