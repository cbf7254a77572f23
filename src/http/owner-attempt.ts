/** One try to have a request answered by another instance, and what is known of it when it fails. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type AnswerSink, ClientGone, type ExchangeBody, type HeaderFields } from '../cluster/exchange.ts';
import type { Forwarder, ForwardOutcome, ForwardRequest } from '../cluster/forward.ts';
import type { CloseWatch } from '../cluster/peer.ts';
import { isPeerFailure, wasNeverSent } from '../cluster/proxy-error.ts';
import type { CallFSError } from '../core/errors.ts';
import { targetOf } from './request-state.ts';
import { originForm } from './request-target.ts';
import { ForwardedAnswer } from './response-sink.ts';

/** What is asked of the owner, and who gets its answer, when neither is the client's own. */
export interface OwnerExchange extends Pick<ForwardRequest, 'method' | 'target' | 'headers' | 'signal'> {
  readonly answer: AnswerSink;
}

export interface ForwardBody extends ExchangeBody {
  /** Whether another try can send the same bytes. */
  readonly canRepeat: () => boolean;
}

export interface Attempt {
  readonly instanceId: string;
  readonly body: ForwardBody | undefined;
  readonly exchange: OwnerExchange | undefined;
  /** Ends the try as soon as the instance is known to be down; undefined: nobody else could answer. */
  readonly watch: CloseWatch | undefined;
}

export type AttemptOutcome = ForwardOutcome | FailedAttempt;

/** The instance did not answer; the client got nothing yet. */
export interface FailedAttempt {
  readonly kind: 'failed';
  readonly error: CallFSError;
  /** Whether it may have done what it was asked for, or be about to do it. */
  readonly mayHaveActed: boolean;
}

/** @throws whatever is not the instance's failure, or comes after the client got a part of its answer */
export async function attempt(
  forwarder: Forwarder,
  request: FastifyRequest,
  reply: FastifyReply,
  { instanceId, body, exchange, watch }: Attempt,
): Promise<AttemptOutcome> {
  const client = new AbortController();
  const onClose = (): void => client.abort();
  reply.raw.once('close', onClose);
  const { method, headers, state } = request;
  const own = { method, target: originForm(targetOf(request)), headers, answer: new ForwardedAnswer(reply, state) };
  const { answer, ...asked } = exchange ?? own;
  const signals = [client.signal, exchange?.signal, watch?.signal].filter((signal) => signal !== undefined);
  const sink = new WatchedAnswer(answer, watch);
  const watched = body && new WatchedBody(body, watch);
  try {
    // The client may have left while the use case asked the store; nothing would tell that again.
    if (reply.raw.destroyed) throw new ClientGone('the client is gone');
    const signal = signals.length === 1 ? client.signal : AbortSignal.any(signals);
    const wanted = { ...asked, requestId: state.requestId, body: watched, signal };
    return await forwarder.forward(instanceId, wanted, sink);
  } catch (error) {
    if (sink.isBegun || !isPeerFailure(error)) throw error;
    // Without its bytes nothing can be done, unless there are none.
    const wasComplete = !watched || watched.isOpened || watched.declaredBytes === 0;
    return { kind: 'failed', error, mayHaveActed: !wasNeverSent(error) && wasComplete };
  } finally {
    reply.raw.off('close', onClose);
    watch?.[Symbol.dispose]();
  }
}

/** When the instance wants the bytes it is no longer possible to ask another one. */
class WatchedBody implements ExchangeBody {
  readonly #body: ExchangeBody;
  readonly #watch: Disposable | undefined;
  isOpened = false;

  constructor(body: ExchangeBody, watch: Disposable | undefined) {
    this.#body = body;
    this.#watch = watch;
  }

  get declaredBytes(): number | undefined {
    return this.#body.declaredBytes;
  }

  open(): AsyncIterable<Uint8Array> {
    this.isOpened = true;
    this.#watch?.[Symbol.dispose]();
    return this.#body.open();
  }
}

class WatchedAnswer implements AnswerSink {
  readonly #sink: AnswerSink;
  readonly #watch: Disposable | undefined;
  isBegun = false;

  constructor(sink: AnswerSink, watch: Disposable | undefined) {
    this.#sink = sink;
    this.#watch = watch;
  }

  begin(status: number, headers: HeaderFields): void {
    this.isBegun = true;
    this.#watch?.[Symbol.dispose]();
    this.#sink.begin(status, headers);
  }

  write(chunk: Uint8Array): boolean {
    return this.#sink.write(chunk);
  }

  whenWritable(resume: () => void): void {
    this.#sink.whenWritable(resume);
  }

  end(): void {
    this.#sink.end();
  }

  abort(): void {
    this.#sink.abort();
  }
}
