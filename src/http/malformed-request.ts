/** What Node's parser refuses before there is a request: answered in the same shape as every other error. */
import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { CallFSError, type ErrorCode, invalidPath } from '../core/errors.ts';
import type { HttpServices } from './http-services.ts';
import { securityHeaders } from './security-headers.ts';

const PROBLEMS: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  HPE_HEADER_OVERFLOW: [
    'HEADER_FIELDS_TOO_LARGE',
    'The request target and header fields are larger than this server takes.',
  ],
  ERR_HTTP_REQUEST_TIMEOUT: ['REQUEST_TIMEOUT', 'The header fields of the request did not arrive in time.'],
  NO_PROXY: ['BAD_REQUEST', 'This server is no proxy: CONNECT is not possible.'],
  HPE_INVALID_EOF_STATE: ['BAD_REQUEST', 'The connection was closed in the middle of the request.'],
};

/** CONNECT, which comes without an answer that could be written to. */
export class NoProxy extends Error {
  readonly code = 'NO_PROXY';
}

/** A client that does not read its answer keeps the connection for so long at most. */
const CLOSE_AFTER_MS = 2000;

/** What Node.js tells of it: the bytes that it read last, and how far it got in them. */
interface ParserError extends Error {
  readonly code?: string;
  readonly rawPacket?: unknown;
  readonly bytesParsed?: number;
}

export function refuseMalformed(services: HttpServices, error: ParserError, socket: Socket): void {
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
    ...securityHeaders(services.certificates !== undefined),
    'x-request-id': requestId,
    'content-type': 'application/json; charset=utf-8',
    'content-length': String(Buffer.byteLength(body)),
    connection: 'close',
  };
  const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  // Not destroyed at once: with unread bytes left, a reset could overtake the answer.
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${fields.join('')}\r\n${isHead(error) ? '' : body}`);
  setTimeout(() => socket.destroy(), CLOSE_AFTER_MS).unref();
}

function toCallFSError({ code = '' }: { code?: string }): CallFSError {
  if (code === 'HPE_INVALID_URL') {
    return invalidPath('The request target has bytes that must be percent-encoded, such as those of "é".');
  }
  return new CallFSError(...(PROBLEMS[code] ?? ['BAD_REQUEST', 'The request is not valid HTTP/1.1.']));
}

/** The answer to HEAD has no body, also when the rest of the request made no sense (RFC 9110 section 9.3.2). */
function isHead({ rawPacket, bytesParsed }: ParserError): boolean {
  const read = Buffer.isBuffer(rawPacket) ? rawPacket.subarray(0, bytesParsed).toString('latin1') : '';
  return read
    .slice(read.lastIndexOf('\r\n\r\n') + 1)
    .trimStart()
    .startsWith('HEAD ');
}
