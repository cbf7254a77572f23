/** A question to a peer whose answer is a small piece of JSON and meant for this instance, not for a client. */
import { backendUnavailable, CallFSError, type ErrorCode, statusByCode } from '../core/errors.ts';
import type { AnswerSink } from './exchange.ts';
import type { Forwarder } from './forward.ts';

export interface PeerQuestion {
  readonly method: string;
  /** Path and query at the peer. */
  readonly target: string;
  /** Of the user whose work it is, who is authorised again over there. */
  readonly authorization: string | undefined;
  readonly requestId: string;
  /** Sent as JSON. */
  readonly body: object;
  readonly signal: AbortSignal;
}

export type PeerAnswer = Readonly<Record<string, unknown>>;

const MAX_ANSWER_BYTES = 1024 * 1024;

/** @throws CallFSError the one that the peer answered with; PROXY_ERROR, PEER_TIMEOUT */
export async function askPeer(forwarder: Forwarder, instanceId: string, question: PeerQuestion): Promise<PeerAnswer> {
  const { body: json, authorization, ...rest } = question;
  const bytes = Buffer.from(JSON.stringify(json));
  const body = {
    declaredBytes: bytes.length,
    async *open() {
      yield bytes;
    },
  };
  const sink = new CollectingSink();
  const headers = { authorization, 'content-type': 'application/json' };
  const outcome = await forwarder.forward(instanceId, { ...rest, headers, body }, sink);
  if (outcome.kind === 'misdirected') throw backendUnavailable(`Instance ${instanceId} does not do this any more.`);
  const answer = parse(instanceId, await sink.whole);
  if (outcome.status < 300) return answer;
  throw errorOf(instanceId, outcome.status, answer);
}

function parse(instanceId: string, text: string): PeerAnswer {
  try {
    const answer: unknown = JSON.parse(text);
    if (typeof answer === 'object' && answer !== null) return answer as PeerAnswer;
  } catch {
    // The same as any other answer that makes no sense.
  }
  throw backendUnavailable(`Instance ${instanceId} gave an answer that makes no sense.`);
}

function errorOf(instanceId: string, status: number, { code, message }: PeerAnswer): CallFSError {
  const isKnown = typeof code === 'string' && Object.hasOwn(statusByCode, code);
  if (!isKnown) return backendUnavailable(`Instance ${instanceId} answered ${status}.`);
  return new CallFSError(code as ErrorCode, String(message));
}

class CollectingSink implements AnswerSink {
  readonly #chunks: Uint8Array[] = [];
  readonly #whole = Promise.withResolvers<string>();
  #sizeBytes = 0;

  constructor() {
    this.#whole.promise.catch(() => {});
  }

  get whole(): Promise<string> {
    return this.#whole.promise;
  }

  begin(): void {}

  write(chunk: Uint8Array): boolean {
    this.#sizeBytes += chunk.length;
    if (this.#sizeBytes <= MAX_ANSWER_BYTES) this.#chunks.push(Uint8Array.from(chunk));
    return true;
  }

  whenWritable(resume: () => void): void {
    resume();
  }

  end(): void {
    this.#whole.resolve(Buffer.concat(this.#chunks).toString('utf8'));
  }

  abort(): void {
    this.#whole.reject(backendUnavailable('The answer of another instance broke off.'));
  }
}
