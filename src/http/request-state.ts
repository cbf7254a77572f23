/** What is known of a request beside what Fastify keeps: for its log line, its answer and its peer. */
import type { FastifyRequest } from 'fastify';

export interface RequestState {
  requestId: string;
  user: string | undefined;
  /** The instance that forwarded the request here. */
  peer: string | undefined;
  /** The instance that owns the entry, when the request got that far. */
  owner: string | undefined;
  route: 'local' | 'peer';
  /** Bytes of the answer's body. */
  bytes: number;
  /** A transfer that is no HTTP answer has come to its end. */
  concluded: boolean;
  /** Why an exchange with a peer failed. */
  cause: unknown;
  readonly startedAt: number;
}

declare module 'fastify' {
  interface FastifyRequest {
    state: RequestState;
  }
}

export function newRequestState(requestId: string): RequestState {
  return {
    requestId,
    user: undefined,
    peer: undefined,
    owner: undefined,
    route: 'local',
    bytes: 0,
    concluded: false,
    cause: undefined,
    startedAt: performance.now(),
  };
}

/** The request target as it came, before routing looked at it. */
export function targetOf(request: FastifyRequest): string {
  return request.originalUrl;
}
