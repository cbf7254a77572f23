/** The body of a request as an upload: the client is asked to send it only when somebody takes it. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Upload } from '../engine/engine-context.ts';

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

export class ClientUpload implements Upload {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  #opened = false;

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.#request = request;
    this.#response = response;
  }

  get declaredBytes(): number | undefined {
    const { 'content-length': length, 'transfer-encoding': encoding } = this.#request.headers;
    if (encoding !== undefined) return undefined;
    return length === undefined ? 0 : Number(length);
  }

  get isOpened(): boolean {
    return this.#opened;
  }

  open(): AsyncIterable<Uint8Array> {
    this.#opened = true;
    if (waitingForContinue.delete(this.#request)) {
      this.#response.shouldKeepAlive = true;
      this.#response.writeContinue();
    }
    // Whoever stops reading early leaves the connection open for the answer.
    return this.#request.iterator({ destroyOnReturn: false });
  }
}
