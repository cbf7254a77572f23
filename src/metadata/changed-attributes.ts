/** An entry after its attributes were changed, for every store. */
import type { Entry } from '../core/entry.ts';
import type { ChangeAttributes } from './metadata-store.ts';

export function withAttributes(previous: Entry, { mode, owner, group }: ChangeAttributes): Entry {
  return {
    ...previous,
    mode: mode ?? previous.mode,
    owner: owner?.name ?? previous.owner,
    uid: owner?.uid ?? previous.uid,
    group: group?.name ?? previous.group,
    gid: group?.gid ?? previous.gid,
    version: previous.version + 1,
  };
}
