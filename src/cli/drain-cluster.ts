/** The cluster as a drain sees it: instances found through the store, asked and told over HTTP. */
import type { Config } from '../config/config.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import type { DrainContext } from '../engine/drain-instance.ts';
import type { DrainTarget } from '../engine/drain-targets.ts';
import type { FileMove } from '../engine/move-files.ts';
import type { InstanceRecord } from '../metadata/instance-store.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';
import { adminKey } from './admin-key.ts';
import { askToMove, refusal } from './ask-to-move.ts';
import { InstanceClient } from './instance-client.ts';
import { clusterTrust } from './instance-trust.ts';

/** Long enough to count the files of a large namespace, which the answer shows, too. */
const SURVEY_WITHIN_MS = 60_000;
/** Until an instance tells that it runs at all. */
const ALIVE_WITHIN_MS = 5000;
/** For moves on their way to be finished once the drain is told to stop. */
const STOP_WITHIN_MS = 1000;

export interface DrainClusterOptions {
  readonly config: Config;
  readonly store: MetadataStore;
  /** The instance to be drained. */
  readonly instanceId: string;
  /** The only ones that may take files; undefined: any other. */
  readonly to: readonly string[] | undefined;
  /** Aborted: requests that are not answered soon are broken off. */
  readonly signal: AbortSignal;
}

export class DrainCluster implements DrainContext, Disposable {
  readonly store: MetadataStore;
  readonly #options: DrainClusterOptions;
  readonly #client: InstanceClient;
  /** Base URLs of those that answered when they were last looked for. */
  readonly #endpoints = new Map<string, string>();

  readonly #stop: AbortController;
  #stopTimer: NodeJS.Timeout | undefined;

  private constructor(options: DrainClusterOptions, client: InstanceClient, stop: AbortController) {
    this.store = options.store;
    this.#options = options;
    this.#client = client;
    this.#stop = stop;
    options.signal.addEventListener('abort', this.#onStop, { once: true });
    if (options.signal.aborted) this.#onStop();
  }

  static async open(options: DrainClusterOptions): Promise<DrainCluster> {
    const key = adminKey(options.config);
    const trust = await clusterTrust(options.config);
    const stop = new AbortController();
    return new DrainCluster(options, new InstanceClient({ key, trust, signal: stop.signal }), stop);
  }

  readonly #onStop = (): void => {
    this.#stopTimer = setTimeout(() => this.#stop.abort(), STOP_WITHIN_MS);
  };

  readonly findTargets = async (): Promise<readonly DrainTarget[]> => {
    const records = await this.store.listInstances();
    this.#assertNamed(records);
    const { instanceId, to } = this.#options;
    const candidates = records.filter(
      ({ id, draining, stopped }) => id !== instanceId && !draining && !stopped && (to?.includes(id) ?? true),
    );
    const reasons: string[] = [];
    const targets = await Promise.all(
      candidates.map((record) =>
        this.#look(record).catch((error: unknown) => {
          reasons.push(`${record.id}: ${error instanceof Error ? error.message : error}`);
          return undefined;
        }),
      ),
    );
    const found = targets.filter((target) => target !== undefined);
    if (found.length > 0 || this.#endpoints.size > 0) return found;
    const why = reasons.length === 0 ? 'none is running that is not drained itself' : reasons.join('; ');
    throw new Error(`No instance can take the files of ${instanceId} (${why}).`);
  };

  #assertNamed(records: readonly InstanceRecord[]): void {
    const { instanceId, to = [] } = this.#options;
    for (const id of [instanceId, ...to]) {
      if (records.some((record) => record.id === id)) continue;
      throw new Error(`There is no instance ${id}; there are ${records.map((record) => record.id).join(', ')}.`);
    }
    if (to.includes(instanceId)) throw new Error(`--to names ${instanceId}, which is to be drained.`);
  }

  async #look({ id, endpoint: registered, bucketId }: InstanceRecord): Promise<DrainTarget> {
    const endpoint = this.#options.config.instance_discovery.peer_endpoints[id] ?? registered;
    if (endpoint === '') throw new Error('it has not told its address');
    const get = { method: 'GET', endpoint };
    await this.#client.ask({ ...get, target: '/health', timeoutMs: ALIVE_WITHIN_MS });
    const { status, body } = await this.#client.ask({ ...get, target: '/v1/cluster', timeoutMs: SURVEY_WITHIN_MS });
    if (status !== 200) throw refusal(status, body);
    if (body.instance_id !== id) throw new Error(`at ${endpoint} answers ${body.instance_id}`);
    this.#endpoints.set(id, endpoint);
    const rows = Array.isArray(body.instances) ? (body.instances as Record<string, unknown>[]) : [];
    const free = rows.find((row) => row.id === id)?.free_bytes;
    return { instanceId: id, freeBytes: typeof free === 'number' ? free : undefined, bucketId };
  }

  readonly move = async (path: VirtualPath, targetId: string): Promise<FileMove> => {
    const endpoint = this.#endpoints.get(targetId) ?? '';
    const change = { destination: path, instance: targetId };
    return await askToMove(this.#client, { endpoint, path, change, signal: this.#stop.signal });
  };

  [Symbol.dispose](): void {
    this.#options.signal.removeEventListener('abort', this.#onStop);
    clearTimeout(this.#stopTimer);
    this.#client[Symbol.dispose]();
  }
}
