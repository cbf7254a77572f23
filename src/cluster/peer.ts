/** One other instance: its connections, its breaker, and what its failures mean. */
import { CallFSError } from '../core/errors.ts';
import type { Clock } from '../core/runtime.ts';
import { CircuitBreaker, type Sight } from './circuit-breaker.ts';
import type { DialOptions } from './dial.ts';
import { type AnswerSink, ClientGone, type Deadlines, type ExchangeRequest, endedBy, SilentPeer } from './exchange.ts';
import { isUnreachable, knownFailure, peerTimeout, proxyError, proxyFailure } from './proxy-error.ts';
import { RequestTransport } from './request-transport.ts';
import { UploadTransport } from './upload-transport.ts';

export interface PeerOptions extends DialOptions, Deadlines {
  readonly instanceId: string;
  readonly endpoint: URL;
  readonly maxConnections: number;
  readonly onChange: (instanceId: string, up: boolean) => void;
  readonly clock: Clock;
}

/** How long a peer may take to answer whether it is alive. */
const PROBE_TIMEOUT_MS = 1500;

/** A request that somebody else could answer, too, waits so long before its peer is looked at. */
const LOOK_AFTER_MS = 500;

/** While it is not disposed, `signal` is aborted with the failure as soon as the peer is known to be down. */
export interface CloseWatch extends Disposable {
  readonly signal: AbortSignal;
}

export class Peer {
  readonly instanceId: string;
  readonly endpoint: URL;
  readonly #requests: RequestTransport;
  readonly #uploads: UploadTransport;
  readonly #breaker: CircuitBreaker;
  readonly #watches = new Set<AbortController>();

  constructor(options: PeerOptions) {
    this.instanceId = options.instanceId;
    this.endpoint = options.endpoint;
    this.#requests = new RequestTransport(options);
    this.#uploads = new UploadTransport(options);
    const probes = { ...options, maxConnections: 1, responseTimeoutMs: PROBE_TIMEOUT_MS };
    this.#breaker = new CircuitBreaker({
      probe: () => probe(probes),
      onChange: (up) => this.#changed(up, options),
      clock: options.clock,
    });
  }

  /** Undefined: nobody has looked yet. */
  get sight(): Sight | undefined {
    return this.#breaker.sight;
  }

  /**
   * Sends a request and its answer to the sink.
   * @throws CallFSError PROXY_ERROR or PEER_TIMEOUT, at once while the peer is known to be down
   * @throws ClientGone when the signal ended it
   */
  async exchange(request: ExchangeRequest, sink: AnswerSink): Promise<void> {
    const { failure } = this.#breaker;
    if (failure) throw knownFailure(failure);
    // From here on an abort is noticed when it happens, and only then.
    if (request.signal.aborted) throw endedBy(request.signal);
    try {
      await this.#send(request, sink);
      this.#breaker.answered();
    } catch (error) {
      throw this.#judge(error);
    }
  }

  #send(request: ExchangeRequest, sink: AnswerSink): Promise<void> {
    const { body } = request;
    return body ? this.#uploads.exchange({ ...request, body }, sink) : this.#requests.exchange(request, sink);
  }

  #judge(error: unknown): unknown {
    if (error instanceof ClientGone || error instanceof CallFSError) return error;
    const failure = failureOf(this.instanceId, error);
    if (isUnreachable(error)) this.#breaker.open(failure);
    else void this.#breaker.suspect();
    return failure;
  }

  /** Finds out whether the peer answers, so that requests need not. */
  watch(): Promise<void> {
    return this.#breaker.check();
  }

  /** For a request that need not wait until this peer has kept silent for too long; looks at the peer soon. */
  watchClosely(): CloseWatch {
    const watch = new AbortController();
    this.#watches.add(watch);
    const timer = setTimeout(() => void this.watch(), LOOK_AFTER_MS);
    timer.unref();
    const dispose = (): void => {
      clearTimeout(timer);
      this.#watches.delete(watch);
    };
    return { signal: watch.signal, [Symbol.dispose]: dispose };
  }

  #changed(up: boolean, { instanceId, onChange }: PeerOptions): void {
    onChange(instanceId, up);
    const { failure } = this.#breaker;
    if (failure) for (const watch of this.#watches) watch.abort(failure);
  }

  async close(): Promise<void> {
    this.#breaker.close();
    this.#uploads.close();
    await this.#requests.close();
  }
}

function failureOf(instanceId: string, error: unknown): CallFSError {
  return error instanceof SilentPeer ? peerTimeout(instanceId) : proxyError(instanceId, error);
}

/** Asks on a connection of its own: those in use may be stuck. */
async function probe(options: PeerOptions): Promise<CallFSError | undefined> {
  const transport = new RequestTransport(options);
  let status = 0;
  const sink: AnswerSink = {
    begin: (received) => {
      status = received;
    },
    write: () => true,
    whenWritable: (resume) => resume(),
    end: () => {},
    abort: () => {},
  };
  try {
    const signal = new AbortController().signal;
    await transport.exchange({ method: 'GET', target: '/health', headers: {}, body: undefined, signal }, sink);
    return status === 200 ? undefined : proxyFailure(options.instanceId, `its /health answers ${status}`);
  } catch (error) {
    return failureOf(options.instanceId, error);
  } finally {
    await transport.close();
  }
}
