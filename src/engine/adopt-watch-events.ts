/** What an adoption that goes on tells, each thing once. */
import type { VirtualPath } from '../core/virtual-path.ts';
import type { AdoptTreeReport } from './adopt-tree-report.ts';

export type WatchEvent =
  /** Everything that was there is adopted; from now on what happens is. */
  | { readonly kind: 'watching'; readonly first: AdoptTreeReport }
  | { readonly kind: 'adopted'; readonly path: VirtualPath }
  /** A file of the namespace was changed on disk and has a new version. */
  | { readonly kind: 'updated'; readonly path: VirtualPath }
  /** The file of an entry is gone from the disk; `movedTo`: the same file lies there now. */
  | { readonly kind: 'missing'; readonly path: VirtualPath; readonly movedTo: VirtualPath | undefined }
  /** A file that was told to be missing is there again. */
  | { readonly kind: 'returned'; readonly path: VirtualPath }
  /** The entry of a missing file is gone, too. */
  | { readonly kind: 'removed'; readonly path: VirtualPath }
  | { readonly kind: 'conflict'; readonly path: VirtualPath; readonly instanceId: string }
  | { readonly kind: 'refused'; readonly path: string; readonly reason: string }
  /** Nothing can be done for now; it is tried again. */
  | { readonly kind: 'trouble'; readonly problem: string }
  | { readonly kind: 'recovered' }
  /** Not everything is watched. */
  | { readonly kind: 'limited'; readonly problem: string };

export interface WatchTotals {
  readonly adopted: number;
  readonly directories: number;
  readonly updated: number;
  readonly removed: number;
  /** Of those that were told, how many are missing still. */
  readonly missing: number;
  readonly conflicts: number;
  readonly refused: number;
}

/** More reasons than anybody reads; they are told again after that. */
const MAX_TOLD = 100_000;

const NOTHING = { adopted: 0, updated: 0, removed: 0, conflict: 0, refused: 0 };

export class WatchEvents {
  readonly #report: (event: WatchEvent) => void;
  readonly #told = new Map<string, string>();
  readonly #counts = { ...NOTHING };
  #directories = 0;
  #trouble: string | undefined;

  constructor(report: (event: WatchEvent) => void) {
    this.#report = report;
  }

  get inTrouble(): boolean {
    return this.#trouble !== undefined;
  }

  totals(missing: number): WatchTotals {
    const { conflict: conflicts, ...counts } = this.#counts;
    return { ...counts, directories: this.#directories, missing, conflicts };
  }

  tell(event: WatchEvent): void {
    if (isCounted(event.kind)) this.#counts[event.kind] += 1;
    this.#report(event);
  }

  first(first: AdoptTreeReport): void {
    this.#directories += first.directories;
    for (const { path, instanceId } of first.conflicts) this.#isNews(path, instanceId);
    for (const { path, reason } of first.refused) this.#isNews(path, reason);
    this.#counts.adopted += first.adopted;
    this.#counts.conflict += first.conflicts.length;
    this.#counts.refused += first.refused.length;
    this.#report({ kind: 'watching', first });
  }

  leftAlone({ directories, conflicts, refused }: AdoptTreeReport): void {
    this.#directories += directories;
    for (const { path, instanceId } of conflicts) {
      if (this.#isNews(path, instanceId)) this.tell({ kind: 'conflict', path, instanceId });
    }
    for (const { path, reason } of refused) this.refused(path, reason);
  }

  refused(path: string, reason: string): void {
    if (this.#isNews(path, reason)) this.tell({ kind: 'refused', path, reason });
  }

  /** What was wrong with a path is so no more. */
  forget(path: string): void {
    this.#told.delete(path);
  }

  trouble(problem: string): void {
    if (this.#trouble !== problem) this.#report({ kind: 'trouble', problem });
    this.#trouble = problem;
  }

  wentWell(): void {
    if (this.#trouble === undefined) return;
    this.#trouble = undefined;
    this.#report({ kind: 'recovered' });
  }

  #isNews(path: string, reason: string): boolean {
    if (this.#told.get(path) === reason) return false;
    if (this.#told.size >= MAX_TOLD) this.#told.clear();
    this.#told.set(path, reason);
    return true;
  }
}

function isCounted(kind: string): kind is keyof typeof NOTHING {
  return kind in NOTHING;
}
