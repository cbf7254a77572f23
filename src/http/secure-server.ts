/** The server behind TLS: HTTP/2 for clients that offer it (RFC 7301), HTTP/1.1 for all others and for peers. */
import type { RequestListener, Server, ServerOptions } from 'node:http';
import * as http2 from 'node:http2';
import type { Socket } from 'node:net';
import type { SecureContextOptions, TLSSocket } from 'node:tls';
import { Http2Request, Http2Response } from './http2-messages.ts';

/** PEM texts. */
export interface ServerCertificates {
  readonly cert: string;
  readonly key: string;
  /** Authorities that the certificates of peers must come from; undefined: peers are not asked for one. */
  readonly peerCa: string | undefined;
}

type Http1Settings = Pick<ServerOptions, 'shouldUpgradeCallback'> & {
  readonly keepAliveTimeout: number;
  readonly requestTimeout: number;
};

export interface SecureServerOptions {
  readonly certificates: ServerCertificates;
  /** Without a byte in either direction, for a connection and for a single request on it. */
  readonly idleTimeoutMs: number;
  readonly http1: Http1Settings;
}

/** Of one connection at the same time; the least that RFC 9113 section 6.5.2 recommends. */
const MAX_STREAMS = 100;
/** What a client may send ahead of what is taken from it: for one upload, which bounds the memory, and for all together. */
const STREAM_WINDOW_BYTES = 512 * 1024;
const CONNECTION_WINDOW_BYTES = 4 * 1024 * 1024;

/** A handshake that takes longer is no handshake. */
const HANDSHAKE_TIMEOUT_MS = 20_000;
/** For a connection on which nothing moves any more to end in good order. */
const CLOSE_WITHIN_MS = 1000;

/** Typed as what Fastify and the routes expect: each request and answer behaves as one of HTTP/1.1. */
export function createSecureServer(options: SecureServerOptions, handler: RequestListener): Server {
  const { certificates, http1, idleTimeoutMs } = options;
  const server = http2.createSecureServer({
    ...contextOptions(certificates),
    requestCert: certificates.peerCa !== undefined,
    // A client without a certificate is as welcome as ever; who speaks as a peer is looked at in peer-certificate.ts.
    rejectUnauthorized: false,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    noDelay: true,
    allowHTTP1: true,
    http1Options: http1,
    Http2ServerRequest: Http2Request,
    Http2ServerResponse: Http2Response,
    settings: { maxConcurrentStreams: MAX_STREAMS, initialWindowSize: STREAM_WINDOW_BYTES },
  });
  server.on('request', handler as unknown as Parameters<typeof server.on<'request'>>[1]);
  server.on('session', (session) => session.setLocalWindowSize(CONNECTION_WINDOW_BYTES));
  limitIdleness(server, idleTimeoutMs);
  answerPlainHttp(server);
  // Node.js does not look at this one among the options.
  const upgrades = http1.shouldUpgradeCallback && { shouldUpgradeCallback: http1.shouldUpgradeCallback };
  const closing = { closeAllConnections: connectionCloser(server) };
  return Object.assign(server, closing, upgrades) as unknown as Server;
}

/** New connections see these from now on; those that are open stay as they are. */
export function renewCertificates(server: Server, certificates: ServerCertificates): void {
  (server as unknown as http2.Http2SecureServer).setSecureContext(contextOptions(certificates));
}

function contextOptions({ cert, key, peerCa }: ServerCertificates): SecureContextOptions {
  return { cert, key, minVersion: 'TLSv1.2', ...(peerCa === undefined ? {} : { ca: peerCa }) };
}

function limitIdleness(server: http2.Http2SecureServer, idleTimeoutMs: number): void {
  server.setTimeout(idleTimeoutMs);
  server.on('timeout', (connection: http2.ServerHttp2Session | Socket) => {
    if (!('goaway' in connection)) {
      connection.destroy();
      return;
    }
    connection.close();
    setTimeout(() => connection.destroy(), CLOSE_WITHIN_MS).unref();
  });
  // Of several requests on a connection one may stand still while the others move.
  server.on('stream', (stream) => stream.setTimeout(idleTimeoutMs, () => stream.close(http2.constants.NGHTTP2_CANCEL)));
}

const PLAIN_HTTP = 'ERR_SSL_HTTP_REQUEST';
const USE_HTTPS = JSON.stringify({ code: 'BAD_REQUEST', message: 'This port speaks TLS; use https://.' });

/** Instead of the answer for malformed HTTP, which cannot be written before there is an encrypted connection. */
function answerPlainHttp(server: http2.Http2SecureServer): void {
  server.removeAllListeners('tlsClientError');
  server.on('tlsClientError', (error: Error & { code?: string }, socket: TLSSocket & { _parent?: Socket }) => {
    const { _parent: plain } = socket;
    if (error.code !== PLAIN_HTTP || !plain?.writable) {
      socket.destroy();
      return;
    }
    const head = `HTTP/1.1 400 Bad Request\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: ${USE_HTTPS.length}`;
    plain.end(`${head}\r\nconnection: close\r\n\r\n${USE_HTTPS}`);
    setTimeout(() => socket.destroy(), CLOSE_WITHIN_MS).unref();
  });
}

/** Node.js has it for servers of HTTP/1.1 only. */
function connectionCloser(server: http2.Http2SecureServer): () => void {
  const open = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  return () => {
    for (const socket of open) socket.destroy();
  };
}
