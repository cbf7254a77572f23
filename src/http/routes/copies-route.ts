/** POST on `/v1/internal/copies`: copies one file of a tree, for the peer that copies the tree. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import * as z from 'zod';
import { CallFSError } from '../../core/errors.ts';
import { copyInto } from '../../engine/copy-into.ts';
import { authenticate } from '../caller.ts';
import { ClientUpload } from '../client-upload.ts';
import type { HttpServices } from '../http-services.ts';
import { untilClientLeaves } from '../run-work.ts';
import { readSmallBody } from '../small-body.ts';
import { tellStillWorking } from '../still-working.ts';

const MAX_BODY_BYTES = 16 * 1024;
const ID = z.string().min(1).max(255);
const TASK = z.strictObject({
  entry_id: ID,
  parent_id: ID,
  name: z.string().min(1).max(255),
  backend: z.enum(['localfs', 's3']).optional(),
});

export async function postCopy(
  services: HttpServices,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const user = authenticate(services, request);
  if (request.state.peer === undefined) {
    throw new CallFSError('AUTHENTICATION_FAILED', 'Only other instances may ask for this.', {
      headers: { 'www-authenticate': 'Bearer' },
    });
  }
  const bytes = await readSmallBody(new ClientUpload(request.raw, reply.raw), MAX_BODY_BYTES);
  const { entry_id: entryId, parent_id: parentId, name, backend: backendType } = parseTask(bytes);
  using _told = tellStillWorking(request, reply, services.idleTimeoutMs);
  using client = untilClientLeaves(reply);
  const outcome = await copyInto(services.engine, user, { entryId, parentId, name, backendType }, client.signal);
  return reply.send({ outcome });
}

function parseTask(bytes: Uint8Array): z.infer<typeof TASK> {
  try {
    return TASK.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
  } catch (error) {
    throw new CallFSError('BAD_REQUEST', 'The body does not say what to copy.', { cause: error });
  }
}
