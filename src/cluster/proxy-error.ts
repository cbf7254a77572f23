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

/** The peer accepted the request and went silent. */
export function peerTimeout(instanceId: string): CallFSError {
  return new CallFSError('PEER_TIMEOUT', `The owning server ${instanceId} accepted the request but does not answer.`, {
    details: { instance_id: instanceId },
  });
}
