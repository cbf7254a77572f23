/** What a rebuild tells the operator about one instance. */

export type RebuildFindingKind =
  | 'missing-bytes'
  | 'changed-file'
  | 'conflict'
  | 'merged-directory'
  | 'changed-directory'
  | 'older-copy'
  | 'unknown-file'
  | 'unknown-upload'
  | 'unreadable';

export interface RebuildFinding {
  readonly kind: RebuildFindingKind;
  /** A path of the namespace, or a location below the root. */
  readonly path: string;
  readonly problem: string;
  /** What was done about it, or would have been, or what only the operator can do. */
  readonly outcome: string;
}

export interface RebuildReport {
  readonly instanceId: string;
  readonly root: string;
  readonly restored: { readonly files: number; readonly directories: number };
  /** There already: brought back by an earlier run, or at another instance since. */
  readonly known: number;
  /** Of the restored files: with the right bytes in another file than the one they were stored in. */
  readonly recognised: number;
  /** Files that the instance will move to where the namespace has them when it starts. */
  readonly moves: number;
  readonly damagedLines: number;
  readonly findings: readonly RebuildFinding[];
}
