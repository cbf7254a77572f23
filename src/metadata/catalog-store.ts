/**
 * What instances need of the namespace to keep beside their data what it says about that data, so that it can be made
 * anew when it is lost. Part of the metadata store.
 */
import type { LocatedEntry } from '../core/located-entry.ts';

/** An entry that changed, or that is gone, without leaving its instance anything else to do about it. */
export interface Note {
  /** Grows with every note. */
  readonly seq: number;
  /** The holder of the file or the maker of the directory, before or after the change. */
  readonly instanceId: string;
  readonly entryId: string;
}

export interface HoldingsPage {
  readonly entries: readonly LocatedEntry[];
  /** Go on behind this id; undefined: that was all. */
  readonly next: string | undefined;
}

export interface CatalogStore {
  /** The entries that point to these contents, whichever instance has them. Contents that nothing points to are left out. */
  describeContents(contentIds: readonly string[]): Promise<readonly LocatedEntry[]>;

  /** These entries as they are now. Those that are gone are left out. */
  describeEntries(entryIds: readonly string[]): Promise<readonly LocatedEntry[]>;

  /** The entries whose contents lie under these keys of their backends: of several in different buckets, one key may be that of more. */
  describeKeys(storageKeys: readonly string[]): Promise<readonly LocatedEntry[]>;

  /**
   * The files that an instance holds and the directories that it made, among the next `limit` entries by their ids,
   * whosever those are: how long it takes depends on nothing else.
   */
  listHoldings(instanceId: string, after: string | undefined, limit: number): Promise<HoldingsPage>;

  /** The oldest notes for an instance; undefined: for all, whether they are known or not. */
  listNotes(instanceId: string | undefined, limit: number): Promise<readonly Note[]>;

  /** Unknown numbers are not an error. */
  forgetNotes(seqs: readonly number[]): Promise<void>;

  /** A name that only this store has. @param candidate becomes it when the store has none yet */
  identify(candidate: string): Promise<string>;
}
