/** From a configuration to a running instance; tears down in reverse. */
import type { AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import type { FastifyInstance } from 'fastify';
import { Authenticator } from '../auth/authenticator.ts';
import type { Backend } from '../backends/backend.ts';
import { openLocalBackend } from '../backends/local/local-backend.ts';
import { type ClusterStatusOptions, clusterStatus } from '../cluster/cluster-status.ts';
import { Forwarder, type ForwardObserver } from '../cluster/forward.ts';
import { Membership } from '../cluster/membership.ts';
import { PeerDirectory } from '../cluster/peer-directory.ts';
import { PeerSigner } from '../cluster/peer-signature.ts';
import { processIdentity } from '../cluster/process-identity.ts';
import { takingTurns } from '../cluster/takers.ts';
import type { Config } from '../config/config.ts';
import { parseListenAddress } from '../config/listen-address.ts';
import type { BackendType } from '../core/entry.ts';
import { faultState } from '../core/fault-point.ts';
import { catalogLedger, contentLedger } from '../engine/content-ledger.ts';
import type { EngineContext } from '../engine/engine-context.ts';
import { keepForgettingLinks } from '../engine/forget-links.ts';
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

import { contentFetcher, nobody } from './contents.ts';
import { type InstanceTls, openTls } from './instance-tls.ts';
import { openJobs } from './jobs.ts';
import { clock, ids } from './runtime.ts';
import { holdsFiles, openStore } from './store.ts';
import { openUploads } from './uploads.ts';

export interface RunningInstance extends AsyncDisposable {
  /** Base URL under which it listens. */
  readonly url: string;
  /** Resolves with the reason when the instance cannot go on. */
  readonly failed: Promise<Error>;
}

/** Clients and peers get this long to finish what they are at when an instance stops. */
const DRAIN_MS = 30_000;

/** @throws Error with one line for the operator */
export async function startInstance(config: Config): Promise<RunningInstance> {
  await using started = new AsyncDisposableStack();
  const instanceId = config.instance_discovery.instance_id;
  const bootId = ids.next();
  const log = createLogger({ level: config.log.level, instanceId });
  started.defer(() => flush(log));
  const tls = await openTls(config, log, started);
  const rawStore = started.use(await openStore(config));
  const countFiles = cachedCounts(rawStore);
  const metrics = createMetrics({ instanceFiles: countFiles, peers: () => peers.states() });
  const store = timed(rawStore, (operation, seconds) => metrics.metadataDuration.observe({ operation }, seconds));
  const { promise: failed, resolve: fail } = Promise.withResolvers<Error>();
  let endpoint = config.server.external_url;
  // Before anything of the id is touched: another process may carry it.
  const membership = started.use(await joinCluster(config, { store, bootId, endpoint: () => endpoint, log, fail }));
  const peers = new PeerDirectory(
    peerOptions(config, { log, store, ownEndpoint: () => endpoint, secureContext: tls.peerContext }),
  );
  started.defer(() => peers.close());
  const signer = new PeerSigner({ secret: config.auth.internal_proxy_secret || undefined, instanceId, bootId, clock });
  const backends = await openBackends(config, { store, log, metrics, started });
  const mayAsk = mayForward(config);
  const forwarder = mayAsk ? new Forwarder({ peers, signer, observer: observeForwards(metrics) }) : undefined;
  const isDraining = (): boolean => membership.isDraining;
  const findTaker = forwarder ? takingTurns(peers) : nobody;
  const fetchContent = contentFetcher(forwarder);
  const engine = engineContext(config, { store, backends, log, metrics, fetchContent, isDraining, findTaker });
  started.use(keepForgettingLinks(engine, (error) => log.error({ err: error }, 'old links could not be removed')));
  const status = statusOptions(config, { backends, peers, countFiles, isDraining });
  const authenticator = authenticatorOf(config);
  const jobs = started.use(openJobs(engine, bootId, log));
  const services: HttpServices = {
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
  const app = buildApp(services);
  tls.keepFresh(app.server);
  const url = await listen(app, tls.server ? 'https' : 'http', config.server.listen_addr, started);
  // They end while the clients that are still there are served.
  started.defer(() => jobs.stop());
  endpoint ||= url;
  await membership.announce();
  if (services.forwarder) peers.watch();
  if (config.metrics.listen_addr) await listen(buildMetricsApp(services), 'http', config.metrics.listen_addr, started);
  if (faultState()) log.warn('CALLFS_FAULT_POINT is set: this instance may kill itself; never serve with it');
  log.info({ url, endpoint, version: VERSION }, 'instance is running');
  const running = started.move();
  return { url, failed, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

interface BackendParts {
  readonly store: MetadataStore;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly started: AsyncDisposableStack;
}

async function openBackends(config: Config, parts: BackendParts): Promise<ReadonlyMap<BackendType, Backend>> {
  const { store, log, metrics, started } = parts;
  const local = await openLocalBackend({
    root: config.backend.localfs_root_path,
    instanceId: config.instance_discovery.instance_id,
    ledger: contentLedger(config.instance_discovery.instance_id, store),
    catalog: catalogLedger(config.instance_discovery.instance_id, store),
    holdsFiles: () => holdsFiles(config, store),
    durable: config.server.durability === 'full',
    onLostAndFound: (from, to) => {
      metrics.lostAndFound.inc();
      log.warn({ from, to }, 'moved an unknown file out of the way');
    },
    onFailure: (error) => log.error({ err: error }, 'settling failed and will be repeated'),
  });
  started.use(local);
  started.use(await store.watchOutbox(() => local.outboxPending()));
  const observe = (operation: string, seconds: number): void =>
    metrics.backendDuration.observe({ backend_type: local.type, operation }, seconds);
  return new Map([[local.type, timed<Backend>(local, observe)]]);
}

type EngineParts = Omit<BackendParts, 'started'> &
  Pick<EngineContext, 'fetchContent' | 'isDraining' | 'findTaker'> & {
    readonly backends: ReadonlyMap<BackendType, Backend>;
  };

function engineContext(config: Config, { log, metrics, ...parts }: EngineParts): EngineContext {
  return {
    ...parts,
    instanceId: config.instance_discovery.instance_id,
    defaultBackend: config.backend.default_backend,
    clock,
    ids,
    maxUploadBytes: config.server.max_upload_size || undefined,
    onAdopted: (path) => {
      metrics.adopted.inc();
      log.info({ path }, 'a file changed outside CallFS became a new version');
    },
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

/** Unset means: when there is a way to prove to a peer who asks. */
function mayForward({ handlers, auth }: Config): boolean {
  return handlers.enable_cross_server_support ?? auth.internal_proxy_secret !== '';
}

interface PeerParts {
  readonly log: Logger;
  readonly store: MetadataStore;
  readonly ownEndpoint: () => string;
  readonly secureContext: InstanceTls['peerContext'];
}

function peerOptions(config: Config, { log, store, ownEndpoint, secureContext }: PeerParts) {
  const { cluster, instance_discovery: discovery } = config;
  return {
    instanceId: discovery.instance_id,
    ownEndpoint,
    ownPublicUrl: config.server.external_url,
    configured: discovery.peer_endpoints,
    listInstances: () => store.listInstances(),
    // The answer that it failed must come within the time, too.
    connectTimeoutMs: 0.95 * cluster.connect_timeout,
    responseTimeoutMs: cluster.response_timeout,
    idleTimeoutMs: cluster.idle_timeout,
    maxConnections: cluster.max_connections_per_peer,
    secureContext,
    skipTlsVerify: config.backend.internal_proxy_skip_tls_verify,
    clock,
    onChange: (instanceId: string, up: boolean) => {
      log.warn({ peer: instanceId, up }, up ? 'a peer is back' : 'a peer is down');
    },
  };
}

interface StatusParts extends Pick<ClusterStatusOptions, 'peers' | 'countFiles' | 'isDraining'> {
  readonly backends: ReadonlyMap<BackendType, Backend>;
}

function statusOptions(config: Config, { backends, ...parts }: StatusParts): ClusterStatusOptions {
  return {
    ...parts,
    instanceId: config.instance_discovery.instance_id,
    version: VERSION,
    storeType: config.metadata_store.type,
    startedAtMs: clock.now(),
    backends: [...backends.keys()],
    freeBytes: async () => await backends.get(config.backend.default_backend)?.freeBytes(),
  };
}

function observeForwards(metrics: Metrics): ForwardObserver {
  return {
    forwarded({ operation, instanceId, outcome, durationMs }) {
      metrics.crossServerRequests.inc({ operation, target_instance: instanceId, outcome });
      metrics.proxyDuration.observe({ operation, target_instance: instanceId }, durationMs / 1000);
    },
  };
}

interface JoinParts extends Pick<BackendParts, 'store' | 'log'> {
  readonly bootId: string;
  readonly endpoint: () => string;
  readonly fail: (error: Error) => void;
}

function joinCluster(config: Config, { fail, log, ...parts }: JoinParts): Promise<Membership> {
  const instanceId = config.instance_discovery.instance_id;
  return Membership.join({
    ...parts,
    instanceId,
    version: VERSION,
    process: processIdentity(),
    publicUrl: config.server.external_url,
    clock,
    onReplaced: () => fail(new Error(`Another process has taken the instance id ${instanceId} over.`)),
    onFailure: (error) => log.error({ err: error }, 'the heartbeat did not reach the metadata store'),
  });
}

/** Accepts connections until disposed, then lets those that are busy finish. */
async function listen(
  app: FastifyInstance,
  protocol: 'http' | 'https',
  address: string,
  started: AsyncDisposableStack,
): Promise<string> {
  const { host, port } = parseListenAddress(address);
  started.defer(() => drain(app));
  try {
    await app.listen({ port, host: host ?? '::' });
  } catch (error) {
    throw new Error(`Cannot listen on ${address}: ${error instanceof Error ? error.message : error}.`, {
      cause: error,
    });
  }
  const bound = app.server.address() as AddressInfo;
  return `${protocol}://${reachableName(host)}:${bound.port}`;
}

/** Under which name others on the network find an address that one can listen on. */
function reachableName(host: string | undefined): string {
  if (host === undefined || host === '0.0.0.0' || host === '::') return hostname();
  return host.includes(':') ? `[${host}]` : host;
}

async function drain(app: FastifyInstance): Promise<void> {
  const timer = setTimeout(() => app.server.closeAllConnections(), DRAIN_MS);
  await app.close();
  clearTimeout(timer);
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
