/** What the tiering rules of an instance would move now, without moving anything. */
import type { Clock } from '../core/runtime.ts';
import type { LocatedFile, MetadataStore } from '../metadata/metadata-store.ts';
import { filesOf } from './files-of.ts';
import type { Amount } from './move-files.ts';
import { judgeFile, type TierRule, type TierState } from './tier-rules.ts';

export interface PlanContext {
  readonly store: Pick<MetadataStore, 'listFiles'>;
  /** Whose files it is about. */
  readonly instanceId: string;
  readonly clock: Clock;
}

export interface PlannedRule extends Readonly<Record<TierState, Amount>> {
  /** Of those that are due. */
  readonly largest: readonly LocatedFile[];
  /** Of those that are due. */
  readonly oldest: readonly LocatedFile[];
}

const EXAMPLES = 3;

/** @returns one for each rule, in their order; a file counts under one of them at most */
export async function planTiering(context: PlanContext, rules: readonly TierRule[]): Promise<readonly PlannedRule[]> {
  const nowMs = context.clock.now();
  const planned = new Map(rules.map((rule) => [rule, new RuleCount()]));
  for await (const file of filesOf(context.store, context.instanceId)) {
    const judged = judgeFile(rules, file, nowMs);
    if (judged) planned.get(judged.rule)?.add(judged.state, file);
  }
  return rules.map((rule) => planned.get(rule) ?? new RuleCount());
}

/** What a round would move. */
export function totalDue(planned: readonly PlannedRule[]): Amount {
  const total = { files: 0, sizeBytes: 0 };
  for (const { due } of planned) {
    total.files += due.files;
    total.sizeBytes += due.sizeBytes;
  }
  return total;
}

class RuleCount implements PlannedRule {
  readonly due: Amount = { files: 0, sizeBytes: 0 };
  readonly there: Amount = { files: 0, sizeBytes: 0 };
  readonly waiting: Amount = { files: 0, sizeBytes: 0 };
  readonly largest: LocatedFile[] = [];
  readonly oldest: LocatedFile[] = [];

  add(state: TierState, file: LocatedFile): void {
    this[state].files += 1;
    this[state].sizeBytes += file.entry.sizeBytes;
    if (state !== 'due') return;
    keepFirst(this.largest, file, (left, right) => right.entry.sizeBytes - left.entry.sizeBytes);
    keepFirst(this.oldest, file, (left, right) => left.entry.mtimeMs - right.entry.mtimeMs);
  }
}

function keepFirst(
  examples: LocatedFile[],
  file: LocatedFile,
  compare: (left: LocatedFile, right: LocatedFile) => number,
): void {
  const last = examples.at(-1);
  if (examples.length === EXAMPLES && last && compare(file, last) >= 0) return;
  examples.push(file);
  examples.sort(compare);
  examples.length = Math.min(examples.length, EXAMPLES);
}
