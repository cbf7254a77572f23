/** The answer's body as bytes flow into it, at the pace of the client. */
import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import type { ByteSink } from '../backends/backend.ts';
import { type AnswerSink, ClientGone, type HeaderFields } from '../cluster/exchange.ts';
import { bytesPassed } from '../streams/passing-bytes.ts';
import { withOwnCors } from './cors.ts';
import { endWithoutReset, mayEndEarly } from './linger.ts';
import type { RequestState } from './request-state.ts';

/** Sends buffers that are reused: a write resolves when the kernel has the bytes. */
export class ResponseSink implements ByteSink {
  readonly #response: ServerResponse;
  #fail: ((error: Error) => void) | undefined;

  constructor(response: ServerResponse) {
    this.#response = response;
    response.on('close', () => this.#fail?.(new ClientGone('the client is gone')));
  }

  write(chunk: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#response.destroyed) {
        reject(new ClientGone('the client is gone'));
        return;
      }
      this.#fail = reject;
      this.#response.write(chunk, (error) => (error ? reject(error) : resolve()));
    });
  }
}

/** Passes a peer's answer on, header fields and all. */
export class ForwardedAnswer implements AnswerSink {
  readonly #reply: FastifyReply;
  readonly #state: RequestState;

  constructor(reply: FastifyReply, state: RequestState) {
    this.#reply = reply;
    this.#state = state;
  }

  begin(status: number, headers: HeaderFields): void {
    this.#reply.hijack();
    // The owner has said everything, its security headers too; what was prepared here must not come twice.
    const fields = withOwnCors(headers, this.#reply) as Record<string, string | string[]>;
    const { raw: request } = this.#reply.request;
    if (mayEndEarly(request)) {
      fields.connection = 'close';
      endWithoutReset(request);
    }
    this.#reply.raw.writeHead(status, fields);
  }

  write(chunk: Uint8Array): boolean {
    this.#state.bytes += chunk.length;
    bytesPassed(chunk.length);
    return this.#reply.raw.write(chunk);
  }

  whenWritable(resume: () => void): void {
    this.#reply.raw.once('drain', resume);
  }

  end(): void {
    this.#reply.raw.end();
  }

  abort(): void {
    this.#reply.raw.destroy();
  }
}
