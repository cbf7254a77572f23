/** Whether the instance that a client names for some bytes is there and takes any. */
import type { Entry } from '../core/entry.ts';
import { CallFSError } from '../core/errors.ts';
import type { EngineContext } from './engine-context.ts';

/**
 * @param instanceId undefined: the client names none @param entry what it holds already may stay; undefined: it is something new
 * @throws CallFSError BAD_REQUEST
 */
export async function assertTakesFiles(
  { store, instanceId: own, isDraining }: EngineContext,
  instanceId: string | undefined,
  entry: Entry | undefined,
): Promise<void> {
  if (instanceId === undefined) return;
  const record = instanceId === own ? { draining: isDraining() } : await store.findInstance(instanceId);
  if (!record) throw new CallFSError('BAD_REQUEST', `There is no instance ${instanceId} in this cluster.`);
  if (!record.draining || (entry?.type === 'file' && entry.instanceId === instanceId)) return;
  throw new CallFSError('BAD_REQUEST', `Instance ${instanceId} is being drained, so it takes no files.`, {
    details: { instance_id: instanceId },
  });
}
