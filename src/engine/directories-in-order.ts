/** Directories as they can be made one after the other. */
import type { DirectoryEntry } from '../core/entry.ts';
import type { LocatedEntry } from '../core/located-entry.ts';

export interface LocatedDirectory extends LocatedEntry {
  readonly entry: DirectoryEntry;
}

/** Each directory after those above it, as far as they are among them; what was noted at different times may form a ring. */
export function inOrder(directories: readonly LocatedDirectory[]): LocatedDirectory[] {
  const byId = new Map(directories.map((located) => [located.entry.id, located]));
  const ordered = new Set<LocatedDirectory>();
  const begun = new Set<LocatedDirectory>();
  for (const start of directories) {
    const waiting = [start];
    for (let located = waiting.at(-1); located; located = waiting.at(-1)) {
      const missing = begun.has(located) ? [] : parentsOf(located, byId).filter((parent) => !begun.has(parent));
      begun.add(located);
      if (missing.length > 0) waiting.push(...missing);
      else {
        ordered.add(located);
        waiting.pop();
      }
    }
  }
  return [...ordered];
}

function parentsOf(
  { entry, above }: LocatedDirectory,
  byId: ReadonlyMap<string, LocatedDirectory>,
): LocatedDirectory[] {
  const ids = [entry.parentId, ...above.map(({ id }) => id).reverse()];
  return ids
    .map((id) => byId.get(id))
    .filter((parent) => parent !== undefined && parent.entry.id !== entry.id) as LocatedDirectory[];
}
