/**
 * Requests that want to become a WebSocket go the way of all requests, with the same hooks, routes and errors, and are
 * upgraded only when their route says so: whatever is refused is answered as plain HTTP.
 */
import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Server, WebSocketServer } from 'ws';
import { ClientGone } from '../../cluster/exchange.ts';
import { CallFSError } from '../../core/errors.ts';
import { pathOfTarget, SOCKETS } from '../request-target.ts';
import { CLOSE, TransferSocket } from './transfer-socket.ts';

/** The largest message that a client may send: what one upload keeps in memory. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
/** Transfers that run get so long to finish when the instance stops; then there is a moment left to say so. */
const FINISH_MS = 28_000;
const FAREWELL_MS = 1000;
/** A client that does not read its refusal keeps the connection for so long at most. */
const REFUSAL_MS = 2000;

interface Upgrade {
  readonly server: Server<typeof TransferSocket>;
  readonly connection: Socket;
  /** Bytes that came behind the request. */
  readonly head: Buffer;
}

const upgrades = new WeakMap<IncomingMessage, Upgrade>();

/** Whether a request shall be answered by an upgrade; any other `Upgrade` is ignored (RFC 9110 section 7.8). */
export function wantsSocket({ method, url = '', headers }: IncomingMessage): boolean {
  const isSocketPath = pathOfTarget(url).startsWith(`${SOCKETS}/`);
  return method === 'GET' && isSocketPath && headers.upgrade?.toLowerCase() === 'websocket';
}

/** Whether a request came with a connection that can be upgraded. */
export const isUpgrade = (request: IncomingMessage): boolean => upgrades.has(request);

/** Hands requests for a WebSocket to the routes of a server whose `shouldUpgradeCallback` is `wantsSocket`. */
export function acceptUpgrades(app: FastifyInstance): void {
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE_BYTES,
    // Messages are bytes, whatever they are called.
    skipUTF8Validation: true,
    handleProtocols: () => false,
    WebSocket: TransferSocket,
  });
  app.server.on('upgrade', (request: IncomingMessage, connection: Duplex, head: Buffer) => {
    const socket = connection as Socket;
    upgrades.set(request, { server, connection: socket, head });
    app.server.emit('request', request, plainResponse(request, socket));
  });
  app.addHook('preClose', (done) => {
    stopSockets(server);
    done();
  });
}

/** For a refusal; the connection ends with it. */
function plainResponse(request: IncomingMessage, socket: Socket): ServerResponse {
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket);
  socket.on('error', () => socket.destroy());
  response.on('finish', () => {
    socket.end();
    // Unread bytes would make a reset of the close, and that could overtake the answer.
    socket.resume();
    setTimeout(() => socket.destroy(), REFUSAL_MS).unref();
  });
  return response;
}

/** @throws CallFSError BAD_REQUEST unless the request is a handshake that can be answered (RFC 6455 section 4.2.1) */
export function assertHandshake({ headers }: FastifyRequest): void {
  if (headers['sec-websocket-version'] !== '13') {
    throw new CallFSError('BAD_REQUEST', 'This server speaks version 13 of the WebSocket protocol only.', {
      headers: { 'sec-websocket-version': '13' },
    });
  }
  if (!/^[+/\dA-Za-z]{22}==$/.test(headers['sec-websocket-key'] ?? '')) {
    throw new CallFSError('BAD_REQUEST', 'Sec-WebSocket-Key is missing or not 16 bytes in base64.');
  }
}

/** Makes the connection a WebSocket. From then on the request has no HTTP answer. @throws ClientGone */
export function upgrade(request: FastifyRequest, reply: FastifyReply, idleTimeoutMs: number): TransferSocket {
  const found = upgrades.get(request.raw);
  if (!found) throw new TypeError('The request cannot be upgraded.');
  const { server, connection, head } = found;
  const fields = Object.entries(reply.getHeaders()).map(([name, value]) => `${name}: ${value}`);
  const addFields = (lines: string[]): void => void lines.push(...fields);
  reply.hijack();
  reply.raw.detachSocket(connection);
  reply.raw.statusCode = 101;
  let accepted: TransferSocket | undefined;
  // All of it happens before `handleUpgrade` returns.
  server.on('headers', addFields);
  server.handleUpgrade(request.raw, connection, head, (socket) => {
    accepted = socket;
  });
  server.off('headers', addFields);
  if (!accepted) throw new ClientGone('the client is gone');
  accepted.begin(connection, idleTimeoutMs);
  return accepted;
}

function stopSockets({ clients }: Server<typeof TransferSocket>): void {
  if (clients.size === 0) return;
  const stop = setTimeout(() => {
    for (const socket of clients) socket.conclude(CLOSE.goingAway, 'the server is stopping');
    setTimeout(() => {
      for (const socket of clients) socket.terminate();
    }, FAREWELL_MS);
  }, FINISH_MS);
  for (const socket of clients) {
    socket.on('close', () => {
      if (clients.size === 0) clearTimeout(stop);
    });
  }
}
