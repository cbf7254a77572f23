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

class Whole {
  readonly part = new Tested();
  readonly nothing = null;
}

test('methods of the objects it is made of are measured, under the name of the property', async () => {
  const seen: string[] = [];
  const whole = timed(new Whole(), (operation) => seen.push(operation));
  assert.equal(await whole.part.add(2), 2);
  await assert.rejects(whole.part.fail(), /as asked/);
  assert.equal(whole.part.now(), 2);
  assert.equal(whole.part, whole.part);
  assert.equal(whole.nothing, null);
  assert.deepEqual(seen, ['part.add', 'part.fail']);
});

test('what a property holds now is measured, not what it held before', async () => {
  const seen: string[] = [];
  const object: { part: Tested } = { part: new Tested() };
  const measured = timed(object, (operation) => seen.push(operation));
  await measured.part.add(1);
  object.part = new Tested();
  assert.equal(await measured.part.add(5), 5);
  assert.deepEqual(seen, ['part.add', 'part.add']);
});
