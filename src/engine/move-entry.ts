/** PATCH with a destination: gives a file or a directory another path, a file's bytes another instance, or both. */
import { type BackendType, type Entry, type FileEntry, ROOT_ID } from '../core/entry.ts';
import { CallFSError, invalidPath, notFound, permissionDenied } from '../core/errors.ts';
import { faultPoint } from '../core/fault-point.ts';
import { maySeverChild } from '../core/permissions.ts';
import { hasPreconditions, type Preconditions } from '../core/preconditions.ts';
import { isWithin, type VirtualPath } from '../core/virtual-path.ts';
import { MAX_MOVED_PATH_BYTES, type MoveEntry, type MoveOutcome } from '../metadata/metadata-store.ts';
import { assertUnchanged } from './assert-unchanged.ts';
import { atOwner, type Elsewhere, type EngineContext } from './engine-context.ts';
import { EntryConflict } from './entry-conflict.ts';
import { newDirectory } from './new-entry.ts';
import { openContent } from './open-content.ts';
import type { ReadRequest } from './read-file.ts';
import { notEmpty } from './remove-entry.ts';
import { assertMayCreate, getEntry, type ResolvedPath, resolvePath } from './resolve-path.ts';
import { retryWhileChanging } from './retry-while-changing.ts';
import { type StagedUpload, stageCopy } from './staged-upload.ts';

export interface MoveRequest extends ReadRequest {
  readonly destination: VirtualPath;
  /** The destination was written with a trailing slash: only a directory may go there. */
  readonly destinationNamesDirectory: boolean;
  /** Who shall hold the bytes of the file; undefined: who holds them. */
  readonly instanceId: string | undefined;
  /** Where that instance shall keep them; undefined: as now, or where it keeps new files. */
  readonly backendType: BackendType | undefined;
  /** A file may take the place of a file, a directory that of an empty directory. */
  readonly overwrite: boolean;
  readonly createParents: boolean;
  readonly preconditions: Preconditions;
}

export interface Moved {
  readonly kind: 'moved';
  readonly entry: Entry;
  readonly path: VirtualPath;
}

/** A directory moves with everything below it, in one step; any instance may do it. */
export async function moveEntry(context: EngineContext, request: MoveRequest): Promise<Moved | Elsewhere> {
  return retryWhileChanging(async () => {
    const source = await resolveMovable(context, request);
    await assertKnown(context, request.instanceId);
    const { entry } = source;
    const holder = request.instanceId ?? entry.instanceId;
    if (entry.type === 'file' && holder !== context.instanceId) return { ...atOwner(entry), instanceId: holder };
    if (entry.instanceId !== holder && context.isDraining()) throw takesNoFiles(context);
    const target = await resolveDestination(context, request, source);
    const move = toMoveEntry(context, request, source, target);
    const outcome =
      entry.type === 'file' && isRelocated(context, request, entry)
        ? await moveWithBytes(context, request, entry, move)
        : await movePath(context, move);
    return concludeMove(context, request, outcome);
  });
}

async function movePath({ store }: EngineContext, move: MoveEntry): Promise<MoveOutcome> {
  faultPoint('engine:before-commit');
  const outcome = await store.moveEntry(move);
  faultPoint('engine:after-commit');
  return outcome;
}

function concludeMove(context: EngineContext, request: MoveRequest, outcome: MoveOutcome): Moved | undefined {
  const { path, destination } = request;
  switch (outcome.kind) {
    case 'moved':
      for (const backend of context.backends.values()) backend.outboxPending();
      return { kind: 'moved', entry: outcome.entry, path: destination };
    case 'exists':
      throw conflict(context, destination, outcome.entry, outcome.entry);
    case 'not-empty':
      throw notEmpty(destination);
    case 'cycle':
      throw new CallFSError('BAD_REQUEST', `The directory ${path} cannot be moved into itself.`);
    case 'too-long':
      throw invalidPath(`Below ${destination} a path would have more than ${MAX_MOVED_PATH_BYTES} bytes.`);
    case 'changed':
      return undefined;
  }
}

async function assertKnown({ store, instanceId: own }: EngineContext, instanceId: string | undefined): Promise<void> {
  if (instanceId === undefined || instanceId === own || (await store.findInstance(instanceId))) return;
  throw new CallFSError('BAD_REQUEST', `There is no instance ${instanceId} in this cluster.`);
}

function takesNoFiles({ instanceId }: EngineContext): CallFSError {
  return new CallFSError('BAD_REQUEST', `Instance ${instanceId} is being drained, so it takes no files.`, {
    details: { instance_id: instanceId },
  });
}

