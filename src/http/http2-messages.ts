/**
 * Requests and answers of HTTP/2 as the HTTP/1.1 messages that they stand for (RFC 9113 section 8.3), so that nothing
 * else has to know which of the two a client speaks.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { constants, Http2ServerRequest, Http2ServerResponse, type ServerHttp2Stream } from 'node:http2';

/** The client, or the connection, went away in the middle of a body. */
class BrokenOff extends Error {
  /** As on an HTTP/1.1 connection. */
  readonly code = 'ECONNRESET';
}

export class Http2Request extends Http2ServerRequest {
  /** The end of the body has come. */
  #isComplete = false;

  constructor(...[stream, headers, options, rawHeaders]: ConstructorParameters<typeof Http2ServerRequest>) {
    super(stream, headers, options, rawHeaders);
    const { ':method': _method, ':path': _path, ':scheme': _scheme, ':authority': authority, ...fields } = headers;
    if (authority !== undefined) fields.host ??= authority;
    // Frames end a body of any length, as chunks do.
    if (!stream.endAfterHeaders && fields['content-length'] === undefined) fields['transfer-encoding'] = 'chunked';
    Object.defineProperty(this, 'headers', { value: fields satisfies IncomingHttpHeaders });
    // Before Node tells those who read that it is over.
    stream.prependListener('aborted', () => {
      if (!this.#isComplete) this.destroy(new BrokenOff('aborted'));
    });
  }

  /** Node ends the body of a stream that was reset as if it were complete; a part must never be taken for the whole. */
  override push(chunk: unknown, encoding?: BufferEncoding): boolean {
    if (this.destroyed) return false;
    if (chunk === null) this.#isComplete = true;
    return super.push(chunk, encoding);
  }

  /** As with HTTP/1.1, it is an error only for whoever listens. */
  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    done(this.listenerCount('error') > 0 ? error : null);
  }
}

/** How often it is looked whether an answer has gone out that came before the end of the client's body. */
const LOOK_EVERY_MS = 20;
/** A client that does not take its answer keeps the stream for so long at most. */
const GIVE_UP_AFTER_MS = 15_000;

export class Http2Response extends Http2ServerResponse<Http2Request> {
  constructor(...[stream]: ConstructorParameters<typeof Http2ServerResponse<Http2Request>>) {
    super(stream);
    Object.defineProperty(this, 'destroyed', { get: () => stream.destroyed });
    if (stream.endAfterHeaders || this.req.method === 'HEAD') return;
    stream.once('finish', () => setImmediate(endUpload, stream, performance.now() + GIVE_UP_AFTER_MS));
  }

  /** Only the stream ends with its answer, never the connection. */
  get shouldKeepAlive(): boolean {
    return true;
  }

  set shouldKeepAlive(_ignored: boolean) {}

  /** With an error code, so that the client does not take what it has for everything. */
  override destroy(error: Error = new BrokenOff('the answer cannot be finished')): this {
    this.stream.destroy(error);
    return this;
  }

  override write(...[chunk, encodingOrDone, done]: [unknown, unknown?, unknown?]): boolean {
    const { stream } = this;
    const written = typeof encodingOrDone === 'function' ? encodingOrDone : done;
    if (stream.destroyed || stream.closed) {
      if (typeof written === 'function') process.nextTick(written, new BrokenOff('the client is gone'));
      return false;
    }
    return super.write(chunk as Buffer, encodingOrDone as BufferEncoding, done as () => void);
  }

  override writeContinue(): boolean {
    return this.#writeInformation(constants.HTTP_STATUS_CONTINUE);
  }

  writeProcessing(): boolean {
    return this.#writeInformation(constants.HTTP_STATUS_PROCESSING);
  }

  #writeInformation(status: number): boolean {
    const { stream } = this;
    if (stream.destroyed || stream.closed || stream.headersSent) return false;
    stream.additionalHeaders({ ':status': status });
    return true;
  }
}

/**
 * After an answer that came before the end of the client's body: tells the client to send no more of it
 * (RFC 9113 section 8.1), but not before the answer has gone out, because what is sent to a stream that was reset is lost.
 */
function endUpload(stream: ServerHttp2Stream, giveUpAtMs: number): void {
  if (stream.destroyed || stream.readableEnded) return;
  const isSent = stream.closed || stream.state.localClose === 1;
  if (isSent || performance.now() > giveUpAtMs) stream.destroy();
  else setTimeout(endUpload, LOOK_EVERY_MS, stream, giveUpAtMs).unref();
}
