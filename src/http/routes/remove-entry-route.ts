/** DELETE on `/v1/files/{path}`. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { removeEntry } from '../../engine/remove-entry.ts';
import { parseFileRequest } from '../file-request.ts';
import type { HttpServices } from '../http-services.ts';
import { routeToOwner } from '../owner-route.ts';
import { parseFlag } from '../request-target.ts';

export async function deleteEntry(
  services: HttpServices,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const parsed = { ...parseFileRequest(services, request), recursive: parseFlag(request.query, 'recursive') };
  const { path } = parsed;
  const run = () => removeEntry(services.engine, parsed);
  const removed = await routeToOwner(services, request, reply, { path, run, bodyFor: () => undefined });
  if (!removed) return reply;
  services.metrics.fileOperations.inc({ operation: 'remove', backend_type: services.engine.defaultBackend });
  request.state.owner ??= services.engine.instanceId;
  return reply.code(204).send();
}
