/** One request to a peer and its answer, as the two transports and those who use them see it. */
import { CallFSError } from '../core/errors.ts';

export type HeaderFields = Readonly<Record<string, string | readonly string[]>>;

export interface ExchangeRequest {
  readonly method: string;
  /** Path and query, as the peer shall see them. */
  readonly target: string;
  readonly headers: HeaderFields;
  /** Undefined: no body. */
  readonly body: ExchangeBody | undefined;
  /** Aborted when nobody waits for the answer any more; with a CallFSError: because there will be none. */
  readonly signal: AbortSignal;
}

export interface ExchangeBody {
  readonly declaredBytes: number | undefined;
  /** Called when the peer is willing to take the body; until then nothing is read from the client. */
  open(): AsyncIterable<Uint8Array>;
}

/** Takes the answer. After `begin`, chunks come as fast as it lets them. */
export interface AnswerSink {
  begin(status: number, headers: HeaderFields): void;
  /** False: full; nothing more comes until the callback given to `whenWritable` is called. */
  write(chunk: Uint8Array): boolean;
  whenWritable(resume: () => void): void;
  end(): void;
  /** The answer cannot be finished. */
  abort(): void;
}

export interface Deadlines {
  /** Until the peer has answered, or has taken what it was sent. */
  readonly responseTimeoutMs: number;
  /** Without a byte in either direction. */
  readonly idleTimeoutMs: number;
}

/** The peer accepted the request, but did not answer or read on before the deadline. */
export class SilentPeer extends Error {
  readonly code = 'PEER_SILENT';
}

/** Nobody waits for the answer any more. */
export class ClientGone extends Error {
  readonly code = 'CLIENT_GONE';
}

/** What an exchange that its signal has ended rejects with. */
export function endedBy({ reason }: AbortSignal): Error {
  return reason instanceof CallFSError ? reason : new ClientGone('the client is gone');
}

/**
 * A transport's promise: resolves when the whole answer went to the sink. Rejects, without having called
 * `begin`, when there is no answer; and after `begin`, having called `abort`, when it broke off.
 */
export type Transport = (request: ExchangeRequest, sink: AnswerSink) => Promise<void>;
