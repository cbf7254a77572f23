/** Instances in this process, on real connections, whose files of the s3 backend lie in buckets in memory. */
import type { AddressInfo } from 'node:net';
import * as net from 'node:net';
import { createSecureContext } from 'node:tls';
import { Authenticator } from '../../src/auth/authenticator.ts';
import type { Backend } from '../../src/backends/backend.ts';
import { MemoryBackend } from '../../src/backends/memory/memory-backend.ts';
import { Forwarder } from '../../src/cluster/forward.ts';
import { PeerDirectory } from '../../src/cluster/peer-directory.ts';
import { PeerSigner } from '../../src/cluster/peer-signature.ts';
import { contentFetcher, nobody } from '../../src/compose/contents.ts';
import { clock, ids } from '../../src/compose/runtime.ts';
import type { BackendType } from '../../src/core/entry.ts';
import { contentLedger } from '../../src/engine/content-ledger.ts';
import type { EngineContext } from '../../src/engine/engine-context.ts';
import { Jobs } from '../../src/engine/jobs.ts';
import { LinkTurns } from '../../src/engine/link-turns.ts';
import { UploadLocks } from '../../src/engine/upload-locks.ts';
import { buildApp } from '../../src/http/app.ts';
import type { HttpServices } from '../../src/http/http-services.ts';
import { createRateLimits } from '../../src/http/rate-limits.ts';
import type { MetadataStore } from '../../src/metadata/metadata-store.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { ALICE_KEY } from './cluster.ts';

/** A bucket; instances with the same one share it. */
export class MemoryBucket {
  readonly id: string;
  readonly backend: MemoryBackend;

  constructor(id: string, store: MetadataStore) {
    this.id = id;
    this.backend = new MemoryBackend({ instanceId: id, ledger: contentLedger(id, store, 's3'), type: 's3' });
  }
}

export interface MemberOptions {
  readonly store: MetadataStore;
  readonly id: string;
  /** Undefined: it keeps its files in memory of its own, as if on a disk. */
  readonly bucket: MemoryBucket | undefined;
  readonly responseTimeoutMs?: number;
}

export class BucketMember implements AsyncDisposable {
  readonly id: string;
  readonly services: HttpServices;
  readonly #app: ReturnType<typeof buildApp>;
  url = '';
  draining = false;
  #stub: net.Server | undefined;
  readonly #stuck = new Set<net.Socket>();

  private constructor(options: MemberOptions) {
    this.id = options.id;
    this.services = servicesOf(options, this);
    this.#app = buildApp(this.services);
  }

  static async start(options: MemberOptions): Promise<BucketMember> {
    const member = new BucketMember(options);
    await member.#app.listen({ port: 0, host: '127.0.0.1' });
    member.url = `http://127.0.0.1:${(member.#app.server.address() as AddressInfo).port}`;
    const { store, id, bucket } = options;
    await store.registerInstance({
      ...{ id, endpoint: member.url, publicUrl: '', bootId: id, version: '', process: '', nowMs: Date.now() },
      ...{ bucketId: bucket?.id ?? '', replaces: undefined },
    });
    return member;
  }

  get engine(): EngineContext {
    return this.services.engine;
  }

  async takeovers(): Promise<number> {
    const { values } = await this.services.metrics.takeovers.get();
    return values.reduce((sum, { value }) => sum + value, 0);
  }

  /** Connections to it are refused from now on. */
  async kill(): Promise<void> {
    this.#app.server.closeAllConnections();
    await this.#app.close();
  }

  /** Connections to it are taken from now on, and nothing is ever said on them. */
  freeze(): Promise<void> {
    return this.replaceBy(net.createServer());
  }

  /** From now on something else is at its address. */
  async replaceBy(stub: net.Server): Promise<void> {
    await this.kill();
    stub.on('connection', (socket) => this.#stuck.add(socket.on('error', () => {})));
    const { promise, resolve } = Promise.withResolvers<void>();
    stub.listen(Number(new URL(this.url).port), '127.0.0.1', resolve);
    this.#stub = stub;
    await promise;
  }

  /** What is at its address goes away in the middle of everything. */
  breakOff(): void {
    this.#stub?.close();
    for (const socket of this.#stuck) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.breakOff();
    await this.kill();
    await this.services.peers.close();
  }
}

function servicesOf(options: MemberOptions, member: BucketMember): HttpServices {
  const { store, id: instanceId, bucket } = options;
  const log = createLogger({ level: 'silent', instanceId });
  const peers = peersOf(options, member);
  const metrics = createMetrics({ instanceFiles: async () => [], peers: () => peers.states() });
  const signer = new PeerSigner({ secret: 'a shared secret of tests', instanceId, bootId: instanceId, clock });
  const forwarder = new Forwarder({ peers, signer, observer: { forwarded() {} } });
  const disk = new MemoryBackend({ instanceId, ledger: contentLedger(instanceId, store, 'localfs') });
  const backends = new Map<BackendType, Backend>([['localfs', disk]]);
  if (bucket) backends.set('s3', bucket.backend);
  const engine: EngineContext = {
    ...{ instanceId, store, backends, clock, ids, maxUploadBytes: undefined },
    defaultBackend: bucket ? 's3' : 'localfs',
    fetchContent: contentFetcher({ forwarder, peers }),
    isDraining: () => member.draining,
    findTaker: nobody,
    sharesBucketWith: (id) => peers.sharesBucketWith(id),
    onAdopted() {},
  };
  const authenticator = new Authenticator({ apiKeys: [], apiKeyUsers: { alice: ALICE_KEY }, users: {} });
  const findUser = (name: string) => authenticator.findUser(name);
  return {
    ...{ engine, authenticator, signer, peers, forwarder, metrics, log },
    jobs: new Jobs({ ...engine, bootId: instanceId, onFailure() {} }),
    links: { ...engine, findUser, linkSecret: 'a secret of links', turns: new LinkTurns() },
    uploads: { ...engine, findUser, locks: new UploadLocks(() => performance.now()) },
    rateLimits: createRateLimits(),
    externalUrl: '',
    readiness: async () => ({}),
    clusterStatus: () => Promise.reject(new Error('Nobody asks.')),
    idleTimeoutMs: 60_000,
    corsOrigins: [],
    certificates: undefined,
  };
}

function peersOf({ store, id, bucket, responseTimeoutMs = 30_000 }: MemberOptions, member: BucketMember) {
  return new PeerDirectory({
    instanceId: id,
    ownEndpoint: () => member.url,
    ownPublicUrl: '',
    configured: {},
    listInstances: () => store.listInstances(),
    bucketId: bucket?.id ?? '',
    connectTimeoutMs: 1000,
    responseTimeoutMs,
    idleTimeoutMs: 60_000,
    maxConnections: 8,
    skipTlsVerify: false,
    secureContext: () => createSecureContext(),
    clock,
    onChange() {},
  });
}
