/** The client's conditions on an entry that it wants to change. */
import { type Entry, entityTag } from '../core/entry.ts';
import { CallFSError } from '../core/errors.ts';
import { evaluatePreconditions, type Preconditions } from '../core/preconditions.ts';
import type { VirtualPath } from '../core/virtual-path.ts';

/**
 * @param entry undefined: there is nothing at the path
 * @throws CallFSError PRECONDITION_FAILED unless the entry is as the client believes it to be
 */
export function assertUnchanged(path: VirtualPath, entry: Entry | undefined, preconditions: Preconditions): void {
  const current = entry && { etag: entry.type === 'file' ? entityTag(entry) : '', mtimeMs: entry.mtimeMs };
  if (evaluatePreconditions(preconditions, current, false) === 'failed') {
    throw new CallFSError('PRECONDITION_FAILED', `${path} is not in the state that the condition asks for.`);
  }
}
