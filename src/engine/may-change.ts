/** Whether a user may change anything of an entry at all: known before it is known what. */
import { permissionDenied } from '../core/errors.ts';
import { maySeverChild } from '../core/permissions.ts';
import type { Preconditions } from '../core/preconditions.ts';
import { assertUnchanged } from './assert-unchanged.ts';
import type { EngineContext } from './engine-context.ts';
import type { ReadRequest } from './read-file.ts';
import { getEntry, resolvePath } from './resolve-path.ts';

/** @throws CallFSError FILE_NOT_FOUND, PERMISSION_DENIED or PRECONDITION_FAILED when every change would be refused so */
export async function assertMayChangeSomething(
  context: EngineContext,
  { user, path, namesDirectory, preconditions }: ReadRequest & { readonly preconditions: Preconditions },
): Promise<void> {
  const resolved = await resolvePath(context, user, path);
  const entry = getEntry(resolved, namesDirectory);
  if (user.name !== entry.owner && !maySeverChild(user, resolved.parent, entry)) {
    throw permissionDenied(`You may neither move ${path} nor change its attributes.`);
  }
  assertUnchanged(path, entry, preconditions);
}
