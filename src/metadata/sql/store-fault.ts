/** The fault points of a transaction, passed only by those that change entries: an instance writes much else all the time. */
import { faultPoint } from '../../core/fault-point.ts';
import type { MutationName } from './mutations.ts';

export type StoreMoment = 'before-begin' | 'after-begin' | 'after-statements' | 'after-commit';

const HOUSEKEEPING: ReadonlySet<MutationName> = new Set([
  'registerInstance',
  'heartbeat',
  'markStopped',
  'countFiles',
  'forgetOutbox',
  'forgetLinks',
]);

/** @param names of the mutations in the transaction */
export function storeFault(moment: StoreMoment, names: readonly MutationName[]): void {
  if (names.some((name) => !HOUSEKEEPING.has(name))) faultPoint(`store:${moment}`);
}
