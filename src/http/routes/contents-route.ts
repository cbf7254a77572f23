/** GET on `/v1/internal/contents/{path}?content={id}`: the bytes of a file, for a peer that takes it over. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { PEER_HEADER } from '../../cluster/peer-signature.ts';
import { CallFSError } from '../../core/errors.ts';
import { faultPoint } from '../../core/fault-point.ts';
import { findContent } from '../../engine/open-content.ts';
import { verifyPeer } from '../caller.ts';
import type { HttpServices } from '../http-services.ts';
import { targetOf } from '../request-state.ts';
import { CONTENTS, parseTarget, queryValue } from '../request-target.ts';
import { ResponseSink } from '../response-sink.ts';

export async function getContent(
  services: HttpServices,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { state, headers } = request;
  state.peer = verifyPeer(services.signer, request, String(headers[PEER_HEADER] ?? ''));
  state.requestId = String(headers['x-request-id'] ?? state.requestId);
  const { path } = parseTarget(targetOf(request), CONTENTS);
  const contentId = queryValue(request.query, 'content');
  if (contentId === undefined) throw new CallFSError('BAD_REQUEST', 'The query parameter content is missing.');
  const { reader } = await findContent(services.engine, path, contentId);
  await using content = reader;
  reply.hijack();
  const { raw } = reply;
  state.bytes = content.sizeBytes;
  reply.header('content-length', String(content.sizeBytes)).header('content-type', 'application/octet-stream');
  faultPoint('contents:before-head');
  raw.writeHead(200, reply.getHeaders() as Record<string, string>);
  try {
    raw.flushHeaders();
    faultPoint('contents:head-sent');
    await content.copyTo(new ResponseSink(raw), 0, content.sizeBytes);
    faultPoint('contents:sent');
    raw.end();
  } catch (error) {
    state.cause ??= error;
    raw.destroy();
  }
  return reply;
}
