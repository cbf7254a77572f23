/** Replay window: what it promises. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ReplayWindow } from './replay-window.ts';

test('a counter is accepted once, in whatever order they come', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 50_000 }), { maxLength: 200 }), (counters) => {
      const window = new ReplayWindow(1000);
      const seen = new Set<number>();
      for (const counter of counters) {
        assert.equal(window.accept('boot', counter, 0), !seen.has(counter));
        seen.add(counter);
      }
    }),
  );
});

test('a counter far below the highest is refused: it can no longer be told from a repetition', () => {
  const window = new ReplayWindow(1000);
  assert(window.accept('boot', 1_000_000, 0));
  assert(!window.accept('boot', 1_000_000 - 65_536, 0));
  assert(window.accept('boot', 1_000_000 - 65_535, 0));
});

test('old counters do not come back when the window has moved all the way round', () => {
  const window = new ReplayWindow(1000);
  for (let counter = 1; counter <= 200_000; counter++) assert(window.accept('boot', counter, 0));
  for (let counter = 134_465; counter <= 200_000; counter++) assert(!window.accept('boot', counter, 0));
});

test('every boot counts for itself', () => {
  const window = new ReplayWindow(1000);
  assert(window.accept('one', 1, 0));
  assert(window.accept('two', 1, 0));
  assert(!window.accept('one', 1, 0));
});
