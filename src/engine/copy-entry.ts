/** PATCH with `copy`: the same bytes once more under another path, as the caller's own. */
import type { BackendType, Entry, FileEntry } from '../core/entry.ts';
import { CallFSError } from '../core/errors.ts';
import type { Preconditions } from '../core/preconditions.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import { assertTakesFiles } from './assert-takes-files.ts';
import { assertUnchanged } from './assert-unchanged.ts';
import { copyHolder } from './copy-holder.ts';
import { copyTree } from './copy-tree.ts';
import type { Elsewhere, EngineContext } from './engine-context.ts';
import { newDirectory, newFile } from './new-entry.ts';
import type { ReadRequest } from './read-file.ts';
import { type DestinationRequest, destinationTaken, nameOf, resolveDestination } from './resolve-destination.ts';
import { getEntry, type ResolvedPath, resolvePath } from './resolve-path.ts';
import { retryWhileChanging } from './retry-while-changing.ts';
import type { StagedUpload } from './staged-upload.ts';
import { takeBytes } from './take-bytes.ts';
import { assertReadable } from './walk-tree.ts';
import type { Work } from './work.ts';

export interface CopyRequest extends ReadRequest, DestinationRequest {
  /** Who shall hold the copies; undefined: who holds each original. */
  readonly instanceId: string | undefined;
  /** Where that instance shall keep them; undefined: where it keeps new files. */
  readonly backendType: BackendType | undefined;
  /** On the original. */
  readonly preconditions: Preconditions;
}

export interface Copied {
  readonly kind: 'copied';
  readonly entry: Entry;
  readonly path: VirtualPath;
}

/** A file is copied by the instance that shall hold the copy; a directory, with everything below it, by whichever is asked. */
export async function copyEntry(context: EngineContext, request: CopyRequest, work: Work): Promise<Copied | Elsewhere> {
  const { path, destination } = request;
  return retryWhileChanging(async () => {
    const plan = await planCopy(context, request);
    if (plan.kind === 'elsewhere') return plan;
    const { source } = plan;
    if (source.type === 'directory') {
      const entry = await copyTree(context, request, source, work);
      return { kind: 'copied', entry, path: destination };
    }
    work.progress.filesTotal = 1;
    work.progress.bytesTotal = source.sizeBytes;
    const backendType = request.backendType ?? context.defaultBackend;
    const staged = await takeBytes(context, { entry: source, path, backendType, ...work });
    if (!staged) return undefined;
    await using copy = staged;
    const entry = await commitCopy(context, request, source, copy);
    work.progress.filesDone = 1;
    return { kind: 'copied', entry, path: destination };
  });
}

interface CopyPlan {
  readonly kind: 'plan';
  readonly source: Entry;
  readonly target: ResolvedPath;
}

/** What is to be copied where; rejects when the copy would be refused as things are now. */
export async function planCopy(context: EngineContext, request: CopyRequest): Promise<CopyPlan | Elsewhere> {
  const { user, path, namesDirectory, preconditions, destination } = request;
  const source = getEntry(await resolvePath(context, user, path), namesDirectory);
  assertReadable(user, source, path);
  assertUnchanged(path, source, preconditions);
  await assertTakesFiles(context, request.instanceId, undefined);
  if (source.type === 'file') {
    const instanceId = request.instanceId ?? (await copyHolder(context, source.instanceId));
    if (instanceId !== context.instanceId) return { kind: 'elsewhere', entry: source, instanceId };
  }
  if (destination === path) throw new CallFSError('BAD_REQUEST', `${path} cannot be copied onto itself.`);
  return { kind: 'plan', source, target: await resolveDestination(context, request, source, 'copied') };
}

async function commitCopy(
  context: EngineContext,
  request: CopyRequest,
  source: FileEntry,
  copy: StagedUpload,
): Promise<Entry> {
  const { user, destination } = request;
  const file = copy.asFile(source.contentType);
  return retryWhileChanging(async () => {
    const target = await resolveDestination(context, request, source, 'copied');
    const parents = target.missing.slice(0, -1).map((name) => newDirectory(context, name, { user, mode: undefined }));
    const entry = newFile(context, nameOf(destination), { user, mode: source.mode }, file);
    const created = { parentId: target.parent.id, missingParents: parents, entry, replacesId: target.entry?.id };
    const insert = () => context.store.createEntry(created);
    const outcome = await copy.commit(insert, ({ kind }) => kind === 'created');
    if (outcome.kind === 'exists') throw destinationTaken(context, destination, outcome.entry, source);
    if (outcome.kind === 'changed') return undefined;
    for (const backend of context.backends.values()) backend.outboxPending();
    return outcome.entry;
  });
}
