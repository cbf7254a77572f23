/** PATCH on `/v1/files/{path}`: rename, move, change attributes. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type AttributesChanged, changeAttributes } from '../../engine/change-attributes.ts';
import type { Elsewhere } from '../../engine/engine-context.ts';
import { assertMayChangeSomething } from '../../engine/may-change.ts';
import { type Moved, moveEntry } from '../../engine/move-entry.ts';
import { ClientUpload } from '../client-upload.ts';
import { sendEntry } from '../entry-answer.ts';
import { parseFileRequest } from '../file-request.ts';
import type { HttpServices } from '../http-services.ts';
import { type ForwardBody, routeToOwner } from '../owner-route.ts';
import { parsePatch } from '../patch-request.ts';
import { readSmallBody } from '../small-body.ts';
import { tellStillWorking } from '../still-working.ts';

/** Far more than a path, percent-encoded or escaped, and the other fields need. */
const MAX_BODY_BYTES = 64 * 1024;

export async function patchEntry(
  services: HttpServices,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const parsed = parseFileRequest(services, request);
  const { path } = parsed;
  const { engine } = services;
  await assertMayChangeSomething(engine, parsed);
  const body = await readSmallBody(new ClientUpload(request.raw, reply.raw), MAX_BODY_BYTES);
  const patch = parsePatch(body, path, (name) => services.authenticator.findUser(name));
  const run = (): Promise<Moved | AttributesChanged | Elsewhere> =>
    patch.kind === 'move'
      ? moveEntry(engine, { ...parsed, ...patch })
      : changeAttributes(engine, { ...parsed, ...patch });
  // A large file may be copied before the answer.
  using _told = tellStillWorking(request, reply, services.idleTimeoutMs);
  const changed = await routeToOwner(services, request, reply, { path, run, bodyFor: () => bodyOf(body) });
  if (!changed) return reply;
  const { entry } = changed;
  request.state.owner = entry.instanceId;
  const operation = patch.kind === 'move' ? 'move' : 'change_attributes';
  services.metrics.fileOperations.inc({ operation, backend_type: entry.backendType });
  return sendEntry(reply, 200, entry, changed.kind === 'moved' ? changed.path : path);
}

function bodyOf(bytes: Buffer): ForwardBody {
  return {
    declaredBytes: bytes.length,
    async *open() {
      yield bytes;
    },
    canRepeat: () => true,
  };
}
