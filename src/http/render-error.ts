/** Errors as answers. Nothing else formats an error; nothing internal leaks. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ClientGone } from '../cluster/exchange.ts';
import { CallFSError, systemErrorCode } from '../core/errors.ts';
import { EntryConflict } from '../engine/entry-conflict.ts';
import { conflictJson, conflictKind } from './conflict-representation.ts';
import type { HttpServices } from './http-services.ts';
import type { RequestState } from './request-state.ts';

const JSON_TYPE = 'application/json; charset=utf-8';

/** Failures between instances: the log says why, also when nothing below failed. */
const BETWEEN_INSTANCES: ReadonlySet<string> = new Set(['PROXY_ERROR', 'PEER_TIMEOUT', 'ROUTING_LOOP']);

export async function renderError(
  services: HttpServices,
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  const { state } = request;
  if (isClientGone(error) || reply.raw.headersSent) {
    noteCause(state, toCallFSError(error));
    reply.hijack();
    reply.raw.destroy();
    return;
  }
  const { known, body } = await describeError(services, error, state);
  state.bytes = Buffer.byteLength(body);
  await reply.code(known.status).headers(known.headers).type(JSON_TYPE).send(body);
}

export interface DescribedError {
  readonly known: CallFSError;
  /** The JSON that tells the client. */
  readonly body: string;
}

export async function describeError(
  services: HttpServices,
  error: unknown,
  state: RequestState,
): Promise<DescribedError> {
  const known = toCallFSError(error);
  noteCause(state, known);
  if (known.code === 'INTERNAL_ERROR')
    services.log.error({ request_id: state.requestId, err: error }, 'internal error');
  return { known, body: JSON.stringify(await errorJson(services, known, state.requestId)) };
}

function noteCause(state: RequestState, { code, cause, message }: CallFSError): void {
  state.cause ??= cause ?? (BETWEEN_INSTANCES.has(code) ? message : undefined);
}

async function errorJson(services: HttpServices, error: CallFSError, requestId: string): Promise<object> {
  if (!(error instanceof EntryConflict)) {
    return { ...error.details, code: error.code, message: error.message, request_id: requestId };
  }
  services.metrics.conflicts.inc({ kind: conflictKind(error) });
  const endpoint = await services.peers.findPublicUrl(error.existing.instanceId).catch(() => undefined);
  return conflictJson(error, endpoint, requestId);
}

function toCallFSError(error: unknown): CallFSError {
  if (error instanceof CallFSError) return error;
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined;
  if (status === 400 || status === 413 || status === 415) {
    return new CallFSError('BAD_REQUEST', 'The request cannot be understood.', { cause: error });
  }
  return new CallFSError('INTERNAL_ERROR', 'Something went wrong inside the server; the request id leads to its log.', {
    cause: error,
  });
}

/** The client closed the connection before its request was complete. */
export function isClientGone(error: unknown): boolean {
  return error instanceof ClientGone || systemErrorCode(error) === 'ECONNRESET';
}
