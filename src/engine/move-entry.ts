/** PATCH with a destination: gives a file or a directory another path, its bytes another instance, or both. */
import { type BackendType, type Entry, type FileEntry, ROOT_ID } from '../core/entry.ts';
import { permissionDenied } from '../core/errors.ts';
import { maySeverChild } from '../core/permissions.ts';
import { hasPreconditions, type Preconditions } from '../core/preconditions.ts';
import type { MoveEntry, MoveOutcome } from '../metadata/metadata-store.ts';
import { assertTakesFiles } from './assert-takes-files.ts';
import { assertUnchanged } from './assert-unchanged.ts';
import { atOwner, type Elsewhere, type EngineContext } from './engine-context.ts';
import { concludeMove, type Moved, movePath } from './move-path.ts';
import { newDirectory } from './new-entry.ts';
import type { ReadRequest } from './read-file.ts';
import { relocateTree } from './relocate-tree.ts';
import { type DestinationRequest, nameOf, resolveDestination } from './resolve-destination.ts';
import { getEntry, type ResolvedPath, resolvePath } from './resolve-path.ts';
import { retryWhileChanging } from './retry-while-changing.ts';
import { isShared, takeOver } from './shared-bucket.ts';
import { takeBytes } from './take-bytes.ts';
import type { Work } from './work.ts';

export interface MoveRequest extends ReadRequest, DestinationRequest {
  /** Who shall hold the bytes of the file, or of all files below the directory; undefined: who holds them. */
  readonly instanceId: string | undefined;
  /** Where that instance shall keep them; undefined: as now, or where it keeps new files. */
  readonly backendType: BackendType | undefined;
  readonly preconditions: Preconditions;
}

/** A directory moves with everything below it, in one step; any instance may do it. Its bytes, if they shall go elsewhere, go before that. */
export async function moveEntry(context: EngineContext, request: MoveRequest, work: Work): Promise<Moved | Elsewhere> {
  if (isRelocation(request)) {
    const plan = await planMove(context, request);
    if (plan.kind === 'elsewhere') return plan;
    if (plan.source.entry.type === 'directory') await relocateTree(context, request, work);
  }
  return retryWhileChanging(async () => {
    const plan = await planMove(context, request);
    if (plan.kind === 'elsewhere') return plan;
    const { entry } = plan.source;
    if (entry.type === 'file' && (await changesOnlyOwner(context, request, entry))) {
      await takeOver(context, entry);
      return undefined;
    }
    const move = toMoveEntry(context, request, plan);
    const outcome =
      entry.type === 'file' && isRelocated(context, request, entry)
        ? await moveWithBytes(context, request, entry, move, work.signal)
        : await movePath(context, move);
    return concludeMove(context, request, outcome);
  });
}

interface MovePlan {
  readonly kind: 'plan';
  readonly source: Source;
  readonly target: ResolvedPath;
}

/** What is to be done where; rejects when the move would be refused as things are now. */
export async function planMove(context: EngineContext, request: MoveRequest): Promise<MovePlan | Elsewhere> {
  const source = await resolveMovable(context, request);
  await assertTakesFiles(context, request.instanceId, source.entry);
  const { entry } = source;
  const holder = request.instanceId ?? entry.instanceId;
  if (entry.type === 'file' && holder !== context.instanceId) return { ...atOwner(entry), instanceId: holder };
  const isInPlace = request.destination === request.path;
  const target = isInPlace ? source : await resolveDestination(context, request, entry, 'moved');
  return { kind: 'plan', source, target };
}

const isRelocation = ({ instanceId, backendType }: MoveRequest): boolean =>
  instanceId !== undefined || backendType !== undefined;

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
  assertUnchanged(path, entry, preconditions);
  return { ...resolved, entry };
}

function toMoveEntry(context: EngineContext, request: MoveRequest, { source, target }: MovePlan): MoveEntry {
  const { entry } = source;
  const isInPlace = request.destination === request.path;
  const creator = { user: request.user, mode: undefined };
  const directories = target.missing.slice(0, -1).map((name) => newDirectory(context, name, creator));
  const conditional = entry.type === 'file' && hasPreconditions(request.preconditions);
  return {
    entryId: entry.id,
    from: { parentId: entry.parentId, name: entry.name },
    expectContentId: conditional ? entry.contentId : undefined,
    expectInstanceId: entry.type === 'file' ? entry.instanceId : undefined,
    to: isInPlace
      ? { parentId: entry.parentId, missingParents: [], name: entry.name }
      : { parentId: target.parent.id, missingParents: directories, name: nameOf(request.destination) },
    replacesId: isInPlace ? undefined : target.entry?.id,
    relocated: undefined,
  };
}

function isRelocated(context: EngineContext, { backendType }: MoveRequest, entry: FileEntry): boolean {
  return entry.instanceId !== context.instanceId || (backendType !== undefined && backendType !== entry.backendType);
}

/** The file is to be this instance's and lies in a bucket that this one has, too: its bytes stay where they are. */
async function changesOnlyOwner(
  context: EngineContext,
  { backendType }: MoveRequest,
  entry: FileEntry,
): Promise<boolean> {
  return (backendType === undefined || backendType === entry.backendType) && (await isShared(context, entry));
}

/** The bytes are copied before the commit; who held them removes them after it. */
export async function moveWithBytes(
  context: EngineContext,
  request: Pick<MoveRequest, 'path' | 'backendType'>,
  entry: FileEntry,
  move: MoveEntry,
  signal: AbortSignal,
): Promise<MoveOutcome> {
  const { path, backendType: wanted = context.defaultBackend } = request;
  const staged = await takeBytes(context, { entry, path, backendType: wanted, signal, progress: undefined });
  if (!staged) return { kind: 'changed' };
  await using copy = staged;
  const { content, backendType } = copy.asFile(null);
  const relocated = { content, backendType, instanceId: context.instanceId };
  const commit = () => context.store.moveEntry({ ...move, expectContentId: entry.contentId, relocated });
  return await copy.commit(commit, ({ kind }) => kind === 'moved');
}
