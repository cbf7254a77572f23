/** The bytes of a file that a peer holds, for an instance that takes the file over. */
import { PassThrough } from 'node:stream';
import { backendUnavailable, CallFSError } from '../core/errors.ts';
import { faultPoint } from '../core/fault-point.ts';
import type { AnswerSink } from './exchange.ts';
import type { Forwarder } from './forward.ts';

export interface ContentRequest {
  readonly instanceId: string;
  /** Path and query of the content at the peer. */
  readonly target: string;
  readonly requestId: string;
}

/** @throws CallFSError FILE_NOT_FOUND when the peer does not hold the content any more; PROXY_ERROR, PEER_TIMEOUT */
export async function* fetchFromPeer(
  forwarder: Forwarder,
  { instanceId, target, requestId }: ContentRequest,
): AsyncGenerator<Uint8Array> {
  faultPoint('peer-contents:before-fetch');
  const abandon = new AbortController();
  const sink = new StreamSink();
  const request = { method: 'GET', target, headers: {}, requestId, body: undefined, signal: abandon.signal };
  const exchange = forwarder.forward(instanceId, request, sink).then(
    ({ kind }) => {
      if (kind === 'misdirected') sink.fail(gone());
    },
    (error: unknown) => sink.fail(error),
  );
  try {
    yield* sink.stream;
    faultPoint('peer-contents:fetched');
  } finally {
    abandon.abort();
    await exchange;
  }
}

const gone = (): CallFSError => new CallFSError('FILE_NOT_FOUND', 'The peer does not hold this content any more.');

/** Turns an answer with status 200 into a stream, any other into an error. */
class StreamSink implements AnswerSink {
  readonly stream = new PassThrough();
  #status = 0;

  begin(status: number): void {
    this.#status = status;
    faultPoint('peer-contents:begun');
  }

  write(chunk: Uint8Array): boolean {
    const goesOn = this.#status !== 200 || this.stream.write(chunk);
    faultPoint('peer-contents:part');
    return goesOn;
  }

  whenWritable(resume: () => void): void {
    this.stream.once('drain', resume);
  }

  end(): void {
    if (this.#status === 200) this.stream.end();
    else if (this.#status === 404) this.fail(gone());
    else this.fail(backendUnavailable(`The instance that holds the bytes answered ${this.#status}.`));
  }

  abort(): void {
    this.fail(backendUnavailable('The instance that holds the bytes broke off.'));
  }

  fail(error: unknown): void {
    this.stream.destroy(error instanceof Error ? error : new Error(String(error)));
  }
}
