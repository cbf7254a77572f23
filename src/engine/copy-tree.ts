/**
 * Copies a directory with everything below it, on all instances that hold something of it. The copy is made where nobody
 * sees it and gets its path in one step, so readers see all of it or nothing, whatever happens meanwhile.
 */
import type { DirectoryEntry, Entry } from '../core/entry.ts';
import { backendUnavailable, CallFSError, invalidPath } from '../core/errors.ts';
import { forEachParallel } from '../core/for-each-parallel.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import { MAX_MOVED_PATH_BYTES } from '../metadata/metadata-store.ts';
import type { CopyRequest } from './copy-entry.ts';
import { copyHolder } from './copy-holder.ts';
import type { EngineContext } from './engine-context.ts';
import { concludeMove, movePath } from './move-path.ts';
import { newDirectory } from './new-entry.ts';
import { nameOf, parentOf, resolveDestination } from './resolve-destination.ts';
import { retryWhileChanging } from './retry-while-changing.ts';
import { openUnseenPlace, removeUnseen } from './unseen-place.ts';
import { walkTree } from './walk-tree.ts';
import type { CopyTask, Work } from './work.ts';

const PARALLEL = 8;

/**
 * @returns the copy
 * @throws CallFSError PERMISSION_DENIED before anything is copied when anything below may not be read
 */
export async function copyTree(
  context: EngineContext,
  request: CopyRequest,
  source: DirectoryEntry,
  work: Work,
): Promise<Entry> {
  await measure(context, request, work);
  const placeId = await openUnseenPlace(context);
  const { user } = request;
  const top = newDirectory(context, context.ids.next(), { user, mode: source.mode });
  const made = await context.store.createEntry({ parentId: placeId, missingParents: [], entry: top });
  if (made.kind !== 'created') throw backendUnavailable('The copy could not be begun.');
  try {
    await copyBelow(context, request, top.id, work);
    return await show(context, request, made.entry);
  } catch (error) {
    // What cannot be removed now is removed at the next start.
    await removeUnseen(context, top.id, placeId).catch(() => {});
    throw error;
  }
}

/** Looks at everything first: whether it may be read, how much it is, whether its paths will do. */
async function measure(context: EngineContext, request: CopyRequest, { signal, progress }: Work): Promise<void> {
  const { path, destination } = request;
  const growthBytes = Buffer.byteLength(destination) - Buffer.byteLength(path);
  Object.assign(progress, { filesTotal: 0, bytesTotal: 0 });
  for await (const listed of walkTree(context, { ...request, signal })) {
    if (Buffer.byteLength(listed.path) + growthBytes > MAX_MOVED_PATH_BYTES) {
      throw invalidPath(`Below ${destination} a path would have more than ${MAX_MOVED_PATH_BYTES} bytes.`);
    }
    if (listed.entry.type === 'directory') continue;
    progress.filesTotal += 1;
    progress.bytesTotal += listed.entry.sizeBytes;
  }
}

async function copyBelow(context: EngineContext, request: CopyRequest, topId: string, work: Work): Promise<void> {
  const { signal, progress, hands } = work;
  const holders = new Map<string, Promise<string>>();
  const holderOf = (originalsHolder: string): Promise<string> => {
    const known = holders.get(originalsHolder) ?? copyHolder(context, originalsHolder);
    holders.set(originalsHolder, known);
    return known;
  };
  // The first failure stops all lanes, and ends what they have begun.
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const copyOne = async ({ task, originalsHolder, sizeBytes }: FileToCopy): Promise<void> => {
    try {
      const instanceId = request.instanceId ?? (await holderOf(originalsHolder));
      const copying = hands.copyInto(instanceId, task, either);
      const copied = copying.catch(async (error) => {
        if (!(await mayCopyInstead(context, request, instanceId, error))) throw error;
        return hands.copyInto(context.instanceId, task, either);
      });
      if ((await copied) === 'gone') return;
      progress.filesDone += 1;
      progress.bytesDone += sizeBytes;
    } catch (error) {
      failed.abort(error);
      throw error;
    }
  };
  const lanes = forEachParallel(filesToCopy(context, request, topId, either), PARALLEL, copyOne);
  await lanes.catch((error) => {
    throw signal.aborted ? signal.reason : (failed.signal.reason ?? error);
  });
}

/** The original's holder does not answer, but this instance may reach the bytes, too. */
async function mayCopyInstead(
  { sharesBucketWith }: EngineContext,
  { instanceId: named }: CopyRequest,
  holder: string,
  error: unknown,
): Promise<boolean> {
  const isSilent = error instanceof CallFSError && (error.code === 'PROXY_ERROR' || error.code === 'PEER_TIMEOUT');
  return isSilent && named === undefined && ((await sharesBucketWith?.(holder)) ?? false);
}

interface FileToCopy {
  readonly task: CopyTask;
  readonly originalsHolder: string;
  readonly sizeBytes: number;
}

/** Makes each directory before it gives what goes into it. */
async function* filesToCopy(
  context: EngineContext,
  request: CopyRequest,
  topId: string,
  signal: AbortSignal,
): AsyncGenerator<FileToCopy> {
  const { user, path } = request;
  const copies = new Map<VirtualPath, string>([[path, topId]]);
  for await (const { entry, path: at } of walkTree(context, { ...request, signal })) {
    const parentId = copies.get(parentOf(at));
    if (parentId === undefined) continue;
    if (entry.type === 'file') {
      const task = { entryId: entry.id, parentId, name: entry.name, backendType: request.backendType };
      yield { task, originalsHolder: entry.instanceId, sizeBytes: entry.sizeBytes };
      continue;
    }
    const copy = newDirectory(context, entry.name, { user, mode: entry.mode });
    const { kind } = await context.store.createEntry({ parentId, missingParents: [], entry: copy });
    if (kind !== 'created') throw backendUnavailable('The copy was given up, because it is not whole any more.');
    copies.set(at, copy.id);
  }
}

/** The step in which the copy gets its path. */
async function show(context: EngineContext, request: CopyRequest, copy: Entry): Promise<Entry> {
  const { user, destination } = request;
  return retryWhileChanging(async () => {
    const target = await resolveDestination(context, request, copy, 'copied');
    const parents = target.missing.slice(0, -1).map((name) => newDirectory(context, name, { user, mode: undefined }));
    const outcome = await movePath(context, {
      entryId: copy.id,
      from: { parentId: copy.parentId, name: copy.name },
      expectContentId: undefined,
      to: { parentId: target.parent.id, missingParents: parents, name: nameOf(destination) },
      replacesId: target.entry?.id,
      relocated: undefined,
    });
    if (outcome.kind === 'changed' && (await context.store.describeEntries([copy.id])).length === 0) {
      throw backendUnavailable('The copy was given up, because it is not whole any more.');
    }
    return concludeMove(context, request, outcome)?.entry;
  });
}
