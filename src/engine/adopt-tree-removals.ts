/** Files that the namespace has let go of and that still lie on disk for a moment: they must not come back. */
import type { Content } from '../core/entry.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import type { EngineContext } from './engine-context.ts';

export interface PendingRemovals {
  has(path: VirtualPath, content: Content): boolean;
}

/** Far more than wait while the instance runs. */
const FIRST_LIMIT = 10_000;

export async function readPendingRemovals({ store, instanceId }: EngineContext): Promise<PendingRemovals> {
  for (let limit = FIRST_LIMIT; ; limit *= 10) {
    const rows = await store.listOutbox(instanceId, limit);
    if (rows.length === limit) continue;
    const discarded = rows.filter((row) => row.kind === 'discard');
    const known = new Set(discarded.map(({ path, storageStamp }) => `${storageStamp}${path}`));
    return { has: (path, { storageStamp }) => known.has(`${storageStamp}${path}`) };
  }
}
