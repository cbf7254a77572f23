/** The running instance of a configuration as a round of tiering sees it: asked and told over HTTP. */
import { clock } from '../compose/runtime.ts';
import type { Config } from '../config/config.ts';
import { type BackendType, entityTag } from '../core/entry.ts';
import type { FileMove } from '../engine/move-files.ts';
import type { TierContext } from '../engine/tier-files.ts';
import type { LocatedFile, MetadataStore } from '../metadata/metadata-store.ts';
import { adminKey } from './admin-key.ts';
import { askToMove } from './ask-to-move.ts';
import { InstanceClient } from './instance-client.ts';
import { clusterTrust, ownTrust } from './instance-trust.ts';
import { findLocalUrl } from './local-url.ts';

export interface TieringInstanceOptions {
  readonly config: Config;
  readonly store: MetadataStore;
  /** Aborted: requests that are not answered soon are broken off. */
  readonly signal: AbortSignal;
}

/** Until the instance tells whether it can work. */
const READY_WITHIN_MS = 10_000;
/** For moves on their way to be finished once the round is told to stop. */
const STOP_WITHIN_MS = 1000;

export class TieringInstance implements TierContext, Disposable {
  readonly store: MetadataStore;
  readonly instanceId: string;
  readonly clock = clock;
  readonly #endpoint: string;
  readonly #client: InstanceClient;
  readonly #stop: AbortController;

  private constructor(
    options: TieringInstanceOptions,
    endpoint: string,
    client: InstanceClient,
    stop: AbortController,
  ) {
    this.store = options.store;
    this.instanceId = options.config.instance_discovery.instance_id;
    this.#endpoint = endpoint;
    this.#client = client;
    this.#stop = stop;
    options.signal.addEventListener('abort', () => setTimeout(() => stop.abort(), STOP_WITHIN_MS).unref());
  }

  /** @throws Error with one line for the operator */
  static async open(options: TieringInstanceOptions): Promise<TieringInstance> {
    const { config, store } = options;
    const key = adminKey(config);
    const local = findLocalUrl(config);
    const trust = local === undefined ? await clusterTrust(config) : await ownTrust(config);
    const stop = new AbortController();
    const client = new InstanceClient({ key, trust, signal: stop.signal });
    return new TieringInstance(options, local ?? (await registeredUrl(config, store)), client, stop);
  }

  readonly findObstacle = async (): Promise<string | undefined> => {
    const record = await this.store.findInstance(this.instanceId);
    if (record?.draining) return `The instance ${this.instanceId} is being drained, so nothing is moved.`;
    const request = { method: 'GET', endpoint: this.#endpoint, target: '/ready', timeoutMs: READY_WITHIN_MS };
    try {
      const { status, body } = await this.#client.ask(request);
      if (status === 200) return undefined;
      return `The instance at ${this.#endpoint} cannot work now: ${JSON.stringify(body.checks ?? status)}`;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return `No instance answers at ${this.#endpoint} (${reason}); does it run?`;
    }
  };

  readonly move = ({ entry, path }: LocatedFile, to: BackendType): Promise<FileMove> => {
    const question = { endpoint: this.#endpoint, path, change: { backend: to }, ifMatch: entityTag(entry) };
    return askToMove(this.#client, { ...question, signal: this.#stop.signal });
  };

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]();
  }
}

/** As it told the cluster when it started. */
async function registeredUrl({ instance_discovery }: Config, store: MetadataStore): Promise<string> {
  const { instance_id: id } = instance_discovery;
  const record = await store.findInstance(id);
  if (record && record.endpoint !== '') return record.endpoint;
  throw new Error(`The instance ${id} has not told its address; does it run?`);
}
