/** Which paths a row of the outbox is about, and whether two of them concern each other. */
import { isWithin, type VirtualPath } from '../../core/virtual-path.ts';
import type { Moved, Unsettled } from '../backend.ts';

export function pathsOf(row: Unsettled): readonly VirtualPath[] {
  return row.kind === 'move' ? [row.path, row.to] : [row.path];
}

/** Under which a row is postponed; a content that failed to be placed shares the key with its removal. */
export function keyOf(row: Unsettled): string {
  return row.kind === 'move' ? `move ${row.seq}` : row.contentId;
}

export function overlap(one: VirtualPath, other: VirtualPath): boolean {
  return isWithin(one, other) || isWithin(other, one);
}

export function touches(one: Moved, other: Moved): boolean {
  return pathsOf(one).some((path) => pathsOf(other).some((otherPath) => overlap(path, otherPath)));
}
