/** Which files of an instance belong to another of its backends, by rules about their paths, ages and sizes. */
import type { BackendType, FileEntry } from '../core/entry.ts';
import type { PathPattern } from '../core/path-pattern.ts';
import { COPIES_PATH } from '../core/virtual-path.ts';
import type { LocatedFile } from '../metadata/metadata-store.ts';

export interface TierRule {
  readonly matches: PathPattern;
  /** Since the file's content last changed. */
  readonly olderThanMs: number;
  /** Undefined: of any size. */
  readonly largerThanBytes: number | undefined;
  /** Where what the rule is about belongs. */
  readonly to: BackendType;
}

/** `due`: it is to be moved; `there`: it is where it belongs; `waiting`: it is too young or too small. */
export type TierState = 'due' | 'there' | 'waiting';

export interface JudgedFile {
  /** The rule that the file is under: the first one that its path matches, whatever that one says about age and size. */
  readonly rule: TierRule;
  readonly state: TierState;
}

/** @returns undefined: no rule is about this file */
export function judgeFile(rules: readonly TierRule[], file: LocatedFile, nowMs: number): JudgedFile | undefined {
  if (file.path.startsWith(`${COPIES_PATH}/`)) return undefined;
  const rule = rules.find(({ matches }) => matches(file.path));
  return rule && { rule, state: stateOf(rule, file.entry, nowMs) };
}

function stateOf({ to, olderThanMs, largerThanBytes }: TierRule, entry: FileEntry, nowMs: number): TierState {
  if (entry.backendType === to) return 'there';
  if (nowMs - entry.mtimeMs < olderThanMs) return 'waiting';
  return largerThanBytes !== undefined && entry.sizeBytes <= largerThanBytes ? 'waiting' : 'due';
}
