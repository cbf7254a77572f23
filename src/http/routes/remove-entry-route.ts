/** DELETE on `/v1/files/{path}`. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { planRemoval, type Removed, removeEntry } from '../../engine/remove-entry.ts';
import { parseFileRequest } from '../file-request.ts';
import type { HttpServices } from '../http-services.ts';
import { sendAccepted } from '../job-representation.ts';
import { routeToOwner } from '../owner-route.ts';
import { parseFlag } from '../request-target.ts';
import { runWork } from '../run-work.ts';

export async function deleteEntry(
  services: HttpServices,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { engine, metrics } = services;
  const parsed = { ...parseFileRequest(services, request), recursive: parseFlag(request.query, 'recursive') };
  const { path, user } = parsed;
  const bodyFor = () => undefined;
  const run = () => removeEntry(engine, parsed);
  const removed = parsed.recursive
    ? await runWork<Removed>(services, request, reply, {
        ...{ kind: 'remove', user, path, bodyFor, isFenced: true },
        plan: () => planRemoval(engine, parsed),
        async run({ progress }) {
          const outcome = await run();
          if (outcome.kind === 'removed') progress.filesTotal = progress.filesDone = outcome.count;
          return outcome;
        },
        toJson: ({ count }) => ({ removed: count }),
      })
    : await routeToOwner(services, request, reply, { path, run, bodyFor, isFenced: true });
  if (!removed) return reply;
  const backend = removed.kind === 'removed' ? removed.backendType : engine.defaultBackend;
  metrics.fileOperations.inc({ operation: 'remove', backend_type: backend });
  request.state.owner ??= engine.instanceId;
  return removed.kind === 'accepted' ? sendAccepted(reply, removed.job) : reply.code(204).send();
}
