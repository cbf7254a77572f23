/** What fsck, rebuild and adopt work with when they look at an instance's bucket themselves. */
import type { Holdings, PlacedHoldings } from '../backends/backend.ts';
import type { ImportSource } from '../backends/import-source.ts';
import type { Config } from '../config/config.ts';
import { bucketLedger } from '../engine/bucket-ledger.ts';
import type { EngineContext } from '../engine/engine-context.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';
import { bucketIdentity, bucketSettings } from './bucket.ts';
import { contentFetcher, nobody } from './contents.ts';
import { clock, ids } from './runtime.ts';
import { openStore } from './store.ts';

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

export interface BucketAdoption extends AsyncDisposable {
  readonly engine: EngineContext;
  readonly source: ImportSource;
}

/**
 * What `callfs adopt --backend s3` works with, beside the instance or in its absence.
 * @param below only objects whose keys begin with this
 * @throws Error with one line for the operator
 */
export async function openBucketAdoption(config: Config, below: string): Promise<BucketAdoption> {
  const settings = bucketSettings(config);
  if (!settings) throw new Error(NO_BUCKET);
  await using opened = new AsyncDisposableStack();
  const instanceId = config.instance_discovery.instance_id;
  const bucketId = bucketIdentity(config);
  const store = opened.use(await openStore(config));
  const { openS3Import } = await import('../backends/s3/s3-import.ts');
  const ledger = bucketLedger(instanceId, store, bucketId);
  const source = opened.use(await openS3Import({ settings, instanceId, ledger, nowMs: () => clock.now(), below }));
  const held = opened.move();
  return {
    engine: {
      ...{ instanceId, store, backends: new Map(), clock, ids },
      defaultBackend: 's3',
      maxUploadBytes: undefined,
      fetchContent: contentFetcher(undefined),
      isDraining: () => false,
      findTaker: nobody,
      sharesBucketWith: async (id) =>
        (await store.listInstances()).some((other) => other.id === id && other.bucketId === bucketId),
      onAdopted() {},
    },
    source,
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}
