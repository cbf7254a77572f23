/** Requests without a body, over pooled undici connections. */
import { type Dispatcher, Pool } from 'undici';
import { type DialOptions, dial } from './dial.ts';
import { type AnswerSink, type Deadlines, type ExchangeRequest, endedBy, SilentPeer } from './exchange.ts';

export interface RequestTransportOptions extends DialOptions, Deadlines {
  readonly endpoint: URL;
  readonly maxConnections: number;
}

export class RequestTransport {
  readonly #pool: Pool;
  readonly #responseTimeoutMs: number;

  constructor(options: RequestTransportOptions) {
    this.#responseTimeoutMs = options.responseTimeoutMs;
    this.#pool = new Pool(options.endpoint.origin, {
      connections: options.maxConnections,
      pipelining: 1,
      headersTimeout: 0,
      bodyTimeout: options.idleTimeoutMs,
      keepAliveTimeout: 30_000,
      keepAliveMaxTimeout: 60_000,
      connect: (_target, done) => {
        dial(options.endpoint, options, (error, socket) => {
          if (socket) done(null, socket);
          else done(error ?? new Error('no connection'), null);
        });
      },
    });
  }

  exchange(request: ExchangeRequest, sink: AnswerSink): Promise<void> {
    return new Promise((resolve, reject) => {
      const handler = new AnswerHandler(request.signal, sink, this.#responseTimeoutMs, resolve, reject);
      const { method, target, headers } = request;
      const options = { method: method as Dispatcher.HttpMethod, path: target, headers: mutable(headers), body: null };
      this.#pool.dispatch(options, handler);
    });
  }

  close(): Promise<void> {
    return this.#pool.destroy();
  }
}

/** undici's types want mutable arrays. */
function mutable(headers: ExchangeRequest['headers']): Record<string, string | string[]> {
  return headers as Record<string, string | string[]>;
}

class AnswerHandler implements Dispatcher.DispatchHandler {
  readonly #signal: AbortSignal;
  readonly #sink: AnswerSink;
  readonly #resolve: () => void;
  readonly #reject: (error: Error) => void;
  readonly #deadline: NodeJS.Timeout;
  #controller: Dispatcher.DispatchController | undefined;
  #failure: Error | undefined;
  #begun = false;

  constructor(
    signal: AbortSignal,
    sink: AnswerSink,
    responseTimeoutMs: number,
    resolve: () => void,
    reject: (error: Error) => void,
  ) {
    this.#signal = signal;
    this.#sink = sink;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#deadline = setTimeout(() => this.#giveUp(new SilentPeer('no answer')), responseTimeoutMs);
    signal.addEventListener('abort', this.#onAbort);
  }

  readonly #onAbort = (): void => this.#giveUp(endedBy(this.#signal));

  /** Also before a connection is free: the deadline counts from when the request came. */
  #giveUp(failure: Error): void {
    this.#failure ??= failure;
    if (this.#controller) this.#controller.abort(failure);
    else this.#finish(failure);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#failure) controller.abort(this.#failure);
  }

  onResponseStart(_controller: unknown, status: number, headers: Record<string, string | string[] | undefined>): void {
    if (status < 200) return;
    clearTimeout(this.#deadline);
    this.#begun = true;
    this.#sink.begin(status, headers as Record<string, string | string[]>);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#sink.write(chunk)) return;
    controller.pause();
    this.#sink.whenWritable(() => controller.resume());
  }

  onResponseEnd(): void {
    this.#sink.end();
    this.#finish(undefined);
  }

  onResponseError(_controller: unknown, error: Error): void {
    this.#finish(this.#failure ?? error);
  }

  #finish(failure: Error | undefined): void {
    clearTimeout(this.#deadline);
    this.#signal.removeEventListener('abort', this.#onAbort);
    if (!failure) {
      this.#resolve();
      return;
    }
    if (this.#begun) this.#sink.abort();
    this.#reject(failure);
  }
}
