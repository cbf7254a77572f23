/** What Node's parser refuses before there is a request: answered in the same shape as every other error. */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { CallFSError, invalidPath } from '../core/errors.ts';
import type { HttpServices } from './http-services.ts';
import { securityHeaders } from './security-headers.ts';

const PROBLEMS: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: 'The request target and header fields are larger than this server takes.',
  ERR_HTTP_REQUEST_TIMEOUT: 'The header fields of the request did not arrive in time.',
  HPE_INVALID_EOF_STATE: 'The connection was closed in the middle of the request.',
};

/** A client that does not read its answer keeps the connection for so long at most. */
const CLOSE_AFTER_MS = 2000;

export function refuseMalformed(services: HttpServices, error: Error & { code?: string }, socket: Socket): void {
  // More of what was refused already: the client is still sending.
  if (socket.writableEnded && !socket.destroyed) return;
  const { _httpMessage: answer } = socket as Socket & { _httpMessage?: ServerResponse };
  if (error.code === 'ECONNRESET' || !socket.writable || answer?.headersSent) {
    socket.destroy();
    return;
  }
  const requestId = services.engine.ids.nextRequest();
  const { code, message, status } = toCallFSError(error);
  services.log.info({ request_id: requestId, status, cause: error.message });
  const body = JSON.stringify({ code, message, request_id: requestId });
  const headers = {
    ...securityHeaders(services.secure),
    'x-request-id': requestId,
    'content-type': 'application/json; charset=utf-8',
    'content-length': String(Buffer.byteLength(body)),
    connection: 'close',
  };
  const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  // Not destroyed at once: with unread bytes left, a reset could overtake the answer.
  socket.end(`HTTP/1.1 ${status} Bad Request\r\n${fields.join('')}\r\n${body}`);
  setTimeout(() => socket.destroy(), CLOSE_AFTER_MS).unref();
}

function toCallFSError({ code = '' }: { code?: string }): CallFSError {
  if (code === 'HPE_INVALID_URL') {
    return invalidPath('The request target has bytes that must be percent-encoded, such as those of "é".');
  }
  return new CallFSError('BAD_REQUEST', PROBLEMS[code] ?? 'The request is not valid HTTP/1.1.');
}
