/** DELETE: removes a file, an empty directory, or a whole tree. */
import { type BackendType, type Entry, type FileEntry, ROOT_ID } from '../core/entry.ts';
import { CallFSError, permissionDenied } from '../core/errors.ts';
import { faultPoint } from '../core/fault-point.ts';
import { maySeverChild } from '../core/permissions.ts';
import { hasPreconditions, type Preconditions } from '../core/preconditions.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import type { RemoveOutcome, RemoveTreeOutcome } from '../metadata/metadata-store.ts';
import { assertUnchanged } from './assert-unchanged.ts';
import { atOwner, type Elsewhere, type EngineContext } from './engine-context.ts';
import type { ReadRequest } from './read-file.ts';
import { getEntry, resolvePath } from './resolve-path.ts';
import { retryWhileChanging } from './retry-while-changing.ts';

export interface RemoveRequest extends ReadRequest {
  /** Also a directory that is not empty, with everything below it. */
  readonly recursive: boolean;
  readonly preconditions: Preconditions;
}

export interface Removed {
  readonly kind: 'removed';
  /** Files and directories. */
  readonly count: number;
  /** Where the file was kept; of a directory the one that it was made with. */
  readonly backendType: BackendType;
}

/** Directories are removed by whichever instance is asked; a file only by the one that holds it. */
export async function removeEntry(
  context: EngineContext,
  request: RemoveRequest,
): Promise<Removed | Elsewhere<FileEntry>> {
  return retryWhileChanging(async () => {
    const plan = await planRemoval(context, request);
    if (plan.kind === 'elsewhere') return plan;
    const { entry } = plan;
    faultPoint('engine:before-commit');
    const outcome = await remove(context, request, entry);
    faultPoint('engine:after-commit');
    switch (outcome.kind) {
      case 'removed':
        for (const backend of context.backends.values()) backend.outboxPending();
        return { kind: 'removed', count: 'count' in outcome ? outcome.count : 1, backendType: entry.backendType };
      case 'not-empty':
        throw notEmpty(request.path);
      case 'denied':
        throw permissionDenied(`You may not remove everything in the directory ${outcome.path}.`);
      case 'changed':
        return undefined;
    }
  });
}

/** What is to be removed; rejects when that would be refused as things are now. */
export async function planRemoval(
  context: EngineContext,
  request: RemoveRequest,
): Promise<{ readonly kind: 'plan'; readonly entry: Entry } | Elsewhere<FileEntry>> {
  const entry = await resolveRemovable(context, request);
  if (entry.type === 'file' && entry.instanceId !== context.instanceId) return atOwner(entry);
  return { kind: 'plan', entry };
}

function remove(
  context: EngineContext,
  { user, recursive, preconditions }: RemoveRequest,
  entry: Entry,
): Promise<RemoveOutcome | RemoveTreeOutcome> {
  if (entry.type === 'directory' && recursive) return context.store.removeTree(entry.id, user);
  const conditional = entry.type === 'file' && hasPreconditions(preconditions);
  return context.store.removeEntry({
    entryId: entry.id,
    expectContentId: conditional ? entry.contentId : undefined,
    expectInstanceId: entry.type === 'file' ? context.instanceId : undefined,
  });
}

async function resolveRemovable(context: EngineContext, request: RemoveRequest): Promise<Entry> {
  const { user, path, namesDirectory, preconditions } = request;
  const resolved = await resolvePath(context, user, path);
  const entry = getEntry(resolved, namesDirectory);
  if (entry.id === ROOT_ID) throw permissionDenied('The root directory cannot be removed.');
  if (!maySeverChild(user, resolved.parent, entry)) throw permissionDenied(`You may not remove ${path}.`);
  assertUnchanged(path, entry, preconditions);
  return entry;
}

export function notEmpty(path: VirtualPath): CallFSError {
  return new CallFSError(
    'DIRECTORY_NOT_EMPTY',
    `The directory ${path} is not empty; remove what is in it first, or use ?recursive=true.`,
    { details: { path } },
  );
}
