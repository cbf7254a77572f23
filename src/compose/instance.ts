/** From a configuration to a running instance; tears down in reverse. */
import { Authenticator } from '../auth/authenticator.ts';
import type { Backend } from '../backends/backend.ts';
import { type ClusterStatusOptions, clusterStatus } from '../cluster/cluster-status.ts';
import { takingTurns } from '../cluster/takers.ts';
import type { Config } from '../config/config.ts';
import type { BackendType } from '../core/entry.ts';
import { faultState } from '../core/fault-point.ts';
import type { EngineContext } from '../engine/engine-context.ts';
import { keepForgettingLinks } from '../engine/forget-links.ts';
import type { Jobs } from '../engine/jobs.ts';
import { LinkTurns } from '../engine/link-turns.ts';
import { buildApp, buildMetricsApp } from '../http/app.ts';
import type { HttpServices, Readiness } from '../http/http-services.ts';
import { createRateLimits } from '../http/rate-limits.ts';
import { cachedCounts } from '../metadata/cached-counts.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';
import { createLogger, type Logger } from '../observability/logger.ts';
import { createMetrics, type Metrics } from '../observability/metrics.ts';
import { timed } from '../observability/timed.ts';
import { VERSION } from '../version.ts';

import { openBackends } from './backends.ts';
import { bucketIdentity } from './bucket.ts';
import { type JoinedCluster, joinCluster } from './cluster.ts';
import { contentFetcher, nobody } from './contents.ts';
import { type InstanceTls, openTls } from './instance-tls.ts';
import { openJobs } from './jobs.ts';
import { listen } from './listen.ts';
import { clock, ids } from './runtime.ts';
import { openStore } from './store.ts';
import { openTiering } from './tiering.ts';
import { openUploads } from './uploads.ts';

export interface RunningInstance extends AsyncDisposable {
  /** Base URL under which it listens. */
  readonly url: string;
  /** Resolves with the reason when the instance cannot go on. */
  readonly failed: Promise<Error>;
}

