/**
 * Makes this process the one that carries an instance id: refuses the start while another process does, and
 * shows by a heartbeat that it lives.
 */
import type { Clock } from '../core/runtime.ts';
import type { HeartbeatOutcome, InstanceRecord } from '../metadata/instance-store.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';
import type { ProcessIdentity } from './process-identity.ts';

export interface MembershipOptions {
  readonly store: MetadataStore;
  readonly instanceId: string;
  readonly bootId: string;
  readonly version: string;
  readonly process: ProcessIdentity;
  /** Base URL for peers; empty as long as it is not known. */
  readonly endpoint: () => string;
  /** Base URL that the operator gave for clients; empty: none. */
  readonly publicUrl: string;
  /** Names the bucket that this instance keeps files in; undefined: none. */
  readonly bucketId?: string;
  readonly clock: Clock;
  /** Another process has taken the id over: this one must stop. */
  readonly onReplaced: () => void;
  /** A heartbeat did not reach the store. */
  readonly onFailure: (error: unknown) => void;
}

const HEARTBEAT_EVERY_MS = 1000;
/** A process whose heartbeat does not move for so long is dead. */
const DEAD_AFTER_MS = 3 * HEARTBEAT_EVERY_MS;
const LOOK_EVERY_MS = 100;

export class Membership implements AsyncDisposable {
  readonly #options: MembershipOptions;
  readonly #timer: NodeJS.Timeout;
  #beating: Promise<void> = Promise.resolve();
  #draining: boolean;

  private constructor(options: MembershipOptions, draining: boolean) {
    this.#options = options;
    this.#draining = draining;
    this.#timer = setInterval(() => this.#startBeat(), HEARTBEAT_EVERY_MS);
    this.#timer.unref();
  }

  /** As the last heartbeat told: this instance shall hold nothing any more. */
  get isDraining(): boolean {
    return this.#draining;
  }

  /** @throws Error with one line for the operator when a live process has the id */
  static async join(options: MembershipOptions): Promise<Membership> {
    const { store, instanceId, bootId, version, process, publicUrl, bucketId = '', clock } = options;
    const previous = await store.findInstance(instanceId);
    if (previous && (await isAlive(options, previous))) throw alreadyRunning(previous);
    // Read again: only the record that was judged may be replaced, and its beat may be one that was under way.
    const replaces = await store.findInstance(instanceId);
    if (replaces && replaces.bootId !== previous?.bootId) throw alreadyRunning(replaces);
    const endpoint = options.endpoint();
    const registered = { id: instanceId, endpoint, publicUrl, bootId, version, process: process.own, bucketId };
    if (!(await store.registerInstance({ ...registered, nowMs: clock.now(), replaces })))
      throw alreadyRunning({ id: instanceId, endpoint });
    return new Membership(options, replaces?.draining ?? false);
  }

  /** Tells the others the address that is known now. */
  async announce(): Promise<void> {
    this.#startBeat();
    await this.#beating;
  }

  #startBeat(): void {
    const { store, instanceId: id, bootId, endpoint, clock, onFailure } = this.#options;
    this.#beating = store
      .heartbeat({ id, bootId, endpoint: endpoint(), nowMs: clock.now() })
      .then((outcome) => this.#learn(outcome))
      .catch(onFailure);
  }

  #learn(outcome: HeartbeatOutcome): void {
    if (outcome === 'replaced') this.#options.onReplaced();
    else this.#draining = outcome === 'draining';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#beating;
    const { store, instanceId, bootId, onFailure } = this.#options;
    await store.markStopped(instanceId, bootId).catch(onFailure);
  }
}

export type LivenessOptions = Pick<MembershipOptions, 'store' | 'instanceId' | 'process'>;

/** Whether the process that left a record still carries the id; may take three seconds to find out. */
export async function isAlive(options: LivenessOptions, seen: InstanceRecord): Promise<boolean> {
  // How long ago it was seen says nothing: one of the two clocks may be wrong by hours.
  if (seen.stopped) return false;
  return options.process.isRunning(seen.process) !== false && (await isBeating(options, seen));
}

/**
 * Watches whether the heartbeat moves, or the process ends, as one that was killed a moment ago does; no clock of
 * another host is trusted.
 */
async function isBeating({ store, instanceId, process }: LivenessOptions, seen: InstanceRecord): Promise<boolean> {
  for (const start = performance.now(); performance.now() - start < DEAD_AFTER_MS; ) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    if (process.isRunning(seen.process) === false) return false;
    const now = await store.findInstance(instanceId);
    if (now && (now.beat !== seen.beat || now.bootId !== seen.bootId)) return !now.stopped;
  }
  // On this host it can be seen to run: it is only held up.
  return process.isRunning(seen.process) === true;
}

function alreadyRunning({ id, endpoint }: Pick<InstanceRecord, 'id' | 'endpoint'>): Error {
  const where = endpoint === '' ? '' : ` (${endpoint})`;
  return new Error(
    `instance_discovery.instance_id: ${id} is carried by another running instance${where}; ` +
      'give this one an id of its own or stop the other.',
  );
}
