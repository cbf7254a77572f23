/** The backends of an instance: opened, measured, and settled in the background. */
import type { Backend } from '../backends/backend.ts';
import { openLocalBackend } from '../backends/local/local-backend.ts';
import type { S3Settings } from '../backends/s3/s3-settings.ts';
import type { Config } from '../config/config.ts';
import type { BackendType } from '../core/entry.ts';
import { catalogLedger, contentLedger, objectLedger } from '../engine/content-ledger.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import { timed } from '../observability/timed.ts';
import { bucketSettings } from './bucket.ts';
import { clock } from './runtime.ts';
import { holdsFiles } from './store.ts';

export interface BackendParts {
  readonly store: MetadataStore;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Whether another instance keeps its files in the same bucket. */
  readonly sharesBucketWith: (instanceId: string) => Promise<boolean>;
  readonly started: AsyncDisposableStack;
}

/**
 * Opens every backend of the configuration, measured, and begins to settle what it has to.
 * @throws Error with one line for the operator
 */
export async function openBackends(config: Config, parts: BackendParts): Promise<ReadonlyMap<BackendType, Backend>> {
  const settings = bucketSettings(config);
  const opened = [await openLocal(config, parts), ...(settings ? [await openBucket(config, settings, parts)] : [])];
  return new Map(opened.map((backend) => [backend.type, measured(backend, parts.metrics)]));
}

async function openLocal(config: Config, { store, log, metrics, started }: BackendParts): Promise<Backend> {
  const instanceId = config.instance_discovery.instance_id;
  const local = await openLocalBackend({
    root: config.backend.localfs_root_path,
    instanceId,
    ledger: contentLedger(instanceId, store, 'localfs'),
    catalog: catalogLedger(instanceId, store),
    holdsFiles: () => holdsFiles(config, store),
    durable: config.server.durability === 'full',
    ...told(log, metrics),
  });
  started.use(local);
  started.use(await store.watchOutbox(() => local.outboxPending()));
  return local;
}

/** Loaded only by instances that have a bucket. */
async function openBucket(config: Config, settings: S3Settings, parts: BackendParts): Promise<Backend> {
  const { store, log, metrics, sharesBucketWith, started } = parts;
  const { openS3Backend } = await import('../backends/s3/s3-backend.ts');
  const instanceId = config.instance_discovery.instance_id;
  const ledger = objectLedger(instanceId, store, sharesBucketWith);
  const bucket = openS3Backend({ settings, instanceId, ledger, nowMs: () => clock.now(), ...told(log, metrics) });
  started.use(bucket);
  started.use(await store.watchOutbox(() => bucket.outboxPending()));
  return bucket;
}

function told(log: Logger, metrics: Metrics) {
  return {
    onLostAndFound: (from: string, to: string): void => {
      metrics.lostAndFound.inc();
      log.warn({ from, to }, 'moved an unknown file out of the way');
    },
    onFailure: (error: unknown): void => log.error({ err: error }, 'settling failed and will be repeated'),
  };
}

function measured(backend: Backend, metrics: Metrics): Backend {
  return timed(backend, (operation, seconds) =>
    metrics.backendDuration.observe({ backend_type: backend.type, operation }, seconds),
  );
}
