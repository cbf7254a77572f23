/** What fsck, rebuild and adopt work with when they look at an instance's bucket themselves. */
import type { Holdings, PlacedHoldings } from '../backends/backend.ts';
import type { Config } from '../config/config.ts';
import { bucketLedger } from '../engine/bucket-ledger.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';
import { bucketIdentity, bucketSettings } from './bucket.ts';
import { clock } from './runtime.ts';

export const NO_BUCKET = 'backend.s3_bucket_name: the instance has no bucket.';

/**
 * @param home the data root of the instance, opened
 * @returns undefined: it has no bucket
 */
export async function openBucketHoldings(
  config: Config,
  store: MetadataStore,
  home: Holdings,
): Promise<PlacedHoldings | undefined> {
  const settings = bucketSettings(config);
  if (!settings) return undefined;
  // Loaded only for instances that have a bucket.
  const { openS3Holdings } = await import('../backends/s3/s3-holdings.ts');
  const instanceId = config.instance_discovery.instance_id;
  const ledger = bucketLedger(instanceId, store, bucketIdentity(config));
  return openS3Holdings({ settings, instanceId, ledger, nowMs: () => clock.now(), home });
}
