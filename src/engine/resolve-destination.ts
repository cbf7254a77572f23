/** Where something goes that exists already: whether the user may put it there, and what must make room. */
import { type Entry, ROOT_ID } from '../core/entry.ts';
import { CallFSError, notFound, permissionDenied } from '../core/errors.ts';
import { maySeverChild, type User } from '../core/permissions.ts';
import { isWithin, type VirtualPath } from '../core/virtual-path.ts';
import type { EngineContext } from './engine-context.ts';
import { EntryConflict } from './entry-conflict.ts';
import { assertMayCreate, type ResolvedPath, resolvePath } from './resolve-path.ts';

export interface DestinationRequest {
  readonly user: User;
  /** Where it is. */
  readonly path: VirtualPath;
  readonly destination: VirtualPath;
  /** The destination was written with a trailing slash: only a directory may go there. */
  readonly destinationNamesDirectory: boolean;
  /** A file may take the place of a file, a directory that of an empty directory. */
  readonly overwrite: boolean;
  readonly createParents: boolean;
}

/** @param entry what goes there @param done how the message calls what is done with it */
export async function resolveDestination(
  context: EngineContext,
  request: DestinationRequest,
  entry: Entry,
  done: 'moved' | 'copied',
): Promise<ResolvedPath> {
  const { user, path, destination, overwrite, createParents } = request;
  if (entry.type === 'directory' && isWithin(destination, path)) {
    throw new CallFSError('BAD_REQUEST', `The directory ${path} cannot be ${done} into itself.`);
  }
  const target = await resolvePath(context, user, destination);
  const { entry: standing, missing, parent } = target;
  if (!standing) {
    assertMayCreate(user, target);
    if (missing.length > 1 && !createParents) throw notFound(parentOf(destination));
    if (request.destinationNamesDirectory && entry.type === 'file') {
      throw new CallFSError('BAD_REQUEST', `${path} is a file; its new path must not end with a slash.`);
    }
    return target;
  }
  if (standing.id === ROOT_ID) throw permissionDenied('The root directory cannot be replaced.');
  if (!overwrite || standing.type !== entry.type) throw destinationTaken(context, destination, standing, entry);
  if (!maySeverChild(user, parent, standing)) throw permissionDenied(`You may not replace ${destination}.`);
  return target;
}

export const parentOf = (path: VirtualPath): VirtualPath =>
  (path.slice(0, path.lastIndexOf('/')) || '/') as VirtualPath;
export const nameOf = (path: VirtualPath): string => path.slice(path.lastIndexOf('/') + 1);

export function destinationTaken(
  { instanceId }: EngineContext,
  path: VirtualPath,
  standing: Entry,
  wanted: Entry,
): EntryConflict {
  return new EntryConflict(path, standing, wanted.type, standing.instanceId !== instanceId);
}
