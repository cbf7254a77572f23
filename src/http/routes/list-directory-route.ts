/** GET on `/v1/directories/{path}`. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CallFSError } from '../../core/errors.ts';
import { namesOf, toVirtualPath, type VirtualPath } from '../../core/virtual-path.ts';
import { type ListedPage, listDirectory, listPage } from '../../engine/list-directory.ts';
import { authenticate } from '../caller.ts';
import { entryHeaders, entryJson } from '../entry-representation.ts';
import type { HttpServices } from '../http-services.ts';
import { jsonLines } from '../listing-stream.ts';
import { targetOf } from '../request-state.ts';
import { DIRECTORIES, parseCount, parseFlag, parseTarget, queryValue } from '../request-target.ts';
import type { ListingJson } from '../schemas/listing.ts';

export const DEFAULT_MAX_DEPTH = 100;
export const MAX_DEPTH = 2048;
export const DEFAULT_LIMIT = 1000;
export const MAX_LIMIT = 10_000;

export async function getDirectory(
  services: HttpServices,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const user = authenticate(services, request);
  const { path } = parseTarget(targetOf(request), DIRECTORIES);
  const { query } = request;
  const recursive = parseFlag(query, 'recursive');
  const maxDepth = parseCount(query, 'max_depth', 0, MAX_DEPTH) ?? DEFAULT_MAX_DEPTH;
  const limit = parseCount(query, 'limit', 1, MAX_LIMIT);
  const after = parseCursor(queryValue(query, 'cursor'));
  const wanted = { user, path, depth: recursive ? maxDepth : 0, after };
  if (wantsLines(request) && limit === undefined) {
    const listing = await listDirectory(services.engine, wanted);
    reply.headers(entryHeaders(listing.directory)).header('x-callfs-recursive', String(recursive));
    return reply.type('application/x-ndjson').send(jsonLines(listing.entries));
  }
  const listed = await listPage(services.engine, wanted, limit ?? DEFAULT_LIMIT);
  const page = toPage(listed, path);
  reply.headers(entryHeaders(listed.directory)).header('x-callfs-recursive', String(recursive));
  reply.header('x-callfs-count', String(page.items.length));
  reply.header('x-callfs-paths-version', String(listed.pathsVersion));
  if (wantsLines(request)) {
    if (page.nextCursor !== null) reply.header('x-callfs-next-cursor', page.nextCursor);
    return reply.type('application/x-ndjson').send(page.items.map((item) => `${JSON.stringify(item)}\n`).join(''));
  }
  return reply.type('application/json; charset=utf-8').send(
    JSON.stringify({
      path,
      type: 'directory',
      recursive,
      max_depth: maxDepth,
      count: page.items.length,
      items: page.items,
      next_cursor: page.nextCursor,
    } satisfies ListingJson),
  );
}

function wantsLines(request: FastifyRequest): boolean {
  return request.headers.accept?.includes('application/x-ndjson') ?? false;
}

function toPage({ items, hasMore }: ListedPage, directory: VirtualPath) {
  const last = items.at(-1);
  return {
    items: items.map(({ entry, path }) => entryJson(entry, path)),
    nextCursor: hasMore && last ? formatCursor(directory, last.path) : null,
  };
}

/** The names from the listed directory down to the last entry of a page. */
function formatCursor(directory: VirtualPath, last: VirtualPath): string {
  const names = namesOf(last).slice(namesOf(directory).length);
  return Buffer.from(JSON.stringify(names)).toString('base64url');
}

function parseCursor(cursor: string | undefined): readonly string[] {
  if (cursor === undefined || cursor === '') return [];
  try {
    const names: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    if (Array.isArray(names) && names.every((name) => typeof name === 'string')) return namesOf(toVirtualPath(names));
  } catch {
    // Not JSON, or no names: the same answer as for any other text that this server did not make.
  }
  throw new CallFSError('BAD_REQUEST', 'The cursor is not one that a listing gave.');
}
