/** What an adoption did and what it left alone. */
import type { Entry } from '../core/entry.ts';
import type { VirtualPath } from '../core/virtual-path.ts';

export interface AdoptConflict {
  readonly path: VirtualPath;
  /** Whose the path is. */
  readonly instanceId: string;
}

export interface AdoptRefusal {
  /** As it would have been; not always a path that the namespace can have. */
  readonly path: string;
  readonly reason: string;
}

export interface AdoptTreeReport {
  /** Files that are in the namespace now, or on a dry run would be. */
  readonly adopted: number;
  /** Directories made for them. */
  readonly directories: number;
  /** Files that the namespace had already. */
  readonly skipped: number;
  /** Sorted by path. */
  readonly conflicts: readonly AdoptConflict[];
  readonly refused: readonly AdoptRefusal[];
}

export class ReportWriter {
  adopted = 0;
  directories = 0;
  skipped = 0;
  /** A directory that is blocked is met once for everything below it. */
  readonly #conflicts = new Map<VirtualPath, AdoptConflict>();
  readonly #refused: AdoptRefusal[] = [];

  conflict(path: VirtualPath, { instanceId }: Entry): void {
    this.#conflicts.set(path, { path, instanceId });
  }

  refused(path: string, reason: string): void {
    this.#refused.push({ path, reason });
  }

  finish(): AdoptTreeReport {
    const { adopted, directories, skipped } = this;
    const conflicts = [...this.#conflicts.values()].sort(byPath);
    return { adopted, directories, skipped, conflicts, refused: this.#refused.sort(byPath) };
  }
}

function byPath(one: { readonly path: string }, other: { readonly path: string }): number {
  return one.path < other.path ? -1 : Number(one.path > other.path);
}
