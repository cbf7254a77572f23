/** Brings the bytes of all files below a directory to another instance, while everything stays readable and writable. */
import type { BackendType, DirectoryEntry, FileEntry } from '../core/entry.ts';
import { backendUnavailable, CallFSError, permissionDenied } from '../core/errors.ts';
import { EXECUTE, maySeverChild, permits, READ, type User, WRITE } from '../core/permissions.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import type { LocatedFile } from '../metadata/metadata-store.ts';
import type { EngineContext } from './engine-context.ts';
import { type Amount, FileMover } from './move-files.ts';
import { parentOf } from './resolve-destination.ts';
import { getEntry, resolvePath } from './resolve-path.ts';
import { assertReadable, walkTree } from './walk-tree.ts';
import type { Work } from './work.ts';

export interface RelocateTree {
  readonly user: User;
  readonly path: VirtualPath;
  /** Who shall hold the files; undefined: who holds each. */
  readonly instanceId: string | undefined;
  /** Where those instances shall keep them; undefined: as now. */
  readonly backendType: BackendType | undefined;
}

const PARALLEL = 8;
/** Without a file moved for so long it is given up. */
const PATIENCE_MS = 10_000;
/** Files that clients make elsewhere meanwhile are found by another pass. */
const NOTHING_AWAITED = { isKnown: true, known: Promise.resolve() };

/**
 * What was moved stays moved, whatever becomes of the rest; to repeat it goes on with that.
 * @throws CallFSError PERMISSION_DENIED before anything is moved, BACKEND_UNAVAILABLE when files are left
 */
export async function relocateTree(context: EngineContext, request: RelocateTree, work: Work): Promise<void> {
  const { signal, progress, hands } = work;
  await assertMayRelocate(context, request, signal);
  const files = (): AsyncGenerator<LocatedFile, undefined> => filesToMove(context, request, signal);
  let failure: unknown;
  const mover = new FileMover({
    files,
    countLeft: () => amountOf(files()),
    chooseTarget: async (entry) => request.instanceId ?? entry.instanceId,
    async move(path, targetId) {
      const outcome = await hands.relocate(path, targetId, request.backendType);
      if (outcome.kind === 'failed') failure = outcome.error;
      return outcome;
    },
    onTargetFailed() {},
    parallel: PARALLEL,
    bytesPerSecond: undefined,
    patienceMs: PATIENCE_MS,
    signal,
    onProgress({ moved, total }) {
      progress.filesDone = moved.files;
      progress.bytesDone = moved.sizeBytes;
      progress.filesTotal = total.files;
      progress.bytesTotal = total.sizeBytes;
    },
  });
  await mover.moveAll(NOTHING_AWAITED);
  signal.throwIfAborted();
  if (mover.failures.size === 0) return;
  const left = await amountOf(files());
  if (left.files > 0) throw notAllMoved(left, mover.failures, failure);
}

function notAllMoved(left: Amount, failures: ReadonlyMap<VirtualPath, string>, cause: unknown): CallFSError {
  const [[path, reason] = ['', ''] as const] = failures;
  const message = `${left.files} files could not be moved, ${path} among them (${reason}); repeat the request to go on.`;
  const { code, headers } = cause instanceof CallFSError ? cause : backendUnavailable('');
  return new CallFSError(code, message, { headers, cause, details: { files_left: left.files } });
}

async function* filesToMove(
  context: EngineContext,
  request: RelocateTree,
  signal: AbortSignal,
): AsyncGenerator<LocatedFile, undefined> {
  for await (const { entry, path } of walkTree(context, { ...request, signal })) {
    if (entry.type === 'file' && isToMove(entry, request)) yield { entry, path };
  }
  return undefined;
}

function isToMove(entry: FileEntry, { instanceId, backendType }: RelocateTree): boolean {
  if (instanceId !== undefined && entry.instanceId !== instanceId) return true;
  return backendType !== undefined && entry.backendType !== backendType;
}

async function amountOf(files: AsyncIterable<LocatedFile>): Promise<Amount> {
  const amount = { files: 0, sizeBytes: 0 };
  for await (const { entry } of files) {
    amount.files += 1;
    amount.sizeBytes += entry.sizeBytes;
  }
  return amount;
}

/** A file may be given away by who may remove it from where it is. */
async function assertMayRelocate(context: EngineContext, request: RelocateTree, signal: AbortSignal): Promise<void> {
  const { user, path } = request;
  const top = getEntry(await resolvePath(context, user, path), false);
  assertReadable(user, top, path);
  const directories = new Map<VirtualPath, DirectoryEntry>();
  if (top.type === 'directory') directories.set(path, top);
  for await (const { entry, path: at } of walkTree(context, { user, path, signal })) {
    if (entry.type === 'directory') {
      directories.set(at, entry);
      continue;
    }
    const parent = directories.get(parentOf(at));
    if (!parent || !isToMove(entry, request)) continue;
    if (permits(user, parent, READ | WRITE | EXECUTE) && maySeverChild(user, parent, entry)) continue;
    throw permissionDenied(`You may not move ${at}.`);
  }
}
