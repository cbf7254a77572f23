/**
 * Remembers that a peer is down, so that requests for it fail at once instead of each finding out, and
 * notices by itself when the peer is back.
 */
import type { CallFSError } from '../core/errors.ts';
import type { Clock } from '../core/runtime.ts';

/** How often a peer that is down is asked whether it is back. */
const PROBE_EVERY_MS = 100;

export interface CircuitBreakerOptions {
  /** Resolves to what a request would find: undefined, the peer answers. Must settle within a bounded time. */
  readonly probe: () => Promise<CallFSError | undefined>;
  readonly onChange: (up: boolean) => void;
  readonly clock: Clock;
}

/** What is known of a peer by looking at it. */
export interface Sight {
  readonly up: boolean;
  /** Since when it is seen so, in milliseconds since the epoch; undefined: it was never seen up. */
  readonly sinceMs: number | undefined;
}

export class CircuitBreaker {
  readonly #options: CircuitBreakerOptions;
  #failure: CallFSError | undefined;
  /** When it was first seen to answer, or to answer no longer; undefined: it was never seen to answer. */
  #sinceMs: number | undefined;
  #answers = 0;
  #timer: NodeJS.Timeout | undefined;
  #suspicion: Promise<void> | undefined;
  #closed = false;

  constructor(options: CircuitBreakerOptions) {
    this.#options = options;
  }

  get isUp(): boolean {
    return this.#failure === undefined;
  }

  /** Undefined: nobody has looked yet. */
  get sight(): Sight | undefined {
    if (this.isUp && this.#sinceMs === undefined) return undefined;
    return { up: this.isUp, sinceMs: this.#sinceMs };
  }

  /** What the peer was last seen to fail with, while the breaker is open. */
  get failure(): CallFSError | undefined {
    return this.#failure;
  }

  /** The peer certainly cannot be reached: `failure` answers every request until it is back. */
  open(failure: CallFSError): void {
    if (this.#closed) return;
    const wasUp = this.isUp;
    this.#failure = failure;
    this.#scheduleProbe();
    if (!wasUp) return;
    if (this.#sinceMs !== undefined) this.#sinceMs = this.#options.clock.now();
    this.#options.onChange(false);
  }

  /** The peer has just answered a request. */
  answered(): void {
    this.#answers += 1;
    // One that came through while nobody else gets an answer does not close the breaker; a probe does.
    if (this.isUp) this.#sinceMs ??= this.#options.clock.now();
  }

  /** The peer may be down: if it does not answer a probe either, that answers every request until it is back. */
  suspect(): Promise<void> {
    return this.#lookOnce(1);
  }

  /** Nothing speaks against the peer: silence alone tells only when it lasts. */
  check(): Promise<void> {
    return this.#lookOnce(2);
  }

  #lookOnce(probes: number): Promise<void> {
    if (this.#failure) return Promise.resolve();
    this.#suspicion ??= this.#look(probes).finally(() => {
      this.#suspicion = undefined;
    });
    return this.#suspicion;
  }

  /** @param probes that must find silence before the peer counts as down */
  async #look(probes: number): Promise<void> {
    for (let left = probes; ; left--) {
      const answers = this.#answers;
      const failure = await this.#options.probe();
      if (!failure) return this.answered();
      const isSilent = failure.code === 'PEER_TIMEOUT';
      // Slow, as a busy instance is, but it answers others meanwhile.
      if (isSilent && this.#answers !== answers) return;
      if (!isSilent || left <= 1) return this.open(failure);
    }
  }

  #scheduleProbe(): void {
    if (this.#timer || this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#probeUntilUp();
    }, PROBE_EVERY_MS);
    this.#timer.unref();
  }

  async #probeUntilUp(): Promise<void> {
    const failure = await this.#options.probe();
    if (failure) {
      this.#failure = failure;
      this.#scheduleProbe();
      return;
    }
    this.#failure = undefined;
    this.#sinceMs = this.#options.clock.now();
    this.#options.onChange(true);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }
}
