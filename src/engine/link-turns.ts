/**
 * Attempts of this process to use the same link take turns: of a thousand at once only the first troubles the instance
 * that holds the file, and the others learn from it.
 */
import { CallFSError } from '../core/errors.ts';

export class LinkTurns {
  readonly #running = new Map<string, Promise<void>>();

  /**
   * Runs an attempt when no other one for the link runs. Those that waited fail as it failed: what kept it from the
   * file, or took the link from it, keeps them, too.
   * @param attempt calls `decided` once the link is used up, while it still sends
   */
  async take<T>(digest: string, attempt: (decided: () => void) => Promise<T>): Promise<T> {
    for (let other = this.#running.get(digest); other; other = this.#running.get(digest)) await other;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    promise.catch(() => {});
    this.#running.set(digest, promise);
    const decided = (): void => {
      if (this.#running.get(digest) === promise) this.#running.delete(digest);
      resolve();
    };
    try {
      return await attempt(decided);
    } catch (error) {
      // Anything else is this attempt's own matter, such as a client that left.
      if (error instanceof CallFSError) reject(error);
      throw error;
    } finally {
      decided();
    }
  }
}
