/**
 * Requests with a body, over node:http because undici refuses `Expect: 100-continue` (RFC 9110 section 10.1.1).
 * The owner's verdict comes before the first byte of the body is taken from the client: an owner that refuses
 * costs no transfer, and a request that reached the wrong owner can be sent to the right one.
 */
import * as http from 'node:http';
import * as https from 'node:https';
import type { Duplex } from 'node:stream';
import { CallFSError } from '../core/errors.ts';
import { faultPoint } from '../core/fault-point.ts';
import { bytesPassed } from '../streams/passing-bytes.ts';
import { type DialOptions, dial } from './dial.ts';
import {
  type AnswerSink,
  ClientGone,
  type Deadlines,
  type ExchangeBody,
  type ExchangeRequest,
  endedBy,
  type HeaderFields,
  SilentPeer,
} from './exchange.ts';

export interface UploadTransportOptions extends DialOptions, Deadlines {
  readonly endpoint: URL;
  readonly maxConnections: number;
}

export class UploadTransport {
  readonly #options: UploadTransportOptions;
  readonly #agent: http.Agent;

  constructor(options: UploadTransportOptions) {
    this.#options = options;
    const { endpoint, maxConnections } = options;
    const Agent = endpoint.protocol === 'https:' ? https.Agent : http.Agent;
    this.#agent = new Agent({ keepAlive: true, maxSockets: maxConnections, timeout: options.idleTimeoutMs });
    this.#agent.createConnection = (_options, done): undefined => {
      dial(endpoint, options, (error, socket) => {
        faultPoint('forward:dialled');
        done?.(error, socket as Duplex);
      });
    };
  }

  async exchange(request: ExchangeRequest & { readonly body: ExchangeBody }, sink: AnswerSink): Promise<void> {
    const outgoing = this.#open(request);
    const watch = new Watch(outgoing, request.signal, this.#options.responseTimeoutMs);
    try {
      const answer = await Promise.race([watch.failed, converse(outgoing, request.body, watch)]);
      watch.answered();
      await relay(answer, sink, watch);
    } finally {
      watch.stop();
      // Refused before the body was sent: the connection still expects it.
      if (!outgoing.writableFinished) outgoing.destroy();
    }
  }

  #open({ method, target, headers, body }: ExchangeRequest & { readonly body: ExchangeBody }): http.ClientRequest {
    const { endpoint } = this.#options;
    const length: HeaderFields =
      body.declaredBytes === undefined
        ? { 'transfer-encoding': 'chunked' }
        : { 'content-length': `${body.declaredBytes}` };
    const { request } = endpoint.protocol === 'https:' ? https : http;
    const outgoing = request({
      agent: this.#agent,
      host: endpoint.hostname,
      port: endpoint.port,
      method,
      path: target,
      headers: {
        ...(headers as http.OutgoingHttpHeaders),
        ...(length as http.OutgoingHttpHeaders),
        expect: '100-continue',
      },
    });
    outgoing.flushHeaders();
    faultPoint('forward:head-sent');
    return outgoing;
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** The peer works on it, and says so now and then. */
const PROCESSING = 102;

/** Sends the body when the peer asks for it; resolves to the answer, which may come before, during or after. */
function converse(outgoing: http.ClientRequest, body: ExchangeBody, watch: Watch): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    let answered = false;
    outgoing.on('response', (answer) => {
      answered = true;
      resolve(answer);
    });
    outgoing.on('error', reject);
    outgoing.on('information', ({ statusCode }) => {
      if (statusCode === PROCESSING) watch.resume();
    });
    outgoing.on('continue', () => {
      sendBody(outgoing, body, watch, () => answered).catch(reject);
    });
  });
}

async function sendBody(
  outgoing: http.ClientRequest,
  body: ExchangeBody,
  watch: Watch,
  isAnswered: () => boolean,
): Promise<void> {
  watch.pause();
  faultPoint('forward:body-wanted');
  for await (const chunk of fromClient(body)) {
    if (isAnswered()) return;
    bytesPassed(chunk.length);
    const goesOn = outgoing.write(chunk);
    faultPoint('forward:body-part');
    if (goesOn) continue;
    watch.resume();
    await drained(outgoing);
    watch.pause();
  }
  outgoing.end();
  faultPoint('forward:body-sent');
  watch.resume();
}

/** The body's bytes; that the client breaks off is not the peer's failure. */
async function* fromClient(body: ExchangeBody): AsyncGenerator<Uint8Array> {
  try {
    yield* body.open();
  } catch (error) {
    throw error instanceof CallFSError ? error : new ClientGone('the client broke the body off', { cause: error });
  }
}

function drained(outgoing: http.ClientRequest): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error): void => {
      outgoing.off('drain', settle).off('error', settle).off('close', closed);
      if (error) reject(error);
      else resolve();
    };
    const closed = (): void => settle(new Error('The connection to the peer was closed.'));
    outgoing.on('drain', settle).on('error', settle).on('close', closed);
  });
}

function relay(answer: http.IncomingMessage, sink: AnswerSink, watch: Watch): Promise<void> {
  return new Promise((resolve, reject) => {
    sink.begin(answer.statusCode ?? 502, answer.headers as HeaderFields);
    const fail = (error: Error): void => {
      sink.abort();
      reject(error);
    };
    watch.failed.catch(fail);
    answer.on('error', fail);
    answer.on('data', (chunk: Buffer) => {
      if (sink.write(chunk)) return;
      answer.pause();
      sink.whenWritable(() => answer.resume());
    });
    answer.on('end', () => {
      sink.end();
      resolve();
    });
  });
}

/** Ends the exchange when the client leaves, or when the peer is silent for too long while it is its turn. */
class Watch {
  readonly failed: Promise<never>;
  readonly #outgoing: http.ClientRequest;
  readonly #signal: AbortSignal;
  readonly #timeoutMs: number;
  readonly #fail: (error: Error) => void;
  #timer: NodeJS.Timeout | undefined;
  #answered = false;

  constructor(outgoing: http.ClientRequest, signal: AbortSignal, timeoutMs: number) {
    this.#outgoing = outgoing;
    this.#signal = signal;
    this.#timeoutMs = timeoutMs;
    const { promise, reject } = Promise.withResolvers<never>();
    this.failed = promise;
    promise.catch(() => {});
    this.#fail = (error) => {
      reject(error);
      outgoing.destroy(error);
    };
    signal.addEventListener('abort', this.#onAbort);
    this.resume();
  }

  readonly #onAbort = (): void => this.#fail(endedBy(this.#signal));

  /** The peer has to act now. */
  resume(): void {
    clearTimeout(this.#timer);
    if (this.#answered || this.#outgoing.destroyed) return;
    this.#timer = setTimeout(() => this.#fail(new SilentPeer('no answer')), this.#timeoutMs);
  }

  /** The client has to act now; its own idle timeout applies. */
  pause(): void {
    clearTimeout(this.#timer);
  }

  answered(): void {
    this.#answered = true;
    this.pause();
  }

  stop(): void {
    this.answered();
    this.#signal.removeEventListener('abort', this.#onAbort);
  }
}
