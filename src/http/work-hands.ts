/** How work on a whole tree reaches the instances that hold files of it, in the name of the user who asked for it. */
import { askPeer } from '../cluster/ask-peer.ts';
import { CallFSError } from '../core/errors.ts';
import type { User } from '../core/permissions.ts';
import { encodePath } from '../core/virtual-path.ts';
import { copyInto } from '../engine/copy-into.ts';
import { moveEntry } from '../engine/move-entry.ts';
import type { FileMove } from '../engine/move-files.ts';
import { noProgress, type WorkHands } from '../engine/work.ts';
import type { HttpServices } from './http-services.ts';
import { COPIES, FILES } from './request-target.ts';

export interface HandsRequest {
  readonly user: User;
  /** Of the client's request, for those who authorise again. */
  readonly authorization: string | undefined;
  readonly requestId: string;
  readonly signal: AbortSignal;
}

const NO_PRECONDITIONS = {
  ifMatch: undefined,
  ifNoneMatch: undefined,
  ifModifiedSince: undefined,
  ifUnmodifiedSince: undefined,
};

export function workHands(services: HttpServices, request: HandsRequest): WorkHands {
  const { engine, forwarder } = services;
  const { user, signal, authorization, requestId } = request;
  const ask = (instanceId: string, method: string, target: string, body: object, until: AbortSignal) => {
    if (!forwarder)
      throw new CallFSError('MISDIRECTED_REQUEST', `Instance ${instanceId} would have to do a part of this.`);
    return askPeer(forwarder, instanceId, { method, target, body, authorization, requestId, signal: until });
  };
  const hands: WorkHands = {
    relocate: (path, targetId, backendType) =>
      judgeMove(signal, async () => {
        const change = { destination: path, instance: targetId, backend: backendType };
        if (targetId !== engine.instanceId) return ask(targetId, 'PATCH', FILES + encodePath(path), change, signal);
        const names = { path, destination: path, namesDirectory: false, destinationNamesDirectory: false };
        const how = { overwrite: false, createParents: false, preconditions: NO_PRECONDITIONS };
        const move = { user, ...names, ...how, instanceId: targetId, backendType };
        return moveEntry(engine, move, { signal, progress: noProgress(), hands });
      }),
    async copyInto(instanceId, task, until) {
      if (instanceId === engine.instanceId) return copyInto(engine, user, task, until);
      const { entryId, parentId, name, backendType } = task;
      const body = { entry_id: entryId, parent_id: parentId, name, backend: backendType };
      const { outcome } = await ask(instanceId, 'POST', COPIES, body, until);
      return outcome === 'gone' ? 'gone' : 'copied';
    },
  };
  return hands;
}

/** Files only go away meanwhile, or become directories. */
const GONE: ReadonlySet<string> = new Set(['FILE_NOT_FOUND', 'NOT_A_DIRECTORY']);
/** The same answer would come again. */
const FINAL: ReadonlySet<string> = new Set([
  'BAD_REQUEST',
  'PERMISSION_DENIED',
  'AUTHENTICATION_FAILED',
  'MISDIRECTED_REQUEST',
]);

async function judgeMove(signal: AbortSignal, move: () => Promise<unknown>): Promise<FileMove> {
  try {
    await move();
    return { kind: 'moved' };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof CallFSError) || FINAL.has(error.code)) throw error;
    if (GONE.has(error.code)) return { kind: 'gone' };
    return { kind: 'failed', reason: error.message, isTargetsFault: false, error };
  }
}
