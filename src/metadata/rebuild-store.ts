/**
 * How a namespace that was lost comes back into a new store, from what each instance has kept of it, one instance after
 * another in any order. Part of the metadata store.
 */
import type { BackendType, Content, Entry } from '../core/entry.ts';
import type { LocatedEntry } from '../core/located-entry.ts';
import type { VirtualPath } from '../core/virtual-path.ts';

export interface BeginRebuild {
  readonly instanceId: string;
  readonly nowMs: number;
}

export interface RestoreEntries {
  /** With ids, versions and all; directories before what lies in them. Hundreds at a time. */
  readonly entries: readonly LocatedEntry[];
}

/** What became of an entry that was to be restored. */
export type RestoreOutcome =
  | { readonly kind: 'restored' }
  /** It is there already, in this version or a newer one. */
  | { readonly kind: 'known'; readonly entry: Entry }
  /** A directory that was made in the end of a rebuild and then changed by an operator: it stays as it is. */
  | { readonly kind: 'changed'; readonly entry: Entry }
  /** A directory: another one has its path, and takes what belongs into it. */
  | { readonly kind: 'merged'; readonly standing: Entry }
  /** Something else has its path: nothing was changed. */
  | { readonly kind: 'conflict'; readonly standing: Entry };

/** A file that lies elsewhere in its backend than where the namespace has it. */
export interface Misplacement {
  readonly instanceId: string;
  readonly entryId: string;
  readonly backendType: BackendType;
  /** Where the disk has it, when all that its instance has yet to do is done. */
  readonly path: VirtualPath;
  readonly to: VirtualPath;
  readonly content: Content;
}

export interface RebuiltInstance {
  readonly instanceId: string;
  /** False: it was begun and did not come to its end yet. */
  readonly finished: boolean;
}

export interface EndRebuild {
  /** Makes the directories that nobody has brought back. */
  readonly instanceId: string;
  readonly nowMs: number;
}

export interface RebuildStore {
  /**
   * Prepares the store for the entries of an instance, and makes the instance known.
   * False: it has entries that no rebuild brought back, and nothing was changed.
   */
  beginRebuild(request: BeginRebuild): Promise<boolean>;

  /**
   * Brings entries back. Directories above them that are not there yet, because another instance made them, are replaced
   * by placeholders of version 0, which only admins may enter, until that instance brings the real ones. Nothing that is there is overwritten but
   * placeholders and older versions of the same entry. One outcome for each.
   */
  restoreEntries(request: RestoreEntries): Promise<readonly RestoreOutcome[]>;

  /** Leaves to the instances to move files to where the namespace has them. */
  moveToPlaces(files: readonly Misplacement[]): Promise<void>;

  /** All entries of an instance that could be brought back are there. */
  finishRebuild(instanceId: string): Promise<void>;

  listRebuilds(): Promise<readonly RebuiltInstance[]>;

  /** Directories that stand for one that another instance has not brought back, until the rebuild ends; one page by id. */
  listPlaceholders(after: string | undefined, limit: number): Promise<readonly LocatedEntry[]>;

  /**
   * Makes all placeholders directories that only admins may enter; resolves to how many there were. The real ones still
   * replace them, but for what was changed since.
   */
  endRebuild(request: EndRebuild): Promise<number>;
}

/** Of a directory whose own mode nobody knows yet: it may have been a private one. */
export const PLACEHOLDER_MODE = 0o700;

/** Below it lie placeholders that have no place yet. No client can name it. */
export const UNPLACED_ID = 'unplaced';

export function isPlaceholder({ type, version }: Entry): boolean {
  return type === 'directory' && version === 0;
}
