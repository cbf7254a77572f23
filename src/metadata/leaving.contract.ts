/** How an instance leaves the cluster, as tests that run over each metadata store. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ROOT_ID } from '../core/entry.ts';
import type { RegisterInstance } from './instance-store.ts';
import { sampleDirectory, sampleFile } from './metadata-store.contract.ts';
import type { MetadataStore } from './metadata-store.ts';

type Open = () => Promise<MetadataStore>;

function registration(id: string, given: Partial<RegisterInstance> = {}): RegisterInstance {
  const urls = { endpoint: `http://${id}`, publicUrl: '' };
  return {
    id,
    ...urls,
    bootId: `boot-of-${id}`,
    version: '1.0.0',
    process: '',
    nowMs: 1,
    replaces: undefined,
    ...given,
  };
}

async function openWith(open: Open, ...ids: readonly string[]): Promise<MetadataStore> {
  const store = await open();
  for (const id of ids) assert.equal(await store.registerInstance(registration(id)), true);
  return store;
}

async function addFile(store: MetadataStore, name: string, instanceId: string, parentId = ROOT_ID): Promise<string> {
  const entry = sampleFile(name, { instanceId });
  const outcome = await store.createEntry({ parentId, missingParents: [], entry });
  assert.equal(outcome.kind, 'created');
  return entry.id;
}

async function addDirectory(store: MetadataStore, name: string, instanceId: string): Promise<string> {
  const entry = sampleDirectory(name, { instanceId });
  assert.equal((await store.createEntry({ parentId: ROOT_ID, missingParents: [], entry })).kind, 'created');
  return entry.id;
}

async function seen(store: MetadataStore, id: string) {
  const record = await store.findInstance(id);
  assert.ok(record);
  return record;
}

/** @param open gives a new, empty store every time */
export function leavingContract(name: string, open: Open): void {
  describe(`${name} when an instance leaves the cluster`, () => {
    describe('draining', () => draining(open));
    describe('handing directories over', () => handingOver(open));
    describe('removing an instance', () => removing(open));
  });
}

function draining(open: Open): void {
  it('tells an instance with its heartbeat that it is being drained, also after a restart, until that is taken back', async () => {
    await using store = await openWith(open, 'a', 'b');
    const beat = (bootId: string) => store.heartbeat({ id: 'a', bootId, endpoint: 'http://a', nowMs: 2 });
    assert.equal(await beat('boot-of-a'), 'alive');
    assert.equal(await store.setDraining({ instanceId: 'a', draining: true }), true);
    assert.equal(await beat('boot-of-a'), 'draining');
    assert.deepEqual(
      (await store.listInstances()).map(({ id, draining }) => [id, draining]),
      [
        ['a', true],
        ['b', false],
      ],
    );
    const replaces = await seen(store, 'a');
    assert.equal(await store.registerInstance(registration('a', { bootId: 'boot-2', replaces })), true);
    assert.equal((await seen(store, 'a')).draining, true);
    assert.equal(await beat('boot-2'), 'draining');
    assert.equal(await beat('boot-of-a'), 'replaced');
    assert.equal(await store.setDraining({ instanceId: 'a', draining: false }), true);
    assert.equal(await beat('boot-2'), 'alive');
  });

  it('does not mark an instance that is not registered', async () => {
    await using store = await openWith(open, 'a');
    assert.equal(await store.setDraining({ instanceId: 'nobody', draining: true }), false);
  });
}

function handingOver(open: Open): void {
  it('gives directories, the root among them, to another instance, so many at once', async () => {
    await using store = await openWith(open, 'a', 'b');
    for (const name of ['one', 'two', 'three']) await addDirectory(store, name, 'a');
    await addDirectory(store, 'of-b', 'b');
    await addFile(store, 'file', 'a');
    const [root] = await store.resolve([]);
    assert.equal(root?.instanceId, 'a');
    assert.equal(await store.countDirectories('a'), 4);
    assert.equal(await store.handOverDirectories({ from: 'a', to: 'b', limit: 3 }), 3);
    assert.equal(await store.countDirectories('a'), 1);
    assert.equal(await store.handOverDirectories({ from: 'a', to: 'b', limit: 3 }), 1);
    assert.equal(await store.handOverDirectories({ from: 'a', to: 'b', limit: 3 }), 0);
    assert.deepEqual([await store.countDirectories('a'), await store.countDirectories('b')], [0, 5]);
    const children = await store.listChildren(ROOT_ID, undefined, 10);
    assert.deepEqual(
      children.map(({ name, instanceId, version }) => [name, instanceId, version]),
      [
        ['file', 'a', 1],
        ['of-b', 'b', 1],
        ['one', 'b', 2],
        ['three', 'b', 2],
        ['two', 'b', 2],
      ],
    );
    const [after] = await store.resolve([]);
    assert.deepEqual([after?.instanceId, after?.version], ['b', (root?.version ?? 0) + 1]);
  });
}

