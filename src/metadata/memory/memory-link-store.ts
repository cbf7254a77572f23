/** The part of the store in memory that keeps single-use links. */
import { metadataUnavailable } from '../../core/errors.ts';
import type { ClaimLink, ForgetLinks, Link, LinkClaimed, LinkStore, StoredLink } from '../link-store.ts';

interface KeptLink extends StoredLink {
  readonly claim: Pick<ClaimLink, 'claimId' | 'untilMs'> | undefined;
}

export class MemoryLinkStore implements LinkStore {
  protected closed = false;
  readonly #links = new Map<string, KeptLink>();

  async addLink(link: Link): Promise<void> {
    this.assertOpen();
    if (this.#links.has(link.digest)) throw new Error('The digest of the new link is taken.');
    this.#links.set(link.digest, { ...link, used: false, claim: undefined });
  }

  async findLink(digest: string): Promise<StoredLink | undefined> {
    this.assertOpen();
    const kept = this.#links.get(digest);
    if (!kept) return undefined;
    const { claim: _claim, ...link } = kept;
    return link;
  }

  async claimLink({ digest, claimId, nowMs, untilMs }: ClaimLink): Promise<boolean> {
    this.assertOpen();
    const link = this.#links.get(digest);
    if (!link || link.used || link.expiresAtMs <= nowMs) return false;
    if (link.claim && link.claim.claimId !== claimId && link.claim.untilMs > nowMs) return false;
    this.#links.set(digest, { ...link, claim: { claimId, untilMs } });
    return true;
  }

  async useLink(claimed: LinkClaimed): Promise<boolean> {
    const link = this.#findClaimed(claimed);
    if (link) this.#links.set(claimed.digest, { ...link, used: true });
    return link !== undefined;
  }

  async releaseLink(claimed: LinkClaimed): Promise<void> {
    const link = this.#findClaimed(claimed);
    if (link && !link.used) this.#links.set(claimed.digest, { ...link, claim: undefined });
  }

  async forgetLinks({ expiredBeforeMs, limit }: ForgetLinks): Promise<number> {
    this.assertOpen();
    const overdue = [...this.#links.values()]
      .filter(({ expiresAtMs }) => expiresAtMs < expiredBeforeMs)
      .sort((left, right) => left.expiresAtMs - right.expiresAtMs)
      .slice(0, limit);
    for (const { digest } of overdue) this.#links.delete(digest);
    return overdue.length;
  }

  #findClaimed({ digest, claimId }: LinkClaimed): KeptLink | undefined {
    this.assertOpen();
    const link = this.#links.get(digest);
    return link?.claim?.claimId === claimId ? link : undefined;
  }

  protected assertOpen(): void {
    if (this.closed) throw metadataUnavailable(new Error('The store in memory is closed.'));
  }
}
