/** The files of one instance, out of all. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LocatedFile } from '../metadata/metadata-store.ts';
import { filesOf } from './files-of.ts';

/** Answers at once, like a store that reads on the event loop's thread. */
function storeOf(count: number) {
  const files = Array.from({ length: count }, (_, index) => {
    const entry = { id: String(index).padStart(9, '0'), instanceId: index % 2 === 0 ? 'own' : 'other' };
    return { entry, path: `/${index}` } as LocatedFile;
  });
  return {
    listFiles: async (after: string | undefined, limit: number) =>
      files.filter(({ entry }) => after === undefined || entry.id > after).slice(0, limit),
  };
}

test('all files of the instance come once, and other work is done in between', async () => {
  let isCounting = true;
  let turns = 0;
  const count = (): void => {
    turns += 1;
    if (isCounting) setImmediate(count);
  };
  setImmediate(count);
  const paths: string[] = [];
  for await (const { path } of filesOf(storeOf(3000), 'own')) paths.push(path);
  isCounting = false;
  assert.equal(new Set(paths).size, 1500);
  assert.equal(paths.length, 1500);
  assert.ok(turns >= 20, `${turns} turns of the event loop`);
});
