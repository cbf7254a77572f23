/** The answer that shows an entry after it was made or changed: its header fields and its JSON. */
import type { FastifyReply } from 'fastify';
import type { Entry } from '../core/entry.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import { entryHeaders, entryJson } from './entry-representation.ts';

export function sendEntry(reply: FastifyReply, status: number, entry: Entry, path: VirtualPath): FastifyReply {
  const body = JSON.stringify(entryJson(entry, path));
  reply.request.state.bytes = Buffer.byteLength(body);
  return reply.code(status).headers(entryHeaders(entry)).type('application/json; charset=utf-8').send(body);
}
