/** Whether a user may do anything with an entry that a PATCH can ask for: known before it is known what. */
import { permissionDenied } from '../core/errors.ts';
import { maySeverChild, permits, READ } from '../core/permissions.ts';
import type { Preconditions } from '../core/preconditions.ts';
import { assertUnchanged } from './assert-unchanged.ts';
import type { EngineContext } from './engine-context.ts';
import type { ReadRequest } from './read-file.ts';
import { getEntry, resolvePath } from './resolve-path.ts';

/** @throws CallFSError FILE_NOT_FOUND, PERMISSION_DENIED or PRECONDITION_FAILED when everything would be refused so */
export async function assertMayChangeSomething(
  context: EngineContext,
  { user, path, namesDirectory, preconditions }: ReadRequest & { readonly preconditions: Preconditions },
): Promise<void> {
  const resolved = await resolvePath(context, user, path);
  const entry = getEntry(resolved, namesDirectory);
  // Who may read it may copy it.
  if (user.name !== entry.owner && !permits(user, entry, READ) && !maySeverChild(user, resolved.parent, entry)) {
    throw permissionDenied(`You may neither move nor copy ${path}, nor change its attributes.`);
  }
  assertUnchanged(path, entry, preconditions);
}
