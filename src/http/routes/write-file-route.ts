/** PUT on `/v1/files/{path}`. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { isADirectory } from '../../core/errors.ts';
import type { StagedUpload } from '../../engine/staged-upload.ts';
import { type WrittenElsewhere, type WrittenFile, writeFile, writeStaged } from '../../engine/write-file.ts';
import { sendEntry } from '../entry-answer.ts';
import { parseUploadRequest, type UploadRequest } from '../file-request.ts';
import type { HttpServices } from '../http-services.ts';
import type { ForwardBody, OwnerExchange } from '../owner-attempt.ts';
import { routeToOwner } from '../owner-route.ts';
import { clientBody, sendCreated } from './create-entry-route.ts';

export async function putFile(
  services: HttpServices,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const parsed = parseUploadRequest(services, request, reply);
  const written = await routeWrite(services, request, reply, parsed);
  if (!written) return reply;
  const { entry, created } = written;
  return created ? sendCreated(reply, entry, parsed.path, '') : sendEntry(reply, 200, entry, parsed.path);
}

/**
 * Writes a file wherever it lives or shall live.
 * @returns undefined when the owner's answer has gone where it shall go
 */
export async function routeWrite(
  services: HttpServices,
  request: FastifyRequest,
  reply: FastifyReply,
  parsed: UploadRequest,
  exchange?: OwnerExchange,
): Promise<WrittenFile | undefined> {
  const { path, upload } = parsed;
  if (parsed.namesDirectory) throw isADirectory(path);
  await using arrived = new AsyncDisposableStack();
  let staged: StagedUpload | undefined;
  const run = async (staysHere: boolean) => {
    const wanted = { ...parsed, forwarded: staysHere || request.state.peer !== undefined };
    const outcome = staged
      ? await writeStaged(services.engine, wanted, staged)
      : await writeFile(services.engine, wanted);
    if (outcome.kind === 'elsewhere' && outcome.staged) staged ??= arrived.use(outcome.staged);
    return outcome;
  };
  const written = await routeToOwner(services, request, reply, {
    path,
    run,
    bodyFor: ({ staged: body }: WrittenElsewhere) => (body ? stagedBody(body) : clientBody(upload)),
    exchange,
  });
  if (!written) return undefined;
  const { entry, created } = written;
  request.state.owner = entry.instanceId;
  services.metrics.fileOperations.inc({ operation: created ? 'create' : 'replace', backend_type: entry.backendType });
  return written;
}

/** The bytes are here already: the owner became another one while they arrived. */
function stagedBody(staged: StagedUpload): ForwardBody {
  return { declaredBytes: staged.sizeBytes, open: () => staged.bytes(), canRepeat: () => true };
}
