/**
 * Hands a request to the instance that owns the entry, and its answer to the client. Once: what arrives as
 * forwarded is never forwarded again, so no loop is possible.
 */
import { performance } from 'node:perf_hooks';
import { CallFSError } from '../core/errors.ts';
import { faultPoint } from '../core/fault-point.ts';
import { type AnswerSink, ClientGone, type ExchangeBody, type HeaderFields } from './exchange.ts';
import { endToEndAnswerFields, endToEndRequestFields } from './header-fields.ts';
import type { PeerDirectory } from './peer-directory.ts';
import { CERTIFICATE, PEER_HEADER, PEER_REFUSED_HEADER, type PeerSigner } from './peer-signature.ts';
import { proxyFailure } from './proxy-error.ts';
import { tlsProblem } from './tls-problem.ts';

export interface ForwardRequest {
  readonly method: string;
  readonly target: string;
  /** As the client sent them, its Authorization among them: the owner authorises by itself. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly requestId: string;
  readonly body: ExchangeBody | undefined;
  readonly signal: AbortSignal;
}

export type ForwardOutcome =
  | { readonly kind: 'answered'; readonly status: number }
  /** The other instance does not own the entry (any more): look it up again. The client got nothing yet. */
  | { readonly kind: 'misdirected' };

export interface ForwardObserver {
  /** Told once for each exchange with a peer. */
  forwarded(exchange: {
    readonly operation: string;
    readonly instanceId: string;
    readonly outcome: 'answered' | 'misdirected' | 'client-gone' | 'timeout' | 'failed';
    readonly durationMs: number;
    readonly cause: unknown;
  }): void;
}

export interface ForwarderOptions {
  readonly peers: PeerDirectory;
  readonly signer: PeerSigner;
  readonly observer: ForwardObserver;
}

const MISDIRECTED = 421;
/** How a peer refuses a signature that was made for another boot of it; its own follows. */
const BOOT = 'boot=';

export class Forwarder {
  readonly #options: ForwarderOptions;
  /** Of every peer the boot that it last told, for which signatures must be made. */
  readonly #boots = new Map<string, string>();

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /**
   * @param sink begins only with an answer that the client shall see
   * @throws CallFSError PROXY_ERROR, PEER_TIMEOUT or ROUTING_LOOP when nothing was sent to the client
   * @throws ClientGone, or any error after `sink.begin`, when there is nobody to tell
   */
  async forward(instanceId: string, request: ForwardRequest, sink: AnswerSink): Promise<ForwardOutcome> {
    const startedAt = performance.now();
    const observe = (outcome: Parameters<ForwardObserver['forwarded']>[0]['outcome'], cause?: unknown): void =>
      this.#options.observer.forwarded({
        operation: request.method,
        instanceId,
        outcome,
        durationMs: performance.now() - startedAt,
        cause,
      });
    try {
      const outcome = await this.#exchange(instanceId, request, sink);
      observe(outcome.kind);
      return outcome;
    } catch (error) {
      observe(outcomeOf(error), error instanceof CallFSError ? (error.cause ?? error) : error);
      throw error;
    }
  }

  async #exchange(instanceId: string, request: ForwardRequest, sink: AnswerSink): Promise<ForwardOutcome> {
    let judge = await this.#ask(instanceId, request, sink);
    if (judge.refused?.startsWith(BOOT)) {
      // A signature is judged before the body is asked for, so the whole request can be sent again.
      this.#boots.set(instanceId, judge.refused.slice(BOOT.length));
      judge = await this.#ask(instanceId, request, sink);
    }
    if (judge.refused !== undefined) throw refusal(instanceId, judge.refused);
    return judge.status === MISDIRECTED ? { kind: 'misdirected' } : { kind: 'answered', status: judge.status };
  }

  async #ask(instanceId: string, request: ForwardRequest, sink: AnswerSink): Promise<JudgingSink> {
    const { peers, signer } = this.#options;
    const peer = await peers.getPeer(instanceId);
    const { method, target, body, signal } = request;
    const headers = endToEndRequestFields(request.headers);
    headers['x-request-id'] = request.requestId;
    headers[PEER_HEADER] = signer.sign({ method, target }, instanceId, this.#boots.get(instanceId) ?? '');
    const judge = new JudgingSink(sink);
    faultPoint('forward:before-dial');
    await peer.exchange({ method, target, headers, body, signal }, judge);
    faultPoint('forward:answered');
    return judge;
  }
}

function outcomeOf(error: unknown): 'client-gone' | 'timeout' | 'failed' {
  if (error instanceof ClientGone) return 'client-gone';
  return error instanceof CallFSError && error.code === 'PEER_TIMEOUT' ? 'timeout' : 'failed';
}

/** Keeps from the client what is between the instances: misdirection and refused signatures. */
class JudgingSink implements AnswerSink {
  readonly #sink: AnswerSink;
  status = 0;
  refused: string | undefined;
  #passes = false;

  constructor(sink: AnswerSink) {
    this.#sink = sink;
  }

  begin(status: number, headers: HeaderFields): void {
    this.status = status;
    const refused = headers[PEER_REFUSED_HEADER];
    if (refused !== undefined) this.refused = String(refused);
    else if (headers[PEER_HEADER] === undefined) this.refused = 'no-instance';
    this.#passes = this.refused === undefined && status !== MISDIRECTED;
    faultPoint('forward:before-answer');
    if (this.#passes) this.#sink.begin(status, endToEndAnswerFields(headers));
    faultPoint('forward:answer-begun');
  }

  write(chunk: Uint8Array): boolean {
    const goesOn = !this.#passes || this.#sink.write(chunk);
    faultPoint('forward:answer-part');
    return goesOn;
  }

  whenWritable(resume: () => void): void {
    this.#sink.whenWritable(resume);
  }

  end(): void {
    faultPoint('forward:answer-received');
    if (this.#passes) this.#sink.end();
  }

  abort(): void {
    if (this.#passes) this.#sink.abort();
  }
}

const REFUSALS: Readonly<Record<string, string>> = {
  'wrong-signature': 'it does not accept the signature; auth.internal_proxy_secret must be the same on all instances',
  'no-secret': 'it has no auth.internal_proxy_secret',
  'wrong-instance': 'another instance answers at its address; check instance_discovery.peer_endpoints',
  'no-instance':
    'what answers at its address is not a CallFS instance; check instance_discovery.peer_endpoints and server.external_url',
  'no-certificate': 'it demands a client certificate; set cluster.cert_file to one that its cluster.ca_file has signed',
  'clock-skew': 'the clocks of the two instances differ by more than 60 s',
};

function refusal(instanceId: string, reason: string): CallFSError {
  if (reason === 'loop') {
    return new CallFSError('ROUTING_LOOP', `The address of instance ${instanceId} leads back to this instance.`, {
      details: { instance_id: instanceId },
    });
  }
  if (reason.startsWith(CERTIFICATE)) {
    const why = tlsProblem(reason.slice(CERTIFICATE.length)) ?? reason;
    return proxyFailure(instanceId, `it does not accept the client certificate in cluster.cert_file: ${why}`);
  }
  return proxyFailure(instanceId, REFUSALS[reason] ?? `it refused the request (${reason})`);
}
