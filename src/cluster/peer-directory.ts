/** Which instances there are and where they are reached: configured peers first, then what the store knows. */
import type { BackendType } from '../core/entry.ts';
import type { InstanceRecord } from '../metadata/instance-store.ts';
import type { Sight } from './circuit-breaker.ts';
import { Peer, type PeerOptions } from './peer.ts';
import { proxyFailure } from './proxy-error.ts';

export interface PeerDirectoryOptions extends Omit<PeerOptions, 'instanceId' | 'endpoint'> {
  readonly instanceId: string;
  /** Base URL under which this instance listens. */
  readonly ownEndpoint: () => string;
  /** Base URL that the operator gave this instance for clients; empty: none. */
  readonly ownPublicUrl: string;
  /** Instance id → base URL. */
  readonly configured: Readonly<Record<string, string>>;
  readonly listInstances: () => Promise<readonly InstanceRecord[]>;
  /** Names the bucket that this instance keeps files in; empty: none. */
  readonly bucketId: string;
}

/** A registered instance as its record says and as this instance sees it. */
export interface SeenInstance {
  readonly record: InstanceRecord;
  /** Undefined: it is this instance itself, or it has not told an address. */
  readonly sight: Sight | undefined;
}

/** How often peers are asked whether they answer. */
const WATCH_EVERY_MS = 2000;
/** How long an address read from the store is used before it is read again. */
const REFRESH_AFTER_MS = 2000;

