/**
 * One attempt to use a single-use link up: a claim, which lapses if its holder dies, and the moment from which the link
 * is gone. Of all attempts at all instances one gets through, as the store decides.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { backendUnavailable } from '../core/errors.ts';
import type { LinkStore } from '../metadata/link-store.ts';
import type { LinkContext } from './link-context.ts';
import { linkGone } from './open-link.ts';

/** Longer than it takes from the claim to the first byte, which is ready by then. */
const CLAIM_MS = 5000;
const LOOK_EVERY_MS = 25;

export class LinkClaim implements AsyncDisposable {
  readonly #links: LinkStore;
  readonly #claimed: { readonly digest: string; readonly claimId: string };
  #wasUsed = false;

  private constructor(links: LinkStore, digest: string, claimId: string) {
    this.#links = links;
    this.#claimed = { digest, claimId };
  }

  /**
   * Waits while somebody else has a claim, because that one may fail.
   * @param isWanted asked now and then; false: nobody waits for it any more
   * @throws CallFSError LINK_GONE; BACKEND_UNAVAILABLE when it stays claimed
   */
  static async take({ store, clock, ids }: LinkContext, digest: string, isWanted: () => boolean): Promise<LinkClaim> {
    const claimId = ids.next();
    const giveUpAt = clock.now() + 2 * CLAIM_MS;
    for (;;) {
      const nowMs = clock.now();
      if (await store.links.claim({ digest, claimId, nowMs, untilMs: nowMs + CLAIM_MS })) {
        return new LinkClaim(store.links, digest, claimId);
      }
      const link = await store.links.find(digest);
      if (!link || link.used || link.expiresAtMs <= nowMs || !isWanted()) throw linkGone();
      if (nowMs > giveUpAt) throw backendUnavailable('Somebody else is about to use this link; try again.');
      await pause(LOOK_EVERY_MS);
    }
  }

  /** From now on the link is used up. @throws CallFSError LINK_GONE when the claim has lapsed and another got the link */
  async use(): Promise<void> {
    if (!(await this.#links.use(this.#claimed))) throw linkGone();
    this.#wasUsed = true;
  }

  /** Gives the link back unless it was used. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#wasUsed) await this.#links.release(this.#claimed);
  }
}
