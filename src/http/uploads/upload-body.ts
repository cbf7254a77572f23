/**
 * The bytes of a request for an upload. That they break off is no error for whoever keeps them, because what has come is
 * kept; it is told afterwards.
 */
import type { Turn } from '../../engine/upload-locks.ts';
import { locked } from '../../engine/upload-locks.ts';

export class UploadBody {
  readonly #open: () => AsyncIterable<Uint8Array>;
  readonly #turn: Pick<Turn, 'signal'> & { movedAtMs: number | undefined };
  readonly #now: () => number;
  /** Why the bytes ended before they were complete. */
  failure: unknown;

  constructor(open: () => AsyncIterable<Uint8Array>, turn: Turn, now: () => number) {
    this.#open = open;
    this.#turn = turn;
    this.#now = now;
  }

  /** Ends when the client has sent everything, when it breaks off, and when it must give way. */
  async *bytes(): AsyncGenerator<Uint8Array> {
    const { signal } = this.#turn;
    const { promise: released, reject } = Promise.withResolvers<never>();
    released.catch(() => {});
    const onAbort = (): void => reject(locked());
    signal.addEventListener('abort', onAbort);
    try {
      const source = this.#open()[Symbol.asyncIterator]();
      for (;;) {
        this.#turn.movedAtMs = this.#now();
        const next = source.next();
        next.catch(() => {});
        const { value, done } = await Promise.race([next, released]);
        // From here on it is the disk that is waited for.
        this.#turn.movedAtMs = undefined;
        if (done) return;
        yield value;
      }
    } catch (error) {
      this.failure = error;
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#turn.movedAtMs = undefined;
    }
  }
}
