/** GET and HEAD on `/v1/files/{path}`. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ContentReader } from '../../backends/backend.ts';
import type { DirectoryEntry, Entry, FileEntry } from '../../core/entry.ts';
import { CallFSError } from '../../core/errors.ts';
import { evaluatePreconditions } from '../../core/preconditions.ts';
import { listDirectory } from '../../engine/list-directory.ts';
import { readFile, statEntry } from '../../engine/read-file.ts';
import { type ContentAnswer, contentAnswer, wholeContentHeaders } from '../content-answer.ts';
import { reprDigest } from '../digest-fields.ts';
import { entryHeaders, representationOf } from '../entry-representation.ts';
import { type FileRequest, parseFileRequest } from '../file-request.ts';
import type { HttpServices } from '../http-services.ts';
import { jsonArray } from '../listing-stream.ts';
import { routeToOwner } from '../owner-route.ts';
import { ResponseSink } from '../response-sink.ts';

/** Content up to this size is sent in one piece. */
const SMALL_BYTES = 64 * 1024;

export async function getFile(
  services: HttpServices,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const parsed = parseFileRequest(services, request);
  const { path } = parsed;
  const run = () => readFile(services.engine, parsed);
  const found = await routeToOwner(services, request, reply, { path, run, bodyFor: () => undefined });
  if (!found) return reply;
  request.state.owner = found.entry.instanceId;
  if (found.kind === 'directory') return sendDirectory(services, parsed, found.entry, reply);
  services.metrics.fileOperations.inc({ operation: 'read', backend_type: found.entry.backendType });
  await using reader = found.reader;
  if (answerCondition(parsed, found.entry, reply)) return reply;
  // Awaited: the reader must stay open until its last byte is sent.
  return await sendContent(request, reply, found.entry, reader);
}

export async function headFile(
  services: HttpServices,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const parsed = parseFileRequest(services, request);
  const { path } = parsed;
  const run = () => statEntry(services.engine, parsed);
  const found = await routeToOwner(services, request, reply, { path, run, bodyFor: () => undefined });
  if (!found) return reply;
  const { entry } = found;
  request.state.owner = entry.instanceId;
  if (entry.type === 'directory') return sendDirectory(services, parsed, entry, reply);
  services.metrics.fileOperations.inc({ operation: 'stat', backend_type: entry.backendType });
  if (answerCondition(parsed, entry, reply)) return reply;
  return reply.headers(wholeContentHeaders(entry)).headers(reprDigest(entry, request.headers)).send();
}

/** Sends 304, or throws for 412, when the request's conditions say so. */
function answerCondition({ preconditions, path }: FileRequest, entry: Entry, reply: FastifyReply): boolean {
  // A listing has no tag and no time of its last change, so only conditions on whether it is there can be met.
  const { ifMatch, ifNoneMatch } = preconditions;
  const verdict =
    entry.type === 'file'
      ? evaluatePreconditions(preconditions, representationOf(entry), true)
      : evaluatePreconditions({ ifMatch, ifNoneMatch }, { etag: '', mtimeMs: 0 }, true);
  switch (verdict) {
    case 'proceed':
      return false;
    case 'failed':
      throw new CallFSError('PRECONDITION_FAILED', `${path} is not in the state that the condition asks for.`);
    case 'not-modified':
      void reply.code(304).headers(entryHeaders(entry)).send();
      return true;
  }
}

async function sendContent(
  request: FastifyRequest,
  reply: FastifyReply,
  entry: FileEntry,
  reader: ContentReader,
): Promise<FastifyReply> {
  const { range, 'if-range': ifRange } = request.headers;
  const answer = contentAnswer(entry, range, typeof ifRange === 'string' ? ifRange : undefined);
  request.state.bytes = answer.sizeBytes;
  reply.code(answer.status).headers(answer.headers).headers(reprDigest(entry, request.headers));
  if (answer.status === 200 && answer.sizeBytes <= SMALL_BYTES) return reply.send(await reader.readAll());
  reply.hijack();
  const { raw } = reply;
  raw.writeHead(answer.status, reply.getHeaders() as Record<string, string>);
  try {
    await copyParts(answer, reader, new ResponseSink(raw));
    raw.end(answer.after);
  } catch (error) {
    // The length is promised already: only a closed connection tells the client that the rest will not come.
    request.state.cause ??= error;
    raw.destroy();
  }
  return reply;
}

async function copyParts({ parts }: ContentAnswer, reader: ContentReader, sink: ResponseSink): Promise<void> {
  for (const { before, start, end } of parts) {
    if (before !== '') await sink.write(Buffer.from(before));
    await reader.copyTo(sink, start, end);
  }
}

async function sendDirectory(
  services: HttpServices,
  request: FileRequest,
  entry: DirectoryEntry,
  reply: FastifyReply,
): Promise<FastifyReply> {
  if (answerCondition(request, entry, reply)) return reply;
  const { user, path } = request;
  const { directory, entries } = await listDirectory(services.engine, { user, path, depth: 0, after: [] });
  reply.headers(entryHeaders(directory)).type('application/json; charset=utf-8');
  const listing = await jsonArray(entries);
  // Without its length a long listing has nothing that HEAD could show.
  return typeof listing !== 'string' && reply.request.method === 'HEAD' ? reply.send() : reply.send(listing);
}
