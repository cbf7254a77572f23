/** The one preference that this server follows, in all the ways it may be written. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { prefersAsync } from './prefer.ts';

test('respond-async is found among other preferences, and only when it is one', () => {
  for (const field of [
    'respond-async',
    'Respond-Async',
    'wait=10, respond-async',
    'respond-async; x=1,wait=5',
    'return=minimal,respond-async ',
  ]) {
    assert.equal(prefersAsync(field), true, field);
  }
  for (const field of [undefined, '', 'wait=10', 'respond-asynchronously', 'return=respond-async', 'x-respond-async']) {
    assert.equal(prefersAsync(field), false, String(field));
  }
  assert.equal(prefersAsync(['wait=1', 'respond-async']), true);
});