function removing(open: Open): void {
  it('forgets an instance: its record, what it had to do, and its directories go over', async () => {
    await using store = await openWith(open, 'a', 'b');
    const directory = await addDirectory(store, 'directory', 'a');
    const removed = await addFile(store, 'removed', 'a', directory);
    const other = await addFile(store, 'other', 'b', directory);
    for (const entryId of [removed, other]) await store.removeEntry({ entryId, expectContentId: undefined });
    assert.equal((await store.listOutbox('a', 10)).length, 1);
    const request = { instanceId: 'a', expect: await seen(store, 'a'), lostFiles: 0, heir: 'b' };
    assert.deepEqual(await store.removeInstance(request), { kind: 'removed', files: 0, directories: 2 });
    assert.deepEqual(
      (await store.listInstances()).map(({ id }) => id),
      ['b'],
    );
    assert.deepEqual(
      (await store.listWholeOutbox(undefined, 10)).map(({ instanceId }) => instanceId),
      ['b'],
    );
    assert.equal(await store.countDirectories('b'), 2);
    assert.equal(await store.registerInstance(registration('a')), true, 'the id may be used again');
  });

  it('leaves what it had to remove from a bucket to one that has the bucket, too, and runs', async () => {
    await using store = await open();
    const sharing = { stopped: 'bucket-1', b: 'bucket-2', c: 'bucket-1', a: 'bucket-1' };
    for (const [id, bucketId] of Object.entries(sharing)) await store.registerInstance(registration(id, { bucketId }));
    await store.markStopped('stopped', 'boot-of-stopped');
    for (const backendType of ['s3', 'localfs'] as const) {
      const entry = sampleFile(backendType, { instanceId: 'a', backendType });
      await store.createEntry({ parentId: ROOT_ID, missingParents: [], entry });
      await store.removeEntry({ entryId: entry.id, expectContentId: undefined });
    }
    const request = { instanceId: 'a', expect: await seen(store, 'a'), lostFiles: 0, heir: 'b' };
    assert.equal((await store.removeInstance(request)).kind, 'removed');
    assert.deepEqual(
      (await store.listWholeOutbox(undefined, 10)).map(({ instanceId, path }) => [instanceId, path]),
      [['c', '/s3']],
    );
  });

  it('removes the files that are lost with it only when their number is known', async () => {
    await using store = await openWith(open, 'a', 'b');
    for (const name of ['one', 'two']) await addFile(store, name, 'a');
    await addFile(store, 'three', 'b');
    const request = { instanceId: 'a', expect: await seen(store, 'a'), heir: 'b' };
    for (const lostFiles of [0, 1, 3]) {
      assert.deepEqual(await store.removeInstance({ ...request, lostFiles }), { kind: 'holds-files', files: 2 });
    }
    assert.equal((await store.listFiles(undefined, 10)).length, 3);
    const outcome = await store.removeInstance({ ...request, lostFiles: 2 });
    assert.deepEqual(outcome, { kind: 'removed', files: 2, directories: 1 });
    const left = await store.listFiles(undefined, 10);
    assert.deepEqual(
      left.map(({ path }) => path),
      ['/three'],
    );
    assert.deepEqual(await store.listWholeOutbox(undefined, 10), []);
    assert.deepEqual(await store.countFiles(), [{ instanceId: 'b', files: 1, sizeBytes: left[0]?.entry.sizeBytes }]);
    assert.equal((await store.resolve(['one'])).length, 1);
  });

  it('removes nothing when the instance shows a sign of life, or its heir is unknown or itself', async () => {
    await using store = await openWith(open, 'a', 'b');
    const expect = await seen(store, 'a');
    await store.heartbeat({ id: 'a', bootId: 'boot-of-a', endpoint: '', nowMs: 2 });
    const request = { instanceId: 'a', expect, lostFiles: 0, heir: 'b' };
    assert.deepEqual(await store.removeInstance(request), { kind: 'changed' });
    assert.deepEqual(await store.removeInstance({ ...request, expect: undefined }), { kind: 'changed' });
    const now = { ...request, expect: await seen(store, 'a') };
    for (const heir of ['a', 'nobody'])
      assert.deepEqual(await store.removeInstance({ ...now, heir }), { kind: 'changed' });
    assert.equal((await store.listInstances()).length, 2);
    assert.equal((await store.removeInstance(now)).kind, 'removed');
  });

  it('forgets also what only entries name', async () => {
    await using store = await openWith(open, 'b');
    await addFile(store, 'lost', 'never-registered');
    const request = { instanceId: 'never-registered', expect: undefined, lostFiles: 1, heir: 'b' };
    assert.deepEqual(await store.removeInstance(request), { kind: 'removed', files: 1, directories: 0 });
    assert.deepEqual(await store.listFiles(undefined, 10), []);
  });
}
