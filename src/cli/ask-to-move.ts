/** Asks an instance to let a file's bytes go elsewhere, and judges its answer. */
import { encodePath, type VirtualPath } from '../core/virtual-path.ts';
import type { FileMove } from '../engine/move-files.ts';
import type { InstanceAnswer, InstanceClient } from './instance-client.ts';

export interface MoveQuestion {
  /** Base URL of the instance. */
  readonly endpoint: string;
  readonly path: VirtualPath;
  /** The body of the PATCH. */
  readonly change: object;
  /** Only if the file still has this ETag; undefined: whatever it has. */
  readonly ifMatch?: string;
  /** Aborted: a request that fails was broken off. */
  readonly signal: AbortSignal;
}

/** While it copies a file it says each second that it works on it. */
const SILENT_MOVE_MS = 10_000;
const FILES = '/v1/files';

/** @throws Refused */
export async function askToMove(client: InstanceClient, question: MoveQuestion): Promise<FileMove> {
  const { endpoint, path, change, ifMatch, signal } = question;
  const headers = ifMatch === undefined ? {} : { 'if-match': ifMatch };
  try {
    const request = { method: 'PATCH', endpoint, target: FILES + encodePath(path), body: change, headers };
    return toMove(await client.ask({ ...request, timeoutMs: SILENT_MOVE_MS }));
  } catch (error) {
    if (error instanceof Refused) throw error;
    if (signal.aborted) return { kind: 'failed', reason: 'broken off', isTargetsFault: false };
    return { kind: 'failed', reason: error instanceof Error ? error.message : String(error), isTargetsFault: true };
  }
}

/** The instance understands the request and will never do it. */
class Refused extends Error {}

export function refusal(status: number, { code, message }: InstanceAnswer['body']): Error {
  if (status === 401 || status === 403) {
    return new Refused('it does not accept the key; was it started with another configuration?');
  }
  return new Error(`${code ?? status}: ${message ?? 'no reason given'}`);
}

/** Files only go away or change meanwhile, or become directories. */
const GONE: ReadonlySet<unknown> = new Set(['FILE_NOT_FOUND', 'NOT_A_DIRECTORY', 'PRECONDITION_FAILED']);

function toMove({ status, body }: InstanceAnswer): FileMove {
  if (status === 200) return { kind: 'moved' };
  if (GONE.has(body.code)) return { kind: 'gone' };
  const error = refusal(status, body);
  if (error instanceof Refused) throw error;
  return { kind: 'failed', reason: error.message, isTargetsFault: body.code === 'INSUFFICIENT_STORAGE' };
}
