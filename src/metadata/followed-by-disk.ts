/** Which commits an instance's disk follows by itself, and which leave a note for its catalog; for every store. */
import type { Entry } from '../core/entry.ts';

/** The disk's own settler writes into the catalog what it places, moves and removes; of all else only notes tell. */
export function isFollowedByDisk({ type, backendType }: Pick<Entry, 'type' | 'backendType'>): boolean {
  return type === 'file' && backendType === 'localfs';
}
