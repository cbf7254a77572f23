/** Who gets the files of a drained instance. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DrainTargets } from './drain-targets.ts';

function shares(targets: DrainTargets, sizes: readonly number[]): Record<string, number> {
  const got: Record<string, number> = {};
  for (const size of sizes) {
    const id = targets.choose(size);
    assert.ok(id);
    got[id] = (got[id] ?? 0) + size;
  }
  return got;
}

test('targets get bytes in proportion to their room, and empty files in turns', () => {
  const targets = new DrainTargets();
  targets.update([
    { instanceId: 'large', freeBytes: 3_000_000_000 },
    { instanceId: 'small', freeBytes: 1_000_000_000 },
  ]);
  const got = shares(targets, Array(100).fill(1_000_000));
  assert.deepEqual(got, { large: 75_000_000, small: 25_000_000 });
  const even = new DrainTargets();
  even.update(['a', 'b', 'c'].map((instanceId) => ({ instanceId, freeBytes: undefined })));
  const turns = Array.from({ length: 6 }, () => even.choose(0));
  assert.deepEqual(turns.sort(), ['a', 'a', 'b', 'b', 'c', 'c']);
});

test('what has no room, or failed just now, gets nothing', () => {
  const targets = new DrainTargets();
  const known = [
    { instanceId: 'full', freeBytes: 1000 },
    { instanceId: 'roomy', freeBytes: 1_000_000 },
  ];
  targets.update(known);
  assert.equal(targets.choose(5000), 'roomy');
  assert.equal(targets.choose(5_000_000), undefined);
  targets.suspend('roomy', 60_000);
  assert.equal(targets.choose(5000), undefined);
  targets.update(known);
  assert.equal(targets.choose(5000), undefined, 'also after it was looked at again');
});

test('one that goes away gets nothing, one that comes gets its part', () => {
  const targets = new DrainTargets();
  targets.update([{ instanceId: 'a', freeBytes: undefined }]);
  shares(targets, [1_000_000]);
  targets.update([{ instanceId: 'b', freeBytes: undefined }]);
  assert.equal(targets.choose(1), 'b');
});

test('a file in a bucket goes to who has the bucket, whatever its size, and to others only when there is nobody', () => {
  const targets = new DrainTargets();
  targets.update([
    { instanceId: 'roomy', freeBytes: 1_000_000_000, bucketId: 'other' },
    { instanceId: 'sharer', freeBytes: 10_000, bucketId: 'shared' },
  ]);
  assert.equal(targets.choose(1_000_000, 'shared'), 'sharer');
  assert.equal(targets.choose(1_000_000), 'roomy');
  targets.suspend('sharer', 60_000);
  assert.equal(targets.choose(1_000_000, 'shared'), 'roomy');
});
