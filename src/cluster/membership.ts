/**
 * Makes this process the one that carries an instance id: refuses the start while another process does, and
 * shows by a heartbeat that it lives.
 */
import type { Clock } from '../core/runtime.ts';
import type { InstanceRecord, MetadataStore } from '../metadata/metadata-store.ts';

export interface MembershipOptions {
  readonly store: MetadataStore;
  readonly instanceId: string;
  readonly bootId: string;
  readonly version: string;
  readonly endpoint: string;
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

  private constructor(options: MembershipOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#beat(), HEARTBEAT_EVERY_MS);
    this.#timer.unref();
  }

  /** @throws Error with one line for the operator when a live process has the id */
  static async join(options: MembershipOptions): Promise<Membership> {
    const { store, instanceId, clock } = options;
    const previous = await store.findInstance(instanceId);
    if (previous && !previous.stopped && (await isBeating(options, previous))) throw alreadyRunning(previous);
    const { bootId, version, endpoint } = options;
    const replaces = previous && ((await store.findInstance(instanceId)) ?? previous);
    if (replaces && replaces.bootId !== previous?.bootId) throw alreadyRunning(replaces);
    const request = { id: instanceId, endpoint, bootId, version, nowMs: clock.now(), replaces };
    if (!(await store.registerInstance(request))) throw alreadyRunning({ id: instanceId, endpoint });
    return new Membership(options);
  }

  #beat(): void {
    const { store, instanceId, bootId, clock, onReplaced, onFailure } = this.#options;
    this.#beating = store
      .heartbeat(instanceId, bootId, clock.now())
      .then((alive) => (alive ? undefined : onReplaced()))
      .catch(onFailure);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#beating;
    const { store, instanceId, bootId, onFailure } = this.#options;
    await store.markStopped(instanceId, bootId).catch(onFailure);
  }
}

/** Watches whether the heartbeat moves; no clock of another host is trusted. */
async function isBeating({ store, instanceId, clock }: MembershipOptions, seen: InstanceRecord): Promise<boolean> {
  // Only a clock far off could make a live process look this old, and then registering fails or fences one of the two.
  if (clock.now() - seen.lastSeenMs > 20 * DEAD_AFTER_MS) return false;
  for (const start = performance.now(); performance.now() - start < DEAD_AFTER_MS; ) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    const now = await store.findInstance(instanceId);
    if (now && (now.beat !== seen.beat || now.bootId !== seen.bootId)) return !now.stopped;
  }
  return false;
}

function alreadyRunning({ id, endpoint }: Pick<InstanceRecord, 'id' | 'endpoint'>): Error {
  return new Error(
    `instance_discovery.instance_id: ${id} is carried by another running instance (${endpoint}); ` +
      'give this one an id of its own or stop the other.',
  );
}
