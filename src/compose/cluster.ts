/** How an instance takes its place among the others, and what it reaches them with. */
import { Forwarder, type ForwardObserver } from '../cluster/forward.ts';
import { Membership } from '../cluster/membership.ts';
import { PeerDirectory } from '../cluster/peer-directory.ts';
import { PeerSigner } from '../cluster/peer-signature.ts';
import { processIdentity } from '../cluster/process-identity.ts';
import type { Config } from '../config/config.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import { VERSION } from '../version.ts';
import type { InstanceTls } from './instance-tls.ts';
import { clock } from './runtime.ts';

export interface JoinedCluster {
  readonly membership: Membership;
  readonly peers: PeerDirectory;
  readonly signer: PeerSigner;
  /** Undefined: this instance may not forward. */
  readonly forwarder: Forwarder | undefined;
}

interface JoinParts {
  readonly store: MetadataStore;
  readonly bootId: string;
  /** Under which URL peers reach this instance; empty until it listens. */
  readonly endpoint: () => string;
  /** Names the bucket that this instance keeps files in; empty: none. */
  readonly bucketId: string;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly secureContext: InstanceTls['peerContext'];
  /** Told why the instance cannot go on. */
  readonly fail: (error: Error) => void;
  readonly started: AsyncDisposableStack;
}

/**
 * Claims the instance id; nothing that belongs to the id may be touched before, for another process may carry it.
 * @throws Error with one line for the operator
 */
export async function joinCluster(config: Config, parts: JoinParts): Promise<JoinedCluster> {
  const { bootId, metrics, started } = parts;
  const membership = started.use(await joinMembers(config, parts));
  const peers = new PeerDirectory(peerOptions(config, parts));
  started.defer(() => peers.close());
  const signer = new PeerSigner({
    secret: config.auth.internal_proxy_secret || undefined,
    instanceId: config.instance_discovery.instance_id,
    bootId,
    clock,
  });
  const forwarder = mayForward(config)
    ? new Forwarder({ peers, signer, observer: observeForwards(metrics) })
    : undefined;
  return { membership, peers, signer, forwarder };
}

function joinMembers(config: Config, { store, bootId, endpoint, bucketId, log, fail }: JoinParts): Promise<Membership> {
  const instanceId = config.instance_discovery.instance_id;
  return Membership.join({
    store,
    bootId,
    endpoint,
    bucketId,
    instanceId,
    version: VERSION,
    process: processIdentity(),
    publicUrl: config.server.external_url,
    clock,
    onReplaced: () => fail(new Error(`Another process has taken the instance id ${instanceId} over.`)),
    onFailure: (error) => log.error({ err: error }, 'the heartbeat did not reach the metadata store'),
  });
}

function peerOptions(config: Config, { log, store, endpoint, bucketId, secureContext }: JoinParts) {
  const { cluster, instance_discovery: discovery } = config;
  return {
    instanceId: discovery.instance_id,
    ownEndpoint: endpoint,
    ownPublicUrl: config.server.external_url,
    configured: discovery.peer_endpoints,
    listInstances: () => store.listInstances(),
    bucketId,
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

/** Unset means: when there is a way to prove to a peer who asks. */
function mayForward({ handlers, auth }: Config): boolean {
  return handlers.enable_cross_server_support ?? auth.internal_proxy_secret !== '';
}

function observeForwards(metrics: Metrics): ForwardObserver {
  return {
    forwarded({ operation, instanceId, outcome, durationMs }) {
      metrics.crossServerRequests.inc({ operation, target_instance: instanceId, outcome });
      metrics.proxyDuration.observe({ operation, target_instance: instanceId }, durationMs / 1000);
    },
  };
}
