/**
 * Who is at a resumable upload now. All requests for an upload run at the instance that has its bytes, so its memory is
 * the place to know; what a process held ends with it.
 */
import { CallFSError } from '../core/errors.ts';

/** A request that moves nothing for so long must give way to another. */
const STILL_MS = 10_000;

export interface Turn {
  /** Moment of the last byte, or `undefined` when it is not the client that the request waits for. */
  movedAtMs: number | undefined;
  /** Aborted when the request shall give way. */
  readonly signal: AbortSignal;
}

interface Held extends Turn {
  readonly abort: () => void;
  readonly over: Promise<void>;
}

export class UploadLocks {
  readonly #now: () => number;
  readonly #held = new Map<string, Held>();

  /** @param now milliseconds that never go back */
  constructor(now: () => number) {
    this.#now = now;
  }

  isHeld(id: string): boolean {
    return this.#held.has(id);
  }

  /**
   * Does the work alone. What stands still is asked to give way and waited for.
   * @throws CallFSError UPLOAD_LOCKED at once when somebody else is at it
   */
  async alone<T>(id: string, work: (turn: Turn) => Promise<T>): Promise<T> {
    for (let held = this.#held.get(id); held; held = this.#held.get(id)) {
      if (!this.#isStill(held)) throw locked();
      held.abort();
      await held.over;
    }
    const controller = new AbortController();
    const { promise: over, resolve } = Promise.withResolvers<void>();
    const abort = (): void => controller.abort();
    const turn: Held = { movedAtMs: this.#now(), signal: controller.signal, abort, over };
    this.#held.set(id, turn);
    try {
      return await work(turn);
    } finally {
      this.#held.delete(id);
      resolve();
    }
  }

  /** Resolves when nobody is at it, or after so many milliseconds. */
  async untilFree(id: string, patienceMs: number): Promise<void> {
    const held = this.#held.get(id);
    if (!held) return;
    if (this.#isStill(held)) held.abort();
    const { promise: patience, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, patienceMs);
    await Promise.race([held.over, patience]);
    clearTimeout(timer);
  }

  #isStill({ movedAtMs, signal }: Held): boolean {
    return signal.aborted || (movedAtMs !== undefined && this.#now() - movedAtMs > STILL_MS);
  }
}

export const locked = (): CallFSError =>
  new CallFSError('UPLOAD_LOCKED', 'Another request is at this upload; ask for its offset and try again.', {
    headers: { 'retry-after': '1' },
  });
