/** POST on `/v1/links/generate`: a single-use link to a file. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { toVirtualPath } from '../../core/virtual-path.ts';
import { generateLink } from '../../engine/generate-link.ts';
import { authenticate } from '../caller.ts';
import { ClientUpload } from '../client-upload.ts';
import { wholeSeconds } from '../entry-representation.ts';
import type { HttpServices } from '../http-services.ts';
import { parseFields, parseJson } from '../json-body.ts';
import { DOWNLOADS } from '../request-target.ts';
import { LINK_REQUEST, type LinkJson } from '../schemas/link.ts';
import { readSmallBody } from '../small-body.ts';

/** Enough for a path of any length that is in use; what is longer can be renamed first. */
const MAX_BODY_BYTES = 4096;

export async function postLink(
  services: HttpServices,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  await services.rateLimits.linkGenerations.admit(request);
  const user = authenticate(services, request);
  const body = await readSmallBody(new ClientUpload(request.raw, reply.raw), MAX_BODY_BYTES);
  const json = parseJson(body, '{"path": "/docs/report.pdf", "expiry_seconds": 3600}');
  const { path, expiry_seconds: expirySeconds } = parseFields(LINK_REQUEST, json);
  const { token, expiresAtMs } = await generateLink(services.links, {
    user,
    path: toVirtualPath(path.split('/').filter((name) => name !== '')),
    namesDirectory: path.endsWith('/'),
    lifetimeMs: expirySeconds * 1000,
  });
  services.metrics.linkGenerations.inc();
  const url = `${await publicUrl(services, request)}${DOWNLOADS}/${token}`;
  const expires = wholeSeconds(expiresAtMs);
  reply.code(201).header('cache-control', 'no-store');
  const answer = JSON.stringify({ url, token, expires_at: expires, expires } satisfies LinkJson);
  request.state.bytes = Buffer.byteLength(answer);
  return reply.type('application/json; charset=utf-8').send(answer);
}

/** The URL that the operator gave, or the one that the client has reached this instance under. */
async function publicUrl(
  { externalUrl, certificates, peers, engine }: HttpServices,
  { host }: FastifyRequest,
): Promise<string> {
  if (externalUrl !== '') return externalUrl;
  if (/^[\w.-]+(:\d+)?$|^\[[\da-f:.]+\](:\d+)?$/i.test(host)) return `${certificates ? 'https' : 'http'}://${host}`;
  return (await peers.findPublicUrl(engine.instanceId)) ?? '';
}
