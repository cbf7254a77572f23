/** The commit in which an entry gets another path, and what its outcomes mean to whoever asked for it. */
import type { Entry } from '../core/entry.ts';
import { CallFSError, invalidPath } from '../core/errors.ts';
import { faultPoint } from '../core/fault-point.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import { MAX_MOVED_PATH_BYTES, type MoveEntry, type MoveOutcome } from '../metadata/metadata-store.ts';
import type { EngineContext } from './engine-context.ts';
import { notEmpty } from './remove-entry.ts';
import { type DestinationRequest, destinationTaken } from './resolve-destination.ts';

export interface Moved {
  readonly kind: 'moved';
  readonly entry: Entry;
  readonly path: VirtualPath;
}

export async function movePath({ store }: EngineContext, move: MoveEntry): Promise<MoveOutcome> {
  faultPoint('engine:before-commit');
  const outcome = await store.moveEntry(move);
  faultPoint('engine:after-commit');
  return outcome;
}

/** @returns undefined: look again */
export function concludeMove(
  context: EngineContext,
  request: DestinationRequest,
  outcome: MoveOutcome,
): Moved | undefined {
  const { path, destination } = request;
  switch (outcome.kind) {
    case 'moved':
      for (const backend of context.backends.values()) backend.outboxPending();
      return { kind: 'moved', entry: outcome.entry, path: destination };
    case 'exists':
      throw destinationTaken(context, destination, outcome.entry, outcome.entry);
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
