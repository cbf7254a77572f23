/** Which web pages may read answers (CORS): off unless origins are configured. */
import cors from '@fastify/cors';
import type { FastifyInstance, FastifyReply } from 'fastify';

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'];

/** Beside the few that every script may read. */
const EXPOSED = [
  'Accept-Ranges',
  'Allow',
  'Content-Disposition',
  'Content-Length',
  'Content-Range',
  'ETag',
  'Location',
  'Preference-Applied',
  'Repr-Digest',
  'Retry-After',
  'Tus-Checksum-Algorithm',
  'Tus-Extension',
  'Tus-Max-Size',
  'Tus-Resumable',
  'Tus-Version',
  'Upload-Concat',
  'Upload-Defer-Length',
  'Upload-Expires',
  'Upload-Length',
  'Upload-Metadata',
  'Upload-Offset',
  'WWW-Authenticate',
  'X-CallFS-Backend-Type',
  'X-CallFS-Count',
  'X-CallFS-GID',
  'X-CallFS-Instance-ID',
  'X-CallFS-MTime',
  'X-CallFS-Mode',
  'X-CallFS-Next-Cursor',
  'X-CallFS-Owner',
  'X-CallFS-Paths-Version',
  'X-CallFS-Recursive',
  'X-CallFS-Size',
  'X-CallFS-Type',
  'X-CallFS-UID',
  'X-Request-ID',
];

/** How long a browser may remember the answer to a preflight. */
const MAX_AGE_SECONDS = 600;

/** @param origins exact, or `*` for all; empty: nothing is added to any answer */
export function allowOrigins(app: FastifyInstance, origins: readonly string[]): void {
  if (origins.length === 0) return;
  void app.register(cors, {
    origin: origins.includes('*') ? '*' : [...origins],
    methods: METHODS,
    exposedHeaders: EXPOSED,
    maxAge: MAX_AGE_SECONDS,
    // A key is a header field that a page sends by itself; the browser's own credentials mean nothing here.
    credentials: false,
    // OPTIONS has an answer of its own, with Allow, which also a preflight gets.
    strictPreflight: false,
    preflightContinue: true,
  });
}

/** And what a client shall think of the way to this instance, which may use TLS where the peer does not. */
const OWN_FIELD = /^(?:access-control-|vary$|strict-transport-security$)/;

/** Of a peer's answer: pages ask this instance, so what this one says of them counts, not what the peer says. */
export function withOwnCors(
  headers: Readonly<Record<string, string | readonly string[]>>,
  reply: FastifyReply,
): Record<string, string | readonly string[]> {
  const own = Object.entries(reply.getHeaders()).filter(([name]) => OWN_FIELD.test(name));
  const others = Object.entries(headers).filter(([name]) => !OWN_FIELD.test(name));
  return Object.fromEntries([...others, ...own.map(([name, value]) => [name, String(value)] as const)]);
}
