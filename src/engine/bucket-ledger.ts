/** The metadata store as it is seen by who looks at a bucket from beside its instance. */
import type { BucketLedger } from '../backends/object-ledger.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';
import { objectLedger } from './content-ledger.ts';

/** @param bucketId of the bucket, as the instance is configured */
export function bucketLedger(instanceId: string, store: MetadataStore, bucketId: string): BucketLedger {
  const neverAsked = async (): Promise<boolean> => true;
  return {
    ...objectLedger(instanceId, store, neverAsked),
    async describeKeys(keys) {
      const located = (await store.describeKeys(keys)).filter(({ entry }) => entry.backendType === 's3');
      if (located.every(({ entry }) => entry.instanceId === instanceId)) return located;
      const others = new Map((await store.listInstances()).map((record) => [record.id, record.bucketId]));
      // One that has not said which bucket it has, since it was rebuilt or because nobody knows it, may have this one.
      const mayShare = (id: string): boolean => id === instanceId || [bucketId, ''].includes(others.get(id) ?? '');
      return located.filter(({ entry }) => mayShare(entry.instanceId));
    },
    recordPlace: (request) => store.relocateContent(request),
    async neighbours() {
      const records = await store.listInstances();
      const others = records.filter((record) => record.id !== instanceId && record.bucketId === bucketId);
      return {
        known: new Set([instanceId, ...records.map(({ id }) => id)]),
        mayRun: others.some(({ stopped }) => !stopped),
      };
    },
  };
}
