/** That instances need no more memory, however large a file is. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { TestInstance } from './cluster.ts';
import { forgetPeak, residentBytes } from './process-usage.ts';

const MIB = 1024 * 1024;
/** How much the memory of an instance may grow, unless a test says otherwise. */
const ALLOWED_GROWTH = 64 * MIB;

export interface WatchedMemory {
  assertBounded(t: TestContext, allowedBytes?: number): void;
}

/** Remembers the memory of instances, and asserts later how much more they have needed. */
export function watchMemory(...instances: readonly TestInstance[]): WatchedMemory {
  const watched = instances.map(({ id, pid }) => {
    forgetPeak(pid);
    return { id, pid, baseline: residentBytes(pid) };
  });
  return {
    assertBounded(t, allowedBytes = ALLOWED_GROWTH) {
      for (const { id, pid, baseline } of watched) {
        const growth = residentBytes(pid) - baseline;
        const peakGrowth = residentBytes(pid, 'VmHWM') - baseline;
        const inMib = (bytes: number): string => `${(bytes / MIB).toFixed(1)} MiB`;
        t.diagnostic(`${id}: ${inMib(baseline)}, grew by ${inMib(growth)}, at the peak by ${inMib(peakGrowth)}`);
        assert(growth <= allowedBytes, `${id} grew by ${inMib(growth)}`);
        assert(peakGrowth <= allowedBytes, `${id} grew by ${inMib(peakGrowth)} at its peak`);
      }
    },
  };
}