/** @throws Error with one line for the operator */
export async function startInstance(config: Config): Promise<RunningInstance> {
  await using started = new AsyncDisposableStack();
  const bootId = ids.next();
  const log = createLogger({ level: config.log.level, instanceId: config.instance_discovery.instance_id });
  started.defer(() => flush(log));
  const tls = await openTls(config, log, started);
  const rawStore = started.use(await openStore(config));
  const countFiles = cachedCounts(rawStore);
  const metrics = createMetrics({ instanceFiles: countFiles, peers: () => cluster.peers.states() });
  const store = timed(rawStore, (operation, seconds) => metrics.metadataDuration.observe({ operation }, seconds));
  const { promise: failed, resolve: fail } = Promise.withResolvers<Error>();
  let bound = '';
  const endpoint = () => config.server.external_url || bound;
  const secureContext = tls.peerContext;
  const bucketId = bucketIdentity(config);
  const parts = { store, bootId, endpoint, bucketId, log, metrics, secureContext, fail, started };
  // Before anything of the id is touched: another process may carry it.
  const cluster = await joinCluster(config, parts);
  const sharesBucketWith = (instanceId: string) => cluster.peers.sharesBucketWith(instanceId);
  const backends = await openBackends(config, { store, log, metrics, sharesBucketWith, started });
  const engine = engineContext(config, { store, backends, log, metrics, cluster });
  started.use(keepForgettingLinks(engine, (error) => log.error({ err: error }, 'old links could not be removed')));
  const jobs = started.use(openJobs(engine, bootId, log));
  const services = httpServices(config, { engine, jobs, cluster, countFiles, metrics, log, tls, started });
  const app = buildApp(services);
  tls.keepFresh(app.server);
  const url = await listen(app, tls.server ? 'https' : 'http', config.server.listen_addr, started);
  // They end while the clients that are still there are served.
  started.defer(() => jobs.stop());
  bound = url;
  await cluster.membership.announce();
  if (cluster.forwarder) cluster.peers.watch();
  if (config.metrics.listen_addr) await listen(buildMetricsApp(services), 'http', config.metrics.listen_addr, started);
  started.use(openTiering(config, engine, { log, metrics }));
  if (faultState()) log.warn('CALLFS_FAULT_POINT is set: this instance may kill itself; never serve with it');
  log.info({ url, endpoint: endpoint(), version: VERSION }, 'instance is running');
  const running = started.move();
  return { url, failed, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

interface EngineParts {
  readonly store: MetadataStore;
  readonly backends: ReadonlyMap<BackendType, Backend>;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly cluster: JoinedCluster;
}

function engineContext(config: Config, { store, backends, log, metrics, cluster }: EngineParts): EngineContext {
  const { forwarder, membership, peers } = cluster;
  return {
    store,
    backends,
    instanceId: config.instance_discovery.instance_id,
    defaultBackend: config.backend.default_backend,
    clock,
    ids,
    maxUploadBytes: config.server.max_upload_size || undefined,
    fetchContent: contentFetcher(cluster),
    isDraining: () => membership.isDraining,
    findTaker: forwarder ? takingTurns(peers) : nobody,
    sharesBucketWith: (instanceId) => peers.sharesBucketWith(instanceId),
    onAdopted: (path) => {
      metrics.adopted.inc();
      log.info({ path }, 'a file changed outside CallFS became a new version');
    },
  };
}

interface ServiceParts {
  readonly engine: EngineContext;
  readonly jobs: Jobs;
  readonly cluster: JoinedCluster;
  readonly countFiles: ClusterStatusOptions['countFiles'];
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly tls: InstanceTls;
  readonly started: AsyncDisposableStack;
}

function httpServices(config: Config, parts: ServiceParts): HttpServices {
  const { engine, jobs, cluster, countFiles, metrics, log, tls, started } = parts;
  const { signer, peers, forwarder } = cluster;
  const authenticator = authenticatorOf(config);
  const status = statusOptions(config, engine, { peers, countFiles });
  return {
    engine,
    jobs,
    authenticator,
    ...linkServices(config, engine, authenticator),
    uploads: openUploads(engine, { authenticator, log, started }),
    signer,
    peers,
    forwarder,
    metrics,
    log,
    readiness: () => readiness(engine),
    clusterStatus: () => clusterStatus(status),
    idleTimeoutMs: config.server.idle_timeout,
    corsOrigins: config.server.cors_origins,
    certificates: tls.server,
  };
}

function linkServices({ auth, server }: Config, engine: EngineContext, authenticator: Authenticator) {
  const findUser = (name: string) => authenticator.findUser(name);
  return {
    links: { ...engine, findUser, linkSecret: auth.single_use_link_secret, turns: new LinkTurns() },
    rateLimits: createRateLimits(),
    externalUrl: server.external_url,
  };
}

function authenticatorOf({ auth }: Config): Authenticator {
  return new Authenticator({ apiKeys: auth.api_keys, apiKeyUsers: auth.api_key_users, users: auth.users });
}

function statusOptions(
  config: Config,
  { backends, isDraining }: EngineContext,
  parts: Pick<ClusterStatusOptions, 'peers' | 'countFiles'>,
): ClusterStatusOptions {
  return {
    ...parts,
    isDraining,
    instanceId: config.instance_discovery.instance_id,
    version: VERSION,
    storeType: config.metadata_store.type,
    startedAtMs: clock.now(),
    backends: [...backends.keys()],
    freeBytes: async () => await backends.get(config.backend.default_backend)?.freeBytes(),
  };
}

async function readiness({ store, backends }: EngineContext): Promise<Readiness> {
  const problem = (check: Promise<unknown>): Promise<string | undefined> =>
    check.then(
      () => undefined,
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
  const checks = [...backends.values()].map(async (backend) => [backend.type, await problem(backend.check())] as const);
  return { store: await problem(store.resolve([])), ...Object.fromEntries(await Promise.all(checks)) };
}

function flush(log: Logger): Promise<void> {
  return new Promise((resolve) => log.flush(() => resolve()));
}
