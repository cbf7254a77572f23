/**
 * Single-use links: who made one for which entry, and who may use it up. Part of the metadata store, which alone decides
 * that of all who try at once, at whichever instances, one succeeds. It never sees a token, only its digest.
 */

export interface Link {
  /** Names the link; nobody can tell the token from it. */
  readonly digest: string;
  /** What it leads to, whatever the entry's path is by then. */
  readonly entryId: string;
  /** The user who made it. */
  readonly userName: string;
  /** Milliseconds since the epoch. */
  readonly expiresAtMs: number;
}

export interface StoredLink extends Link {
  /** It has been used up. */
  readonly used: boolean;
}

export interface ClaimLink {
  readonly digest: string;
  /** Names this attempt. */
  readonly claimId: string;
  readonly nowMs: number;
  /** From then on others may take the claim: whoever had it may be dead. */
  readonly untilMs: number;
}

export type LinkClaimed = Pick<ClaimLink, 'digest' | 'claimId'>;

export interface ForgetLinks {
  /** Links that expired before this moment, in milliseconds since the epoch. */
  readonly expiredBeforeMs: number;
  readonly limit: number;
}

export interface LinkStore {
  add(link: Link): Promise<void>;

  find(digest: string): Promise<StoredLink | undefined>;

  /**
   * Reserves a link for one attempt. False: it is unknown, expired, used up or reserved for another attempt.
   * Clocks of instances that differ can only take a claim away too early, which `use` then tells its holder.
   */
  claim(request: ClaimLink): Promise<boolean>;

  /** Uses up what is claimed. False: it is another's claim by now, or was never this one's; true for one claim at most. */
  use(claimed: LinkClaimed): Promise<boolean>;

  /** Gives a claim back unused. Ignored when it is another's by now or the link is used up. */
  release(claimed: LinkClaimed): Promise<void>;

  /** Removes links that expired long ago, whatever became of them; resolves to how many. */
  forget(request: ForgetLinks): Promise<number>;
}
