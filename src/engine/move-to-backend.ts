/** A file's bytes go to another backend of the instance that holds them, unless the file has changed. */
import type { BackendType } from '../core/entry.ts';
import type { LocatedFile } from '../metadata/metadata-store.ts';
import type { EngineContext } from './engine-context.ts';
import { moveWithBytes } from './move-entry.ts';
import type { FileMove } from './move-files.ts';

/** Path, time and ETag stay. Never rejects. */
export async function moveToBackend(
  context: EngineContext,
  { entry, path }: LocatedFile,
  backendType: BackendType,
  signal: AbortSignal,
): Promise<FileMove> {
  const { parentId, name } = entry;
  const move = {
    entryId: entry.id,
    from: { parentId, name },
    expectContentId: entry.contentId,
    expectInstanceId: context.instanceId,
    to: { parentId, missingParents: [], name },
    replacesId: undefined,
    relocated: undefined,
  };
  try {
    const { kind } = await moveWithBytes(context, { path, backendType }, entry, move, signal);
    if (kind !== 'moved') return { kind: 'gone' };
    for (const backend of context.backends.values()) backend.outboxPending();
    return { kind: 'moved' };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { kind: 'failed', reason, isTargetsFault: false, error };
  }
}
