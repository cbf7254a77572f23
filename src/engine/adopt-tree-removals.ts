/** Files that the namespace has removed or moved and that still lie on disk for a moment: they must not come back. */
import type { Content } from '../core/entry.ts';
import { isWithin, type VirtualPath } from '../core/virtual-path.ts';
import type { OutboxItem } from '../metadata/metadata-store.ts';
import type { EngineContext } from './engine-context.ts';

export interface PendingRemovals {
  has(path: VirtualPath, content: Content): boolean;
  /** Whether a move takes what lies at the path, or what it lies in, away or brings something there. */
  moves(path: VirtualPath): boolean;
  /** Whether anything pending has to do with the path, with what it lies in or with what lies below. */
  concerns(path: VirtualPath): boolean;
}

/** Far more than wait while the instance runs. */
const FIRST_LIMIT = 10_000;

/** Of the backend that what is adopted goes into. */
export async function readPendingRemovals(context: EngineContext): Promise<PendingRemovals> {
  const { store, instanceId, defaultBackend, sharesBucketWith } = context;
  const instanceIds = [instanceId];
  // What others have yet to remove from the same bucket must not come back either.
  if (defaultBackend === 's3' && sharesBucketWith) {
    for (const { id } of await store.listInstances()) {
      if (id !== instanceId && (await sharesBucketWith(id))) instanceIds.push(id);
    }
  }
  for (let limit = FIRST_LIMIT; ; limit *= 10) {
    const lists = await Promise.all(instanceIds.map((id) => store.listOutbox(id, limit, defaultBackend)));
    const rows = lists.flat();
    if (lists.some((list) => list.length === limit)) continue;
    const discarded = rows.filter((row) => row.kind === 'discard');
    const known = new Set(discarded.map(({ path, storageStamp }) => `${storageStamp}${path}`));
    const moved = rows.filter((row) => row.kind === 'move');
    const moves = (path: VirtualPath): boolean =>
      moved.some((row) => pathsOf(row).some((other) => isWithin(path, other)));
    return {
      has: (path, { storageStamp }) => known.has(`${storageStamp}${path}`) || moves(path),
      moves,
      concerns: (path) => rows.some((row) => pathsOf(row).some((other) => overlap(path, other))),
    };
  }
}

function pathsOf(row: OutboxItem): readonly VirtualPath[] {
  return row.kind === 'move' ? [row.path, row.to] : [row.path];
}

function overlap(one: VirtualPath, other: VirtualPath): boolean {
  return isWithin(one, other) || isWithin(other, one);
}
