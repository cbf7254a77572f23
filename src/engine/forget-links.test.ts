/** Old links go: what that promises. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryMetadataStore } from '../metadata/memory/memory-metadata-store.ts';
import { forgetLinks } from './forget-links.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

test('all links that expired more than a day ago are removed, however many, and no others', async () => {
  await using store = new MemoryMetadataStore();
  const clock = { now: () => 10 * DAY_MS };
  const add = (digest: string, expiresAtMs: number) =>
    store.links.add({ digest, entryId: 'e', userName: 'u', expiresAtMs });
  for (let count = 0; count < 2500; count++) await add(`old-${count}`, count);
  await add('of-yesterday', 9 * DAY_MS);
  await add('alive', 11 * DAY_MS);
  assert.equal(await forgetLinks({ store, clock }), 2500);
  assert.equal(await store.links.find('old-0'), undefined);
  assert(await store.links.find('of-yesterday'));
  assert(await store.links.find('alive'));
  assert.equal(await forgetLinks({ store, clock }), 0);
});
