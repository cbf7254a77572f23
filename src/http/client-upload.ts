/** The body of a request as an upload: the client is asked to send it only when somebody takes it. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Upload } from '../engine/engine-context.ts';
import { type ExpectedDigest, verifiedBody } from './verified-body.ts';

/** Requests whose client waits for `100 Continue` before it sends the body. */
const waitingForContinue = new WeakSet<IncomingMessage>();

/** Handles a request with `Expect: 100-continue`: until the body is wanted, an answer will close the connection. */
export function holdContinue(request: IncomingMessage, response: ServerResponse): void {
  waitingForContinue.add(request);
  response.shouldKeepAlive = false;
}

/** The client sends a body that nobody has read to its end. */
export function hasUnreadBody(request: IncomingMessage): boolean {
  return !request.complete && !waitingForContinue.has(request);
}

/** The bytes that a client sends, however it does. */
export interface RequestUpload extends Upload {
  /** The client has been asked for them, so they cannot be had again. */
  readonly isOpened: boolean;
  /** Like `open`, unverified: for another instance, which verifies them itself. */
  relay(): AsyncIterable<Uint8Array>;
}

export class ClientUpload implements RequestUpload {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #digests: readonly ExpectedDigest[];
  #opened = false;

  /** @param digests what the bytes must have, when they stay here */
  constructor(request: IncomingMessage, response: ServerResponse, digests: readonly ExpectedDigest[] = []) {
    this.#request = request;
    this.#response = response;
    this.#digests = digests;
  }

  get declaredBytes(): number | undefined {
    const { 'content-length': length, 'transfer-encoding': encoding } = this.#request.headers;
    if (encoding !== undefined) return undefined;
    return length === undefined ? 0 : Number(length);
  }

  get isOpened(): boolean {
    return this.#opened;
  }

  /** Rejects at the end with BAD_REQUEST when the bytes are not those that the client's digests are of. */
  open(): AsyncIterable<Uint8Array> {
    return this.#digests.length === 0 ? this.relay() : verifiedBody(this.relay(), this.#digests);
  }

  relay(): AsyncIterable<Uint8Array> {
    this.#opened = true;
    if (waitingForContinue.delete(this.#request)) {
      this.#response.shouldKeepAlive = true;
      this.#response.writeContinue();
    }
    // Whoever stops reading early leaves the connection open for the answer.
    return this.#request.iterator({ destroyOnReturn: false });
  }
}
