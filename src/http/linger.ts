/**
 * After an answer that came before the client had sent its whole body: takes what still comes for a while, so
 * that the client reads the answer instead of a reset, then closes.
 */
import type { IncomingMessage } from 'node:http';
import { hasUnreadBody } from './client-upload.ts';

const MAX_LINGER_MS = 15_000;
const MAX_LINGER_BYTES = 256 * 1024 * 1024;

/** So much of a body is waited for without a word; what may be more is announced to be the end of the connection. */
const WAITED_FOR_BYTES = 1024 * 1024;

/** The answer comes before the body, and the client may send more of it than the connection will be kept open for. */
export function mayEndEarly(request: IncomingMessage): boolean {
  if (request.httpVersionMajor !== 1 || !hasUnreadBody(request)) return false;
  // Chunked: nobody knows.
  return !(Number(request.headers['content-length']) <= WAITED_FOR_BYTES);
}

/**
 * For a connection that the client wants closed after this request: Node would destroy it once the answer is
 * written, and with unread bytes left that is a reset. Our side is ended instead; `lingerForBody` does the rest.
 */
export function endWithoutReset(request: IncomingMessage): void {
  const { socket } = request;
  const destroySoon = socket.destroySoon.bind(socket);
  socket.destroySoon = () => {
    if (hasUnreadBody(request)) socket.end();
    else destroySoon();
  };
}

export function lingerForBody(request: IncomingMessage): void {
  const { socket } = request;
  const limit = socket.bytesRead + MAX_LINGER_BYTES;
  const close = (): void => {
    clearTimeout(timer);
    if (!request.complete || socket.writableEnded) socket.destroy();
  };
  const timer = setTimeout(close, MAX_LINGER_MS);
  request.on('data', () => {
    if (socket.bytesRead > limit) close();
  });
  request.on('end', close).on('close', close).on('error', close);
  request.resume();
}
