/** GET on `/v1/cluster`: all instances, for administrators. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { InstanceStatus } from '../../cluster/cluster-status.ts';
import { permissionDenied } from '../../core/errors.ts';
import { authenticate } from '../caller.ts';
import { wholeSeconds } from '../entry-representation.ts';
import type { HttpServices } from '../http-services.ts';
import type { ClusterJson } from '../schemas/cluster.ts';

export async function getCluster(
  services: HttpServices,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const user = authenticate(services, request);
  if (!user.admin) throw permissionDenied('Only users with admin: true may look at the cluster.');
  const { instanceId, version, storeType, instances } = await services.clusterStatus();
  return reply.send({
    instance_id: instanceId,
    version,
    store: { type: storeType },
    instances: instances.map(instanceJson),
  } satisfies ClusterJson);
}

function instanceJson(instance: InstanceStatus) {
  const { id, endpoint, publicUrl, state, sinceMs, lastSeenMs, version, files, sizeBytes, freeBytes, backends } =
    instance;
  return {
    id,
    endpoint: endpoint || null,
    public_url: publicUrl || null,
    state,
    since: sinceMs === undefined ? null : wholeSeconds(sinceMs),
    last_seen: lastSeenMs === undefined ? null : wholeSeconds(lastSeenMs),
    version: version ?? null,
    files,
    bytes: sizeBytes,
    free_bytes: freeBytes ?? null,
    backends: [...backends],
  };
}
