/** PATCH with attributes: who a file or a directory belongs to, and who may use it. */
import type { Entry } from '../core/entry.ts';
import { permissionDenied } from '../core/errors.ts';
import type { User } from '../core/permissions.ts';
import type { Preconditions } from '../core/preconditions.ts';
import { assertUnchanged } from './assert-unchanged.ts';
import { atOwner, type Elsewhere, type EngineContext } from './engine-context.ts';
import type { ReadRequest } from './read-file.ts';
import { getEntry, resolvePath } from './resolve-path.ts';
import { retryWhileChanging } from './retry-while-changing.ts';

export interface ChangeAttributesRequest extends ReadRequest {
  readonly preconditions: Preconditions;
  /** What is undefined stays. */
  readonly mode: number | undefined;
  readonly owner: User | undefined;
  readonly group: string | undefined;
}

export interface AttributesChanged {
  readonly kind: 'attributes-changed';
  readonly entry: Entry;
}

/** As on Unix: the owner may change the mode and give it to a group of its own, only an admin may change the owner. */
export async function changeAttributes(
  context: EngineContext,
  request: ChangeAttributesRequest,
): Promise<AttributesChanged | Elsewhere> {
  const { user, path, namesDirectory, mode, owner, group } = request;
  return retryWhileChanging(async () => {
    const entry = getEntry(await resolvePath(context, user, path), namesDirectory);
    assertMayChange(request, entry);
    if (entry.type === 'file' && entry.instanceId !== context.instanceId) return atOwner(entry);
    assertUnchanged(path, entry, request.preconditions);
    const outcome = await context.store.changeAttributes({
      entryId: entry.id,
      expectVersion: entry.version,
      mode,
      owner: owner && { name: owner.name, uid: owner.uid },
      group: group === undefined ? undefined : { name: group, gid: gidOf(request, entry, group) },
    });
    return outcome.kind === 'changed' ? undefined : outcome;
  });
}

function assertMayChange({ user, path, owner, group }: ChangeAttributesRequest, entry: Entry): void {
  if (user.admin) return;
  if (user.name !== entry.owner) throw permissionDenied(`Only its owner may change the attributes of ${path}.`);
  if (owner && owner.name !== entry.owner) throw permissionDenied('Only an admin may give something to another owner.');
  if (group !== undefined && group !== entry.group && !user.groups.includes(group) && group !== user.name) {
    throw permissionDenied(`You are not in the group ${group}.`);
  }
}

/** Numeric ids are only shown; groups have none of their own but that of who has them first. */
function gidOf({ user, owner }: ChangeAttributesRequest, entry: Entry, group: string): number {
  const member = [owner, user].find((candidate) => candidate?.groups[0] === group || candidate?.name === group);
  return member?.gid ?? entry.gid;
}
