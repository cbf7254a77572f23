/** Measuring: what it promises. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { timed } from './timed.ts';

class Tested {
  readonly name = 'tested';
  #count = 0;

  async add(by: number): Promise<number> {
    this.#count += by;
    return this.#count;
  }

  async fail(): Promise<never> {
    throw new Error('as asked');
  }

  now(): number {
    return this.#count;
  }
}

test('asynchronous methods are measured, successes and failures alike; the object works as before', async () => {
  const seen: string[] = [];
  const object = timed(new Tested(), (method, seconds) => {
    assert(seconds >= 0);
    seen.push(method);
  });
  assert.equal(await object.add(2), 2);
  assert.equal(await object.add(3), 5);
  await assert.rejects(object.fail(), /as asked/);
  assert.equal(object.now(), 5);
  assert.equal(object.name, 'tested');
  assert.deepEqual(seen, ['add', 'add', 'fail']);
});
