/** Old resumable uploads go, with their bytes: what that promises. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Backend } from '../backends/backend.ts';
import { OpenedLocal } from '../backends/local/opened-local.testing.ts';
import type { BackendType } from '../core/entry.ts';
import { MemoryMetadataStore } from '../metadata/memory/memory-metadata-store.ts';
import { forgetUploads } from './forget-uploads.ts';
import { KEPT_MS, type UploadContext } from './upload-context.ts';
import { UploadLocks } from './upload-locks.ts';

async function* text(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('bytes');
}

test('what expired, is finished or belongs to nobody goes; what is under way stays', async () => {
  await using store = new MemoryMetadataStore();
  await using opened = await OpenedLocal.open();
  const { partials } = opened.backend;
  let nowMs = Date.now();
  const locks = new UploadLocks(() => performance.now());
  const context: UploadContext = {
    ...{ instanceId: 'here', store, defaultBackend: 'localfs', maxUploadBytes: undefined, locks },
    backends: new Map<BackendType, Backend>([['localfs', opened.backend]]),
    clock: { now: () => nowMs },
    ids: { next: () => 'id', nextRequest: () => 'id' },
    findUser: () => undefined,
    fetchContent: () => text(),
    isDraining: () => false,
    findTaker: async () => undefined,
    onAdopted() {},
  };
  const add = async (id: string, expiresAtMs: number, instanceId = 'here'): Promise<void> => {
    const record = { userName: 'alice', lengthBytes: 5, metadata: '', concat: undefined };
    await store.uploads.add({ id, instanceId, expiresAtMs, ...record });
    await partials.append(id, { offset: 0, bytes: text() });
  };
  await add('expired', nowMs - 1);
  await add('alive', nowMs + 10 * KEPT_MS);
  await add('elsewhere', nowMs - 1, 'there');
  await add('busy', nowMs - 1);
  await add('finished', nowMs + 10 * KEPT_MS);
  store.uploads.finish('finished');
  await partials.append('of-nobody', { offset: 0, bytes: text() });

  await locks.alone('busy', async () => assert.equal(await forgetUploads(context), 2));
  const left = async () => (await partials.list()).map(({ id }) => id).sort();
  assert.deepEqual(await left(), ['alive', 'busy', 'elsewhere', 'of-nobody']);
  assert.equal(await store.uploads.find('expired'), undefined);
  assert(await store.uploads.find('elsewhere'), 'its own instance looks after it');
  nowMs += KEPT_MS + 60_000;
  assert.equal(await forgetUploads(context), 2);
  assert.deepEqual(await left(), ['alive', 'elsewhere']);
});
