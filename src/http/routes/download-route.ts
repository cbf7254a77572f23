/** GET and HEAD on `/download/{token}`: a file, once, for whoever has the link. No key is needed. */
import { create as contentDisposition } from 'content-disposition';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ByteSink } from '../../backends/backend.ts';
import type { FileEntry } from '../../core/entry.ts';
import { CallFSError } from '../../core/errors.ts';
import { LinkClaim } from '../../engine/claim-link.ts';
import { digestOf, type LinkContext } from '../../engine/link-context.ts';
import { findLink, type OpenedLink, openLink } from '../../engine/open-link.ts';
import { bytesPassed } from '../../streams/passing-bytes.ts';
import { contentTypeOf, entryHeaders } from '../entry-representation.ts';
import type { HttpServices } from '../http-services.ts';
import { targetOf } from '../request-state.ts';
import { DOWNLOADS, pathOfTarget } from '../request-target.ts';
import { ResponseSink } from '../response-sink.ts';

/** What is sent before the link is used up: a process that dies until then has burnt nothing. */
const EARLY_BYTES = 64 * 1024;

export async function getDownload(
  services: HttpServices,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  let status = 'failed';
  try {
    await services.rateLimits.linkDownloads.admit(request);
    const { links } = services;
    const token = tokenOf(request);
    const isSent = await links.turns.take(digestOf(links, token), async (decided) => {
      await using content = await openLink(links, token, request.state.requestId);
      return await sendOnce(links, request, reply, { content, decided });
    });
    if (isSent) status = 'success';
  } catch (error) {
    status = (error instanceof CallFSError ? STATUS_BY_CODE[error.code] : undefined) ?? status;
    throw error;
  } finally {
    services.metrics.linkConsumptions.inc({ status });
  }
  return reply;
}

/** What a GET would show, without using the link up. */
export async function headDownload(
  services: HttpServices,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  await services.rateLimits.linkDownloads.admit(request);
  const { entry } = await findLink(services.links, tokenOf(request));
  return reply.headers(downloadHeaders(entry)).send();
}

/** For metrics; what is not here is `failed`. */
const STATUS_BY_CODE: Readonly<Partial<Record<string, string>>> = {
  NOT_FOUND: 'unknown',
  LINK_GONE: 'gone',
  RATE_LIMIT_EXCEEDED: 'rate_limited',
};

const tokenOf = (request: FastifyRequest): string => pathOfTarget(targetOf(request)).slice(DOWNLOADS.length + 1);

/** A link is for the whole file, so there are no ranges; and nobody may keep what was meant for one. */
function downloadHeaders(entry: FileEntry): Record<string, string> {
  const { etag = '', 'last-modified': lastModified = '' } = entryHeaders(entry);
  return {
    'content-type': contentTypeOf(entry),
    'content-length': String(entry.sizeBytes),
    'content-disposition': contentDisposition(entry.name),
    'last-modified': lastModified,
    'accept-ranges': 'none',
    'cache-control': 'no-store',
    etag,
  };
}

interface Sending {
  readonly content: OpenedLink;
  /** To be called when the link is used up. */
  readonly decided: () => void;
}

/**
 * Uses the link up between the first bytes and the rest, so that it is neither burnt without a byte having been sent
 * nor good for a second whole download: the last byte is sent only when the store has said that the link was this one's.
 * @returns whether everything was sent
 */
async function sendOnce(
  links: LinkContext,
  request: FastifyRequest,
  reply: FastifyReply,
  { content, decided }: Sending,
): Promise<boolean> {
  const { entry, digest } = content;
  const { sizeBytes } = entry;
  const { state } = request;
  const { raw } = reply;
  state.owner = entry.instanceId;
  state.route = entry.instanceId === links.instanceId ? 'local' : 'peer';
  await using claim = await LinkClaim.take(links, digest, () => !raw.destroyed);
  // An empty file is complete with its head.
  if (sizeBytes === 0) await claim.use();
  reply.hijack();
  raw.writeHead(200, { ...(reply.getHeaders() as Record<string, string>), ...downloadHeaders(entry) });
  raw.flushHeaders();
  const sink = counted(new ResponseSink(raw));
  const earlyBytes = Math.max(0, Math.min(EARLY_BYTES, sizeBytes - 1));
  try {
    await content.copyTo(sink, 0, earlyBytes);
    if (sizeBytes > 0) await claim.use();
    decided();
    await content.copyTo(sink, earlyBytes, sizeBytes);
    state.bytes = sizeBytes;
    raw.end();
    return true;
  } catch (error) {
    // The length is promised already: only a closed connection tells the client that the rest will not come.
    state.cause ??= error;
    raw.destroy();
    return false;
  }
}

function counted(sink: ByteSink): ByteSink {
  return {
    write(chunk) {
      bytesPassed(chunk.length);
      return sink.write(chunk);
    },
  };
}
