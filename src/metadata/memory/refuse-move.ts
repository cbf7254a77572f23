/** What stands against a move in memory; the same rules as in SQL. */
import { type Entry, ROOT_ID } from '../../core/entry.ts';
import { MAX_PATH_BYTES, namesOf, pathOfNames, type VirtualPath } from '../../core/virtual-path.ts';
import { MAX_MOVED_PATH_BYTES, type MoveEntry, type MoveOutcome } from '../metadata-store.ts';
import type { EntryTree } from './entry-tree.ts';

/** Why an entry cannot get another path; undefined: it can. */
export function refuseMove(tree: EntryTree, entry: Entry, { to, replacesId }: MoveEntry): MoveOutcome | undefined {
  const [outermost] = to.missingParents;
  const parent = tree.find(to.parentId);
  if (parent?.type !== 'directory') return { kind: 'changed' };
  for (let at: Entry | undefined = parent; at && at.id !== ROOT_ID; at = tree.find(at.parentId)) {
    if (at.id === entry.id) return { kind: 'cycle' };
  }
  const above = namesOf(tree.pathOf(parent));
  const newPath = pathOfNames([...above, ...to.missingParents.map(({ name }) => name), to.name]);
  if (isTooLong(tree, entry, newPath)) return { kind: 'too-long' };
  const standing = tree.findChild(to.parentId, outermost?.name ?? to.name);
  if (outermost) return standing || replacesId !== undefined ? { kind: 'changed' } : undefined;
  if (standing?.id === replacesId) {
    return standing && tree.hasChildren(standing.id) ? { kind: 'not-empty' } : undefined;
  }
  return standing && replacesId === undefined ? { kind: 'exists', entry: standing } : { kind: 'changed' };
}

function isTooLong(tree: EntryTree, entry: Entry, newPath: VirtualPath): boolean {
  const newBytes = Buffer.byteLength(newPath);
  if (entry.type === 'file') return newBytes > MAX_PATH_BYTES;
  const growth = newBytes - Buffer.byteLength(tree.pathOf(entry));
  if (growth <= 0) return false;
  const paths = tree.subtreeOf(entry).map((below) => Buffer.byteLength(tree.pathOf(below)));
  return Math.max(...paths) + growth > MAX_MOVED_PATH_BYTES;
}
