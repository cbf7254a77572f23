/** Turns on one link: what they promise. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LinkTurns } from './link-turns.ts';
import { linkGone } from './open-link.ts';

test('one attempt at a link runs at a time, until it is decided; other links do not wait', async () => {
  const turns = new LinkTurns();
  const sending = Promise.withResolvers<void>();
  const order: string[] = [];
  const first = turns.take('link', async (decided) => {
    order.push('first');
    await turns.take('other', async () => order.push('other'));
    decided();
    await sending.promise;
    order.push('first has sent');
  });
  const second = turns.take('link', async () => order.push('second'));
  await second;
  sending.resolve();
  await first;
  assert.deepEqual(order, ['first', 'other', 'second', 'first has sent']);
});

test('those that wait fail as the one before them, unless that was its own matter', async () => {
  const turns = new LinkTurns();
  const gone = Promise.withResolvers<void>();
  let attempts = 0;
  const attempt = (error: Error) =>
    turns.take('link', async () => {
      attempts += 1;
      await gone.promise;
      throw error;
    });
  const failing = [attempt(linkGone()), attempt(linkGone()), attempt(linkGone())];
  gone.resolve();
  for (const outcome of await Promise.allSettled(failing)) assert.equal(outcome.status, 'rejected');
  assert.equal(attempts, 1);
  const left = attempt(new Error('the client left'));
  const next = turns.take('link', async () => 'got it');
  await assert.rejects(left, /the client left/);
  assert.equal(await next, 'got it');
});
