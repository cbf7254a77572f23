/**
 * Tells whoever waits for an answer that takes long that somebody works on it (102 Processing, RFC 2518 section 10.1),
 * so that neither a client nor a peer takes the silence for a broken connection.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';

const TELL_EVERY_MS = 1000;

/** From now on until it is disposed or the answer begins. @param idleTimeoutMs silence that ends the connection */
export function tellStillWorking({ raw }: FastifyRequest, reply: FastifyReply, idleTimeoutMs: number): Disposable {
  const tell = (): void => {
    if (!reply.raw.headersSent && !reply.raw.destroyed) reply.raw.writeProcessing();
  };
  // Clients of HTTP/1.0 know no answers before the answer (RFC 9110 section 15.2).
  if (raw.httpVersion === '1.0') return { [Symbol.dispose]() {} };
  const timer = setInterval(tell, Math.min(TELL_EVERY_MS, idleTimeoutMs / 3));
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
