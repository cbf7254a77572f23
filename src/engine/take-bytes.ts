/** The bytes of a file that exists, staged here once more: for an instance that takes it over, and for copies. */
import type { BackendType, FileEntry } from '../core/entry.ts';
import { CallFSError } from '../core/errors.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import { assertHasBackend } from './choose-backend.ts';
import type { EngineContext } from './engine-context.ts';
import { contentFrom } from './open-content.ts';
import { isShared } from './shared-bucket.ts';
import { type StagedUpload, stageClone, stageCopy } from './staged-upload.ts';
import type { WorkProgress } from './work.ts';

export interface TakeBytes {
  readonly entry: FileEntry;
  readonly path: VirtualPath;
  /** Where this instance shall keep them. */
  readonly backendType: BackendType;
  readonly signal: AbortSignal;
  /** Told of the bytes as they come; undefined: nobody asks. */
  readonly progress: WorkProgress | undefined;
}

/** @returns undefined: the file has been replaced, or has gone elsewhere */
export async function takeBytes(context: EngineContext, request: TakeBytes): Promise<StagedUpload | undefined> {
  const { entry, path, backendType, signal, progress } = request;
  const isReached = entry.instanceId === context.instanceId || (await isShared(context, entry));
  assertHasBackend(context, backendType);
  signal.throwIfAborted();
  const before = progress?.bytesDone ?? 0;
  try {
    const clone = isReached && backendType === entry.backendType ? await stageClone(context, entry, path) : undefined;
    if (clone) {
      if (progress) progress.bytesDone += entry.sizeBytes;
      return clone;
    }
    const bytes = watched(contentFrom(context, entry, path), signal, progress);
    return await stageCopy(context, backendType, entry, bytes);
  } catch (error) {
    if (progress) progress.bytesDone = before;
    if (error instanceof CallFSError && error.code === 'FILE_NOT_FOUND') return undefined;
    throw error;
  }
}

async function* watched(
  bytes: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  progress: WorkProgress | undefined,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    signal.throwIfAborted();
    if (progress) progress.bytesDone += chunk.length;
    yield chunk;
  }
}
