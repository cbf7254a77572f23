/** Keeps an average rate: whoever takes many bytes makes the next one wait. */
import { setTimeout as pause } from 'node:timers/promises';

export class RateLimit {
  readonly #bytesPerSecond: number;
  /** When the bytes taken so far are paid for, on the clock of `performance.now()`. */
  #paidAtMs = 0;

  /** @param bytesPerSecond undefined: no limit */
  constructor(bytesPerSecond: number | undefined) {
    this.#bytesPerSecond = bytesPerSecond ?? Number.POSITIVE_INFINITY;
  }

  /** Resolves when these bytes may begin to flow; rejects when the signal is aborted. */
  async take(sizeBytes: number, signal: AbortSignal): Promise<void> {
    const nowMs = performance.now();
    const startMs = Math.max(nowMs, this.#paidAtMs);
    this.#paidAtMs = startMs + (sizeBytes / this.#bytesPerSecond) * 1000;
    if (startMs > nowMs) await pause(startMs - nowMs, undefined, { signal });
  }
}
