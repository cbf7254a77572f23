/** A rate is kept on average, whatever the sizes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RateLimit } from './rate-limit.ts';

const { signal: never } = new AbortController();

test('whoever takes many bytes makes the next one wait until they are paid for', async () => {
  const rate = new RateLimit(100_000);
  const startMs = performance.now();
  await rate.take(10_000, never);
  assert.ok(performance.now() - startMs < 90, 'the first does not wait');
  await Promise.all([rate.take(5000, never), rate.take(5000, never), rate.take(1, never)]);
  assert.ok(performance.now() - startMs >= 199, 'the last waits for 20,000 bytes');
});

test('without a rate nobody waits, and whoever waits can be told to stop', async () => {
  const none = new RateLimit(undefined);
  for (let turn = 0; turn < 100; turn++) await none.take(Number.MAX_SAFE_INTEGER, never);
  const slow = new RateLimit(1);
  await slow.take(1_000_000, never);
  const stop = new AbortController();
  const waiting = slow.take(1, stop.signal);
  stop.abort();
  await assert.rejects(waiting, { name: 'AbortError' });
});
