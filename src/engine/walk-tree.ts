/** A whole tree as one user may see it, for work that must see all of it or do nothing. */
import type { Entry } from '../core/entry.ts';
import { permissionDenied } from '../core/errors.ts';
import { EXECUTE, permits, READ, type User } from '../core/permissions.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import type { EngineContext } from './engine-context.ts';
import { type ListedEntry, listDirectory } from './list-directory.ts';

/** More levels than a path can have. */
const ALL_LEVELS = 2048;

export interface WalkTree {
  readonly user: User;
  readonly path: VirtualPath;
  readonly signal: AbortSignal;
}

/** Everything below a directory, each directory right before what is in it. @throws CallFSError PERMISSION_DENIED at what the user may not read */
export async function* walkTree(
  context: EngineContext,
  { user, path, signal }: WalkTree,
): AsyncGenerator<ListedEntry, undefined> {
  const { entries } = await listDirectory(context, { user, path, depth: ALL_LEVELS, after: [] });
  for await (const listed of entries) {
    signal.throwIfAborted();
    assertReadable(user, listed.entry, listed.path);
    yield listed;
  }
  return undefined;
}

export function assertReadable(user: User, entry: Entry, path: VirtualPath): void {
  if (permits(user, entry, entry.type === 'directory' ? READ | EXECUTE : READ)) return;
  throw permissionDenied(`You may not read ${path}.`);
}
