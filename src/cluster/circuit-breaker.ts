/**
 * Remembers that a peer is down, so that requests for it fail at once instead of each finding out, and
 * notices by itself when the peer is back.
 */
import type { CallFSError } from '../core/errors.ts';

/** How often a peer that is down is asked whether it is back. */
const PROBE_EVERY_MS = 100;

export interface CircuitBreakerOptions {
  /** Resolves to what a request would find: undefined, the peer answers. Must settle within a bounded time. */
  readonly probe: () => Promise<CallFSError | undefined>;
  readonly onChange: (up: boolean) => void;
}

export class CircuitBreaker {
  readonly #options: CircuitBreakerOptions;
  #failure: CallFSError | undefined;
  #timer: NodeJS.Timeout | undefined;
  #probing = false;
  #closed = false;

  constructor(options: CircuitBreakerOptions) {
    this.#options = options;
  }

  get isUp(): boolean {
    return this.#failure === undefined;
  }

  /** @throws the failure that opened the breaker, while it is open */
  assertUp(): void {
    if (this.#failure) throw this.#failure;
  }

  /** The peer certainly cannot be reached: `failure` answers every request until it is back. */
  open(failure: CallFSError): void {
    if (this.#closed) return;
    if (!this.#failure) this.#options.onChange(false);
    this.#failure = failure;
    this.#scheduleProbe();
  }

  /** The peer may be down: if it does not answer a probe either, that answers every request until it is back. */
  async suspect(): Promise<void> {
    if (this.#failure || this.#probing) return;
    const failure = await this.#probe();
    if (failure) this.open(failure);
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
    const failure = await this.#probe();
    if (failure) {
      this.#failure = failure;
      this.#scheduleProbe();
      return;
    }
    this.#failure = undefined;
    this.#options.onChange(true);
  }

  async #probe(): Promise<CallFSError | undefined> {
    this.#probing = true;
    try {
      return await this.#options.probe();
    } finally {
      this.#probing = false;
    }
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }
}
