/** Cluster status: how what is on record and what is seen become one picture. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InstanceRecord } from '../metadata/instance-store.ts';
import type { Sight } from './circuit-breaker.ts';
import { clusterStatus } from './cluster-status.ts';

const STARTED_MS = 1000;
const LAST_SEEN_MS = 2000;

function record(id: string, over: Partial<InstanceRecord> = {}): InstanceRecord {
  const url = `http://${id}`;
  const constant = { bootId: 'boot', beat: 7, version: '1.2.3', process: '', draining: false, bucketId: '' };
  return { id, endpoint: url, publicUrl: '', lastSeenMs: LAST_SEEN_MS, stopped: false, ...constant, ...over };
}

async function stateOf(over: Partial<InstanceRecord>, sight: Sight | undefined) {
  const status = await statusOf([{ record: record('other', over), sight }]);
  const { state, sinceMs } = status.instances[0] ?? {};
  return { state, sinceMs };
}

function statusOf(
  seen: readonly { readonly record: InstanceRecord; readonly sight: Sight | undefined }[],
  counts: readonly { readonly instanceId: string; readonly files: number; readonly sizeBytes: number }[] = [],
) {
  return clusterStatus({
    instanceId: 'own',
    version: '1.2.3',
    storeType: 'sqlite',
    startedAtMs: STARTED_MS,
    backends: ['localfs'],
    peers: { survey: async () => seen },
    countFiles: async () => counts,
    isDraining: () => false,
    freeBytes: async () => 1_000_000,
  });
}

test('the instance that answers is up since its start, whatever its record says', async () => {
  const { instances } = await statusOf([{ record: record('own', { stopped: true }), sight: undefined }]);
  assert.deepEqual([instances[0]?.state, instances[0]?.sinceMs], ['up', STARTED_MS]);
});

test('an instance can keep files on its disk, and in a bucket if it has registered one', async () => {
  const seen = ['own', 'with', 'without'].map((id) => ({
    record: record(id, { bucketId: id === 'without' ? '' : 'bucket' }),
    sight: undefined,
  }));
  const { instances } = await statusOf(seen);
  const backends = Object.fromEntries(instances.map(({ id, ...instance }) => [id, instance.backends]));
  // Of itself an instance knows it.
  assert.deepEqual(backends, { own: ['localfs'], with: ['localfs', 's3'], without: ['localfs'] });
});

test('a peer is what is seen of it, since when that is seen', async () => {
  assert.deepEqual(await stateOf({}, { up: true, sinceMs: 3000 }), { state: 'up', sinceMs: 3000 });
  assert.deepEqual(await stateOf({}, { up: false, sinceMs: 4000 }), { state: 'down', sinceMs: 4000 });
});

test('a peer that was never reached is down since its last heartbeat', async () => {
  const down = { state: 'down', sinceMs: LAST_SEEN_MS };
  assert.deepEqual(await stateOf({}, { up: false, sinceMs: undefined }), down);
  assert.deepEqual(await stateOf({ endpoint: '' }, undefined), down);
});

test('a peer that ended cleanly is stopped, also when something answers at its address', async () => {
  assert.deepEqual(await stateOf({ stopped: true }, { up: false, sinceMs: 4000 }), { state: 'stopped', sinceMs: 4000 });
  const stopped = { state: 'stopped', sinceMs: LAST_SEEN_MS };
  assert.deepEqual(await stateOf({ stopped: true }, { up: true, sinceMs: 3000 }), stopped);
});

test('instances that only entries name are unknown; all are sorted by id and have their files', async () => {
  const { instances } = await statusOf(
    [
      { record: record('own'), sight: undefined },
      { record: record('peer'), sight: { up: true, sinceMs: 3000 } },
    ],
    [
      { instanceId: 'own', files: 1, sizeBytes: 10 },
      { instanceId: 'p', files: 2, sizeBytes: 20 },
    ],
  );
  assert.deepEqual(
    instances.map(({ id, state, files, sizeBytes }) => [id, state, files, sizeBytes]),
    [
      ['own', 'up', 1, 10],
      ['p', 'unknown', 2, 20],
      ['peer', 'up', 0, 0],
    ],
  );
});
