/** What went wrong between two instances, as the client may read it. */
import { CallFSError, systemErrorCode } from '../core/errors.ts';
import { tlsProblem } from './tls-problem.ts';

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EPIPE: 'connection reset',
  UND_ERR_SOCKET: 'connection reset',
  ETIMEDOUT: 'connect timeout',
  ENOTFOUND: 'host not found',
  EAI_AGAIN: 'host not found',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'network unreachable',
};

/** The peer could not be reached, or broke the exchange off. */
export function proxyError(instanceId: string, error: unknown): CallFSError {
  const code = systemErrorCode(error) ?? '';
  const reason = WORDS[code] ?? tlsProblem(code) ?? 'connection failed';
  return proxyFailure(instanceId, reason, error);
}

export function proxyFailure(instanceId: string, reason: string, cause?: unknown): CallFSError {
  return new CallFSError('PROXY_ERROR', `failed to proxy request to owning server: ${reason}`, {
    details: { instance_id: instanceId },
    cause,
  });
}

/** Why nothing was sent to a peer at all: it is known not to answer. */
export class KnownToBeDown extends Error {}

const NO_CONNECTION: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
]);

/** Whether no connection to the peer could be made, so that the next request would find the same. */
export function isUnreachable(error: unknown): boolean {
  const code = systemErrorCode(error) ?? '';
  return NO_CONNECTION.has(code) || tlsProblem(code) !== undefined;
}

/** What a request gets that was not sent because of an earlier failure. */
export function knownFailure({ code, message, details, cause }: CallFSError): CallFSError {
  return new CallFSError(code, message, {
    details,
    cause: new KnownToBeDown('the peer is known to be down', { cause }),
  });
}

/** Whether a failure of an exchange tells that the peer has got nothing of the request. */
export function wasNeverSent({ cause }: CallFSError): boolean {
  return cause instanceof KnownToBeDown || isUnreachable(cause);
}

/** Whether it is the peer that did not answer, or not to the end. */
export function isPeerFailure(error: unknown): error is CallFSError {
  return error instanceof CallFSError && (error.code === 'PROXY_ERROR' || error.code === 'PEER_TIMEOUT');
}

/** The peer accepted the request and went silent. */
export function peerTimeout(instanceId: string): CallFSError {
  return new CallFSError('PEER_TIMEOUT', `The owning server ${instanceId} accepted the request but does not answer.`, {
    details: { instance_id: instanceId },
  });
}
