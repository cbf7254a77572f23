/** When rounds of tiering begin, and how they end with the instance. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keepTiering } from './keep-tiering.ts';
import type { TierReport } from './tier-files.ts';

const NOTHING: TierReport = {
  moved: { files: 0, sizeBytes: 0 },
  left: 0,
  failed: 0,
  failures: new Map(),
  obstacle: undefined,
};
const HOUR_MS = 3_600_000;

/** Resolves with when, in milliseconds since the start by a clock of the test, the first rounds begin. */
async function beginnings(outcomes: readonly (TierReport | Error)[], everyMs: number): Promise<readonly number[]> {
  const begun: number[] = [];
  const { promise: all, resolve } = Promise.withResolvers<void>();
  let nowMs = 0;
  const round = async (): Promise<TierReport> => {
    begun.push(nowMs);
    const outcome = outcomes[begun.length - 1];
    if (begun.length >= outcomes.length) resolve();
    if (outcome instanceof Error) throw outcome;
    return outcome ?? NOTHING;
  };
  const wait = async (ms: number, signal: AbortSignal): Promise<void> => {
    nowMs += Math.round(ms);
    if (begun.length < outcomes.length || signal.aborted) return;
    await new Promise((end) => signal.addEventListener('abort', end));
  };
  await using _kept = keepTiering({ everyMs, random: 0.5, round, onFailure() {}, wait });
  await all;
  return begun;
}

test('the first round begins soon, the others one after another', async () => {
  const begun = await beginnings([NOTHING, NOTHING, NOTHING], HOUR_MS);
  assert.deepEqual(begun, [HOUR_MS / 20, HOUR_MS + HOUR_MS / 20, 2 * HOUR_MS + HOUR_MS / 20]);
});

test('a round that an obstacle ended is repeated, after longer and longer waits up to the usual one', async () => {
  const down = { ...NOTHING, obstacle: 'the bucket is down' };
  const begun = await beginnings([down, new Error('no store'), down, down, down, NOTHING, down], 10 * 60_000);
  const minutes = begun.slice(1).map((ms, index) => (ms - (begun[index] ?? 0)) / 60_000);
  assert.deepEqual(minutes, [1, 2, 4, 8, 10, 10]);
});

test('a stop ends a wait at once, and a round when it has ended', async () => {
  const waiting = keepTiering({ everyMs: HOUR_MS, random: 0.5, round: () => assert.fail('too early'), onFailure() {} });
  await waiting[Symbol.asyncDispose]();
  let ended = false;
  const { promise: begun, resolve } = Promise.withResolvers<void>();
  const round = async (signal: AbortSignal): Promise<TierReport> => {
    resolve();
    await new Promise((end) => signal.addEventListener('abort', end));
    await new Promise(setImmediate);
    ended = true;
    return NOTHING;
  };
  const running = keepTiering({ everyMs: 1, random: 0, round, onFailure: () => assert.fail('it was told to stop') });
  await begun;
  await running[Symbol.asyncDispose]();
  assert.ok(ended);
});