export class PeerDirectory {
  readonly #options: PeerDirectoryOptions;
  readonly #peers = new Map<string, Peer>();
  #registered = new Map<string, InstanceRecord>();
  /** Also of those that nobody can reach. */
  #bucketIds = new Map<string, string>();
  #refreshedAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: PeerDirectoryOptions) {
    this.#options = options;
  }

  /** Keeps an eye on all peers until closed, so that the first request for one that is down fails as fast as the second. */
  watch(): void {
    this.#timer = setInterval(() => void this.#watchAll().catch(() => {}), WATCH_EVERY_MS);
    this.#timer.unref();
  }

  async #watchAll(): Promise<void> {
    // Without the store the addresses known so far have to do.
    await this.#refresh().catch(() => {});
    const ids = new Set([...Object.keys(this.#options.configured), ...this.#registered.keys()]);
    ids.delete(this.#options.instanceId);
    await Promise.all([...ids].map(async (id) => (await this.getPeer(id)).watch()));
  }

  /** Base URL of an instance, without a trailing slash; undefined when nobody knows it. */
  async findEndpoint(instanceId: string): Promise<string | undefined> {
    if (instanceId === this.#options.instanceId) return this.#options.ownEndpoint();
    const configured = this.#options.configured[instanceId];
    if (configured !== undefined) return configured;
    await this.#refresh();
    // It may have told its address just now.
    if (!this.#registered.has(instanceId)) this.#remember(await this.#options.listInstances());
    return this.#registered.get(instanceId)?.endpoint;
  }

  /**
   * Base URL of an instance for clients: what its operator gave, or what peers use. Every instance that has
   * the same peers configured gives the same answer.
   */
  async findPublicUrl(instanceId: string): Promise<string | undefined> {
    const { instanceId: own, ownPublicUrl, configured } = this.#options;
    if (instanceId === own) return ownPublicUrl || configured[own] || this.#options.ownEndpoint();
    await this.#refresh();
    return this.#registered.get(instanceId)?.publicUrl || (await this.findEndpoint(instanceId));
  }

  /** @throws CallFSError PROXY_ERROR when nobody knows where the instance is */
  async getPeer(instanceId: string): Promise<Peer> {
    const endpoint = await this.findEndpoint(instanceId);
    if (endpoint === undefined) throw proxyFailure(instanceId, `no address is known for instance ${instanceId}`);
    const known = this.#peers.get(instanceId);
    if (known && known.endpoint.href === new URL(endpoint).href) return known;
    const peer = new Peer({ ...this.#options, instanceId, endpoint: new URL(endpoint) });
    this.#peers.set(instanceId, peer);
    await known?.close();
    return peer;
  }

  /**
   * Peers that may be given new files: they answer, run and are not being drained themselves. By id.
   * @param backendType only those that have it; undefined: any
   */
  async findTakers(backendType: BackendType | undefined): Promise<readonly string[]> {
    await this.#refresh();
    return this.#findAnswering(({ draining, bucketId }) => !draining && (backendType !== 's3' || bucketId !== ''));
  }

  /** Peers that answer and run. */
  async #findAnswering(isMeant: (record: InstanceRecord) => boolean): Promise<readonly string[]> {
    const { instanceId: own } = this.#options;
    const meant = [...this.#registered.values()].filter(
      (record) => record.id !== own && !record.stopped && isMeant(record),
    );
    const sights = await Promise.all(meant.map((record) => this.#look(record)));
    return meant.map(({ id }) => id).filter((_, index) => sights[index]?.up);
  }

  /** Whether an instance keeps files in the bucket that this one has, as it registered last; it need not run. */
  async sharesBucketWith(instanceId: string): Promise<boolean> {
    const { bucketId } = this.#options;
    if (bucketId === '') return false;
    await this.#refresh();
    return this.#bucketIds.get(instanceId) === bucketId;
  }

  /** Peers that answer and have the same bucket as `instanceId`, which is none of them. By id. */
  async findSharers(instanceId: string): Promise<readonly string[]> {
    await this.#refresh();
    const bucketId = this.#bucketIds.get(instanceId) ?? '';
    if (bucketId === '') return [];
    return this.#findAnswering((record) => record.id !== instanceId && record.bucketId === bucketId);
  }

  /** Whether an instance does not answer: as it was seen last, or as a look at it tells now. */
  async isDown(instanceId: string): Promise<boolean> {
    if (instanceId === this.#options.instanceId) return false;
    const peer = await this.getPeer(instanceId).catch(() => undefined);
    if (peer?.sight?.up !== false) await peer?.watch();
    return peer?.sight?.up === false;
  }

  /** Whether the peers looked at so far answer. */
  states(): readonly { readonly instanceId: string; readonly up: boolean }[] {
    return [...this.#peers.values()].flatMap(({ instanceId, sight }) => (sight ? { instanceId, up: sight.up } : []));
  }

  /**
   * All registered instances as the store knows them now; peers that nobody keeps an eye on are looked at first.
   * @throws CallFSError METADATA_UNAVAILABLE
   */
  async survey(): Promise<readonly SeenInstance[]> {
    const records = await this.#options.listInstances();
    this.#remember(records);
    return Promise.all(records.map(async (record) => ({ record, sight: await this.#look(record) })));
  }

  async #look({ id }: InstanceRecord): Promise<Sight | undefined> {
    if (id === this.#options.instanceId || (await this.findEndpoint(id)) === undefined) return undefined;
    const peer = await this.getPeer(id);
    if (peer.sight === undefined || this.#timer === undefined) await peer.watch();
    return peer.sight;
  }

  async #refresh(): Promise<void> {
    if (performance.now() - this.#refreshedAt < REFRESH_AFTER_MS) return;
    this.#remember(await this.#options.listInstances());
  }

  #remember(instances: readonly InstanceRecord[]): void {
    // One that is just starting has not told its address yet.
    const reachable = instances.filter(({ endpoint }) => endpoint !== '');
    this.#registered = new Map(reachable.map((instance) => [instance.id, instance]));
    this.#bucketIds = new Map(instances.map(({ id, bucketId }) => [id, bucketId]));
    this.#refreshedAt = performance.now();
    this.#forgetRemoved(instances);
  }

  /** Nobody asks for peers that were taken out of the cluster. */
  #forgetRemoved(instances: readonly InstanceRecord[]): void {
    for (const [id, peer] of this.#peers) {
      if (id in this.#options.configured || instances.some((instance) => instance.id === id)) continue;
      this.#peers.delete(id);
      void peer.close();
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all([...this.#peers.values()].map((peer) => peer.close()));
  }
}
