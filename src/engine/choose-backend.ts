/** Which backend of this instance gets the bytes that a client sends or moves here. */
import type { BackendType, FileEntry } from '../core/entry.ts';
import { CallFSError } from '../core/errors.ts';
import type { EngineContext } from './engine-context.ts';

/**
 * @param wanted what the client says; undefined: a file stays where it is, a new one goes where new files go
 * @throws CallFSError BAD_REQUEST
 */
export function chooseBackend(
  context: EngineContext,
  wanted: BackendType | undefined,
  entry: FileEntry | undefined,
): BackendType {
  if (wanted === undefined) return entry?.backendType ?? context.defaultBackend;
  assertHasBackend(context, wanted);
  return wanted;
}

/** @throws CallFSError BAD_REQUEST */
export function assertHasBackend({ backends, instanceId }: EngineContext, type: BackendType): void {
  if (backends.has(type)) return;
  throw new CallFSError('BAD_REQUEST', `Instance ${instanceId} has no ${type} backend configured.`);
}
