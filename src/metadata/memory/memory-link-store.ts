/** Single-use links in the memory of one process. */
import type { ClaimLink, ForgetLinks, Link, LinkClaimed, LinkStore, StoredLink } from '../link-store.ts';

interface KeptLink extends StoredLink {
  readonly claim: Pick<ClaimLink, 'claimId' | 'untilMs'> | undefined;
}

export class MemoryLinkStore implements LinkStore {
  readonly #links = new Map<string, KeptLink>();

  async add(link: Link): Promise<void> {
    if (this.#links.has(link.digest)) throw new Error('The digest of the new link is taken.');
    this.#links.set(link.digest, { ...link, used: false, claim: undefined });
  }

  async find(digest: string): Promise<StoredLink | undefined> {
    const kept = this.#links.get(digest);
    if (!kept) return undefined;
    const { claim: _claim, ...link } = kept;
    return link;
  }

  async claim({ digest, claimId, nowMs, untilMs }: ClaimLink): Promise<boolean> {
    const link = this.#links.get(digest);
    if (!link || link.used || link.expiresAtMs <= nowMs) return false;
    if (link.claim && link.claim.claimId !== claimId && link.claim.untilMs > nowMs) return false;
    this.#links.set(digest, { ...link, claim: { claimId, untilMs } });
    return true;
  }

  async use(claimed: LinkClaimed): Promise<boolean> {
    const link = this.#findClaimed(claimed);
    if (link) this.#links.set(claimed.digest, { ...link, used: true });
    return link !== undefined;
  }

  async release(claimed: LinkClaimed): Promise<void> {
    const link = this.#findClaimed(claimed);
    if (link && !link.used) this.#links.set(claimed.digest, { ...link, claim: undefined });
  }

  async forget({ expiredBeforeMs, limit }: ForgetLinks): Promise<number> {
    const overdue = [...this.#links.values()]
      .filter(({ expiresAtMs }) => expiresAtMs < expiredBeforeMs)
      .sort((left, right) => left.expiresAtMs - right.expiresAtMs)
      .slice(0, limit);
    for (const { digest } of overdue) this.#links.delete(digest);
    return overdue.length;
  }

  #findClaimed({ digest, claimId }: LinkClaimed): KeptLink | undefined {
    const link = this.#links.get(digest);
    return link?.claim?.claimId === claimId ? link : undefined;
  }
}
