/** Counts of all files, which cost a walk over the namespace, for those who ask often. */
import type { InstanceFiles } from './instance-store.ts';
import type { MetadataStore } from './metadata-store.ts';

/** How long the same counts are shown again. */
const FRESH_MS = 10_000;

/** `countFiles`, answered from memory while it is fresh; a failure is not remembered. */
export function cachedCounts(store: Pick<MetadataStore, 'countFiles'>): () => Promise<readonly InstanceFiles[]> {
  let counts: Promise<readonly InstanceFiles[]> | undefined;
  let countedAt = 0;
  return () => {
    if (counts === undefined || performance.now() - countedAt > FRESH_MS) {
      countedAt = performance.now();
      counts = store.countFiles();
      counts.catch(() => {
        counts = undefined;
      });
    }
    return counts;
  };
}
