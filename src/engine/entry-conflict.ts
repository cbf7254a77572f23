/** The path to be created is taken; says by what and by whom. */
import type { Entry, EntryType } from '../core/entry.ts';
import { CallFSError } from '../core/errors.ts';
import type { VirtualPath } from '../core/virtual-path.ts';

export class EntryConflict extends CallFSError {
  readonly path: VirtualPath;
  readonly existing: Entry;
  readonly wanted: EntryType;
  /** Whether another instance than the one asked holds what exists. */
  readonly elsewhere: boolean;

  constructor(path: VirtualPath, existing: Entry, wanted: EntryType, elsewhere: boolean) {
    super('FILE_ALREADY_EXISTS', `${path} already exists as a ${existing.type} on instance ${existing.instanceId}.`);
    this.path = path;
    this.existing = existing;
    this.wanted = wanted;
    this.elsewhere = elsewhere;
  }
}
