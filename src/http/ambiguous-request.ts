/**
 * Requests that Node's parser lets pass although two servers could read them in two ways. What comes behind such a
 * request on its connection is never served: where the one ends is as doubtful as what it means.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { CallFSError } from '../core/errors.ts';

const refused = new WeakSet<Socket>();

/** Nothing may be done for this request: its connection is about to end. */
export function isBehindAmbiguous({ socket }: IncomingMessage): boolean {
  return refused.has(socket);
}

/** @returns the error that ends the request and its connection; undefined: it has one meaning */
export function findAmbiguity(request: IncomingMessage): CallFSError | undefined {
  const problem = describe(request);
  if (problem === undefined) return undefined;
  refused.add(request.socket);
  return new CallFSError('BAD_REQUEST', problem, { headers: { connection: 'close' } });
}

function describe({ headers, rawHeaders, httpVersionMajor, httpVersionMinor }: IncomingMessage): string | undefined {
  // HTTP/2 has none of this.
  if (httpVersionMajor !== 1) return undefined;
  const { 'transfer-encoding': coding } = headers;
  // RFC 9112 section 6.1.
  if (coding !== undefined && coding.trim().toLowerCase() !== 'chunked') {
    return 'The only transfer coding that this server understands is "chunked".';
  }
  // RFC 9112 section 3.2.
  if (headers.host === undefined) return httpVersionMinor === 0 ? undefined : 'The request does not name its host.';
  return countOf('host', rawHeaders) > 1 ? 'The request names its host more than once.' : undefined;
}

/** @param rawHeaders names and values by turns */
function countOf(wanted: string, rawHeaders: readonly string[]): number {
  let count = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? '';
    if (name.length === wanted.length && name.toLowerCase() === wanted) count += 1;
  }
  return count;
}
