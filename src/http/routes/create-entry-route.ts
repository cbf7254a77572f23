/** POST on `/v1/files/{path}`: a file, or with a trailing slash a directory. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Entry } from '../../core/entry.ts';
import { encodePath, type VirtualPath } from '../../core/virtual-path.ts';
import { type CreatedDirectory, type CreatedFile, createDirectory, createFile } from '../../engine/create-entry.ts';
import type { Elsewhere } from '../../engine/engine-context.ts';
import type { RequestUpload } from '../client-upload.ts';
import { sendEntry } from '../entry-answer.ts';
import { parseUploadRequest } from '../file-request.ts';
import type { HttpServices } from '../http-services.ts';
import type { ForwardBody } from '../owner-attempt.ts';
import { routeToOwner } from '../owner-route.ts';
import { FILES } from '../request-target.ts';

export async function postEntry(
  services: HttpServices,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const parsed = parseUploadRequest(services, request, reply);
  const { path, namesDirectory, upload } = parsed;
  const { engine, metrics } = services;
  request.state.owner = engine.instanceId;
  const run = (staysHere: boolean): Promise<CreatedFile | CreatedDirectory | Elsewhere<undefined>> => {
    const forwarded = staysHere || request.state.peer !== undefined;
    return namesDirectory
      ? createDirectory(engine, { ...parsed, forwarded })
      : createFile(engine, { ...parsed, forwarded });
  };
  const created = await routeToOwner(services, request, reply, { path, run, bodyFor: () => clientBody(upload) });
  if (!created) return reply;
  const { kind, entry } = created;
  request.state.owner = entry.instanceId;
  if (kind === 'existing') return sendEntry(reply, 200, entry, path);
  if (namesDirectory) return sendCreated(reply, entry, path, '/');
  metrics.fileOperations.inc({ operation: 'create', backend_type: entry.backendType });
  return sendCreated(reply, entry, path, '');
}

/** The body as the client sends it, for the instance that shall have it. */
export function clientBody(upload: RequestUpload): ForwardBody {
  return {
    declaredBytes: upload.declaredBytes,
    open: () => upload.relay(),
    canRepeat: () => !upload.isOpened,
  };
}

/** @param suffix what marks a directory in a URL */
export function sendCreated(reply: FastifyReply, entry: Entry, path: VirtualPath, suffix: string): FastifyReply {
  reply.header('location', `${FILES}${encodePath(path)}${suffix}`);
  return sendEntry(reply, 201, entry, path);
}
