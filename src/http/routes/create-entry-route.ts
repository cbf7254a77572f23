/** POST on `/v1/files/{path}`: a file, or with a trailing slash a directory. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Entry } from '../../core/entry.ts';
import { encodePath, type VirtualPath } from '../../core/virtual-path.ts';
import { createDirectory, createFile } from '../../engine/create-entry.ts';
import { sendEntry } from '../entry-answer.ts';
import { parseUploadRequest } from '../file-request.ts';
import type { HttpServices } from '../http-services.ts';
import { FILES } from '../request-target.ts';

export async function postEntry(
  services: HttpServices,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const parsed = parseUploadRequest(services, request, reply);
  const { path } = parsed;
  request.state.owner = services.engine.instanceId;
  if (parsed.namesDirectory) {
    const { entry, created } = await createDirectory(services.engine, parsed);
    return created ? sendCreated(reply, entry, path, '/') : sendEntry(reply, 200, entry, path);
  }
  const entry = await createFile(services.engine, parsed);
  services.metrics.fileOperations.inc({ operation: 'create', backend_type: entry.backendType });
  return sendCreated(reply, entry, path, '');
}

/** @param suffix what marks a directory in a URL */
export function sendCreated(reply: FastifyReply, entry: Entry, path: VirtualPath, suffix: string): FastifyReply {
  reply.header('location', `${FILES}${encodePath(path)}${suffix}`);
  return sendEntry(reply, 201, entry, path);
}