interface Source extends ResolvedPath {
  readonly entry: Entry;
}

/** What is to be moved, if the user may take it out of where it is. */
async function resolveMovable(context: EngineContext, request: MoveRequest): Promise<Source> {
  const { user, path, namesDirectory, preconditions } = request;
  const resolved = await resolvePath(context, user, path);
  const entry = getEntry(resolved, namesDirectory);
  if (entry.id === ROOT_ID) throw permissionDenied('The root directory cannot be moved.');
  if (!maySeverChild(user, resolved.parent, entry)) throw permissionDenied(`You may not move ${path}.`);
  if (entry.type === 'directory' && (request.instanceId !== undefined || request.backendType !== undefined)) {
    throw new CallFSError('BAD_REQUEST', `${path} is a directory; only files can be moved to another instance.`);
  }
  assertUnchanged(path, entry, preconditions);
  return { ...resolved, entry };
}

/** Where it goes, if the user may put it there. */
async function resolveDestination(context: EngineContext, request: MoveRequest, source: Source): Promise<ResolvedPath> {
  const { user, path, destination, overwrite, createParents } = request;
  const { entry } = source;
  if (destination === path) return source;
  if (entry.type === 'directory' && isWithin(destination, path)) {
    throw new CallFSError('BAD_REQUEST', `The directory ${path} cannot be moved into itself.`);
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
  if (!overwrite || standing.type !== entry.type) throw conflict(context, destination, standing, entry);
  if (!maySeverChild(user, parent, standing)) throw permissionDenied(`You may not replace ${destination}.`);
  return target;
}

const parentOf = (path: VirtualPath): VirtualPath => (path.slice(0, path.lastIndexOf('/')) || '/') as VirtualPath;

function toMoveEntry(context: EngineContext, request: MoveRequest, source: Source, target: ResolvedPath): MoveEntry {
  const { entry } = source;
  const isInPlace = request.destination === request.path;
  const creator = { user: request.user, mode: undefined };
  const directories = target.missing.slice(0, -1).map((name) => newDirectory(context, name, creator));
  const conditional = entry.type === 'file' && hasPreconditions(request.preconditions);
  return {
    entryId: entry.id,
    from: { parentId: entry.parentId, name: entry.name },
    expectContentId: conditional ? entry.contentId : undefined,
    to: isInPlace
      ? { parentId: entry.parentId, missingParents: [], name: entry.name }
      : { parentId: target.parent.id, missingParents: directories, name: nameOf(request.destination) },
    replacesId: isInPlace ? undefined : target.entry?.id,
    relocated: undefined,
  };
}

const nameOf = (path: VirtualPath): string => path.slice(path.lastIndexOf('/') + 1);

function isRelocated(context: EngineContext, { backendType }: MoveRequest, entry: FileEntry): boolean {
  return entry.instanceId !== context.instanceId || (backendType !== undefined && backendType !== entry.backendType);
}

/** The bytes are copied before the commit; who held them removes them after it. */
async function moveWithBytes(
  context: EngineContext,
  request: MoveRequest,
  entry: FileEntry,
  move: MoveEntry,
): Promise<MoveOutcome> {
  const type = request.backendType ?? context.defaultBackend;
  if (!context.backends.has(type)) {
    throw new CallFSError('BAD_REQUEST', `Instance ${context.instanceId} has no ${type} backend configured.`);
  }
  const staged = await copyBytes(context, request, entry, type);
  if (!staged) return { kind: 'changed' };
  await using copy = staged;
  const { content, backendType } = copy.asFile(null);
  const relocated = { content, backendType, instanceId: context.instanceId };
  const commit = () => context.store.moveEntry({ ...move, expectContentId: entry.contentId, relocated });
  return await copy.commit(commit, ({ kind }) => kind === 'moved');
}

/** Undefined: the content has been replaced or has gone elsewhere. */
async function copyBytes(
  context: EngineContext,
  { path }: MoveRequest,
  entry: FileEntry,
  type: BackendType,
): Promise<StagedUpload | undefined> {
  try {
    const bytes =
      entry.instanceId === context.instanceId ? openContent(context, entry, path) : context.fetchContent(entry, path);
    return await stageCopy(context, type, entry, bytes);
  } catch (error) {
    if (error instanceof CallFSError && error.code === 'FILE_NOT_FOUND') return undefined;
    throw error;
  }
}

function conflict(context: EngineContext, path: VirtualPath, standing: Entry, moved: Entry): EntryConflict {
  return new EntryConflict(path, standing, moved.type, standing.instanceId !== context.instanceId);
}
