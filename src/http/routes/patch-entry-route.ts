/** PATCH on `/v1/files/{path}`: rename, move, copy, change attributes. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { changeAttributes } from '../../engine/change-attributes.ts';
import { type Copied, type CopyRequest, copyEntry, planCopy } from '../../engine/copy-entry.ts';
import type { EngineContext } from '../../engine/engine-context.ts';
import { assertMayChangeSomething } from '../../engine/may-change.ts';
import { type MoveRequest, moveEntry, planMove } from '../../engine/move-entry.ts';
import type { Moved } from '../../engine/move-path.ts';
import { ClientUpload } from '../client-upload.ts';
import { sendEntry } from '../entry-answer.ts';
import { entryJson } from '../entry-representation.ts';
import { parseFileRequest } from '../file-request.ts';
import type { HttpServices } from '../http-services.ts';
import { sendAccepted } from '../job-representation.ts';
import type { ForwardBody } from '../owner-attempt.ts';
import { routeToOwner } from '../owner-route.ts';
import { parsePatch } from '../patch-request.ts';
import { type LongWork, runWork } from '../run-work.ts';
import { readSmallBody } from '../small-body.ts';

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
  const bodyFor = () => bodyOf(body);
  const done =
    patch.kind === 'attributes'
      ? await routeToOwner(services, request, reply, {
          path,
          run: () => changeAttributes(engine, { ...parsed, ...patch }),
          bodyFor,
          isFenced: true,
        })
      : await runWork<Moved | Copied>(services, request, reply, {
          ...(patch.kind === 'copy'
            ? copying(engine, { ...parsed, ...patch })
            : moving(engine, { ...parsed, ...patch })),
          ...{ kind: patch.kind, user: parsed.user, path, bodyFor, isFenced: patch.kind === 'move' },
          toJson: (outcome) => entryJson(outcome.entry, outcome.path),
        });
  if (!done) return reply;
  if (done.kind === 'accepted') return sendAccepted(reply, done.job);
  const { entry } = done;
  request.state.owner = entry.instanceId;
  const operation = patch.kind === 'attributes' ? 'change_attributes' : patch.kind;
  services.metrics.fileOperations.inc({ operation, backend_type: entry.backendType });
  return sendEntry(reply, 200, entry, done.kind === 'attributes-changed' ? path : done.path);
}

type Steps<O extends { readonly kind: string }> = Pick<LongWork<O>, 'plan' | 'run'>;

function copying(engine: EngineContext, request: CopyRequest): Steps<Copied> {
  return { plan: () => planCopy(engine, request), run: (work) => copyEntry(engine, request, work) };
}

function moving(engine: EngineContext, request: MoveRequest): Steps<Moved> {
  return { plan: () => planMove(engine, request), run: (work) => moveEntry(engine, request, work) };
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
