/** Where a disk may still have what has another path by now: disks follow the moves of the namespace a moment later. */
import { isWithin, type VirtualPath } from '../core/virtual-path.ts';
import type { OutboxItem } from '../metadata/metadata-store.ts';

/**
 * @param rows what the disk has yet to do, oldest first
 * @returns oldest first: who looks in this order meets what is being moved, because moves are done in it, too
 */
export function earlierPaths(path: VirtualPath, rows: readonly OutboxItem[]): readonly VirtualPath[] {
  const earlier: VirtualPath[] = [];
  let at = path;
  for (const row of rows.toReversed()) {
    if (row.kind !== 'move' || !isWithin(at, row.to)) continue;
    at = `${row.path}${at.slice(row.to.length)}` as VirtualPath;
    earlier.push(at);
  }
  return earlier.reverse();
}

/** Whether something that the disk has yet to do has to do with a path. */
export function concerns(row: OutboxItem, path: VirtualPath): boolean {
  const others = row.kind === 'move' ? [row.path, row.to] : [row.path];
  return others.some((other) => isWithin(path, other) || isWithin(other, path));
}
