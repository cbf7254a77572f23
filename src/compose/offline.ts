/** What commands work with that look at an instance's disk and store themselves: fsck, rebuild, adopt. */
import { existsSync } from 'node:fs';
import { openLocalImport } from '../backends/local/import-open.ts';
import type { WatchableSource } from '../backends/watchable-source.ts';
import type { Config } from '../config/config.ts';
import type { BackendType } from '../core/entry.ts';
import type { CheckContext } from '../engine/check-subject.ts';
import type { EngineContext } from '../engine/engine-context.ts';
import type { RebuildContext } from '../engine/rebuild-instance.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';
import { contentFetcher, nobody } from './contents.ts';
import { NO_BUCKET, openBucketHoldings } from './offline-bucket.ts';
import { clock, ids } from './runtime.ts';
import { holdsFiles, openStore, storeFiles } from './store.ts';

export interface CheckOptions {
  /** Keep the instance from starting meanwhile, if it does not run. */
  readonly claim: boolean;
  /** Files of the operator that may lie under the data root. */
  readonly excluded: readonly string[];
  /** Look only at this one; undefined: at all that the instance has. */
  readonly backend?: BackendType | undefined;
}

export interface OpenedCheck extends AsyncDisposable {
  /** One for each backend. */
  readonly contexts: readonly CheckContext[];
}

/**
 * Opens what a check of the configured instance works with, whether it runs or not; creates nothing.
 * @throws Error with one line for the operator
 */
export async function openCheck(config: Config, { claim, excluded, backend }: CheckOptions): Promise<OpenedCheck> {
  await using opened = new AsyncDisposableStack();
  const instanceId = config.instance_discovery.instance_id;
  const { type, sqlite_path: sqlite } = config.metadata_store;
  // First the disk: what is wrong there is told without touching a database.
  const holdings = opened.use(await openHoldings(config, claim, excluded));
  if (type === 'sqlite' && !existsSync(sqlite)) {
    throw new Error(`metadata_store.sqlite_path: there is no file ${sqlite}, so nothing can be compared.`);
  }
  const store = opened.use(await openStore(config));
  const parts = { instanceId, store, clock, ids };
  const bucket = await openBucketHoldings(config, store, holdings);
  if (bucket) opened.use(bucket);
  const lacking = new Set<BackendType>(bucket ? [] : ['s3']);
  if (backend === 's3' && !bucket) throw new Error(NO_BUCKET);
  const contexts = [{ ...parts, holdings, lacking }, ...(bucket ? [{ ...parts, holdings: bucket }] : [])];
  const held = opened.move();
  return {
    contexts: contexts.filter((context) => backend === undefined || context.holdings.type === backend),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

export interface RebuildOptions {
  /** Nothing will be written, so a store that is not there yet is not made. */
  readonly dryRun: boolean;
  /** Files of the operator that may lie under the data root. */
  readonly excluded: readonly string[];
}

export interface OpenedRebuild extends AsyncDisposable {
  readonly context: RebuildContext;
}

/**
 * Opens what a rebuild of the configured instance works with, which must not run; it cannot start until that is disposed.
 * @throws Error with one line for the operator
 */
export async function openRebuild(config: Config, { dryRun, excluded }: RebuildOptions): Promise<OpenedRebuild> {
  await using opened = new AsyncDisposableStack();
  const instanceId = config.instance_discovery.instance_id;
  const { type, sqlite_path: sqlite } = config.metadata_store;
  const holdings = opened.use(await openHoldings(config, true, excluded));
  if (!holdings.claimed) throw new Error(`The instance ${instanceId} is running: stop it, then rebuild.`);
  const isImagined = dryRun && type === 'sqlite' && !existsSync(sqlite);
  const store = opened.use(isImagined ? await openMemoryStore() : await openStore(config));
  const bucket = await openBucketHoldings(config, store, holdings);
  if (bucket) opened.use(bucket);
  const held = opened.move();
  return {
    context: { instanceId, store, holdings, bucket, clock, ids },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

/** @param excluded files of the operator that may lie under the data root */
async function openHoldings(config: Config, claim: boolean, excluded: readonly string[]) {
  const { openLocalHoldings } = await import('../backends/local/scan-holdings.ts');
  return await openLocalHoldings({
    root: config.backend.localfs_root_path,
    instanceId: config.instance_discovery.instance_id,
    claim,
    excluded: [...excluded, ...storeFiles(config)],
  });
}

async function openMemoryStore(): Promise<MetadataStore> {
  const { MemoryMetadataStore } = await import('../metadata/memory/memory-metadata-store.ts');
  return new MemoryMetadataStore();
}

export interface AdoptionParts extends AsyncDisposable {
  readonly engine: EngineContext;
  readonly source: WatchableSource;
}

export interface AdoptionOptions {
  /** Absolute; undefined: what lies in the data root itself. */
  readonly folder: string | undefined;
  readonly copy: boolean;
  readonly dryRun: boolean;
  /** Files of the operator that may lie among those to be adopted. */
  readonly excluded: readonly string[];
}

/**
 * What `callfs adopt` works with, beside the instance or in its absence.
 * @throws Error with one line for the operator
 */
export async function openAdoption(config: Config, options: AdoptionOptions): Promise<AdoptionParts> {
  const instanceId = config.instance_discovery.instance_id;
  const source = await openLocalImport({
    ...options,
    root: config.backend.localfs_root_path,
    instanceId,
    holdsFiles: async () => {
      await using store = await openStore(config);
      return await holdsFiles(config, store);
    },
    durable: config.server.durability === 'full',
    excluded: [...options.excluded, ...storeFiles(config)],
    readOnly: options.dryRun,
  });
  const store = await openStore(config);
  const backends: EngineContext['backends'] = new Map();
  const engine: EngineContext = {
    ...{ instanceId, store, backends, clock, ids },
    defaultBackend: 'localfs',
    maxUploadBytes: undefined,
    fetchContent: contentFetcher(undefined),
    isDraining: () => false,
    findTaker: nobody,
    onAdopted() {},
  };
  return { engine, source, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() };
}
