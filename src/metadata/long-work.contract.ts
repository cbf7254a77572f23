/** What copies, moves of whole trees and jobs ask of a store, as tests that run over each metadata store. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Entry, ROOT_ID } from '../core/entry.ts';
import type { NewJob } from './job-store.ts';
import { alice, createAt, find, sampleDirectory, sampleFile, sampleId } from './metadata-store.contract.ts';
import type { MetadataStore, NewEntry } from './metadata-store.ts';

type Open = () => Promise<MetadataStore>;

/** @param open gives a new, empty store every time */
export function longWorkContract(name: string, open: Open): void {
  describe(`${name} under long work`, () => {
    describe('a file created in the place of another one', () => creatingInPlace(open));
    describe('the directories of a tree', () => readingDirectories(open));
    describe('jobs', () => jobs(open));
  });
}

async function makeAt(store: MetadataStore, parents: readonly string[], entry: NewEntry): Promise<Entry> {
  const outcome = await createAt(store, parents, entry);
  assert(outcome.kind === 'created');
  return outcome.entry;
}

function creatingInPlace(open: Open): void {
  it('takes it as one, and leaves the old bytes to their instance', async () => {
    await using store = await open();
    const old = await makeAt(store, ['folder'], sampleFile('file', { instanceId: 'instance-2' }));
    assert(old.type === 'file');
    const entry = sampleFile('file');
    const request = { parentId: old.parentId, missingParents: [], entry };
    assert.equal((await store.createEntry(request)).kind, 'exists');
    const outcome = await store.createEntry({ ...request, replacesId: old.id });
    assert.equal(outcome.kind, 'created');
    assert.equal((await find(store, 'folder', 'file'))?.id, entry.id);
    const [row, ...more] = await store.listOutbox('instance-2', 10);
    assert(row?.kind === 'discard');
    assert.deepEqual([row.contentId, row.path, more.length], [old.contentId, '/folder/file', 0]);
  });

  it('is refused when something else stands there by now, or nothing', async () => {
    await using store = await open();
    const old = await makeAt(store, [], sampleFile('file'));
    const directory = await makeAt(store, [], sampleDirectory('directory'));
    const at = (name: string, replacesId: string) =>
      store.createEntry({ parentId: ROOT_ID, missingParents: [], entry: sampleFile(name), replacesId });
    assert.equal((await at('file', sampleId('file'))).kind, 'changed');
    assert.equal((await at('other', old.id)).kind, 'changed');
    assert.equal((await at('directory', directory.id)).kind, 'changed');
    const inMissing = { missingParents: [sampleDirectory('new')], entry: sampleFile('file') };
    const outcome = await store.createEntry({ parentId: ROOT_ID, ...inMissing, replacesId: old.id });
    assert.equal(outcome.kind, 'changed');
    assert.equal((await find(store, 'file'))?.id, old.id);
    assert.deepEqual(await store.listOutbox('instance-1', 10), []);
    assert.equal((await store.resolve(['new'])).length, 1);
  });
}

function readingDirectories(open: Open): void {
  it('are all that are below, down to a depth, and say where they stand', async () => {
    await using store = await open();
    for (const path of [['b'], ['a', 'z'], ['a', 'é'], ['b', 'c', 'd']]) await makeAt(store, path, sampleFile('file'));
    const namesOf = async (topId: string, depth: number): Promise<string[]> =>
      (await store.readDirectories(topId, depth)).directories.map(({ name }) => name).sort();
    assert.deepEqual(await namesOf(ROOT_ID, 2048), ['a', 'b', 'c', 'd', 'z', 'é']);
    assert.deepEqual(await namesOf(ROOT_ID, 2), ['a', 'b', 'c', 'z', 'é']);
    assert.deepEqual(await namesOf(ROOT_ID, 1), ['a', 'b']);
    assert.deepEqual(await namesOf(ROOT_ID, 0), []);
    const b = await find(store, 'b');
    assert.deepEqual(await namesOf(b?.id ?? '', 5), ['c', 'd']);
    const c = await find(store, 'b', 'c');
    const { directories } = await store.readDirectories(b?.id ?? '', 1);
    assert.deepEqual(directories, [{ id: c?.id, parentId: b?.id, name: 'c' }]);
    assert.deepEqual(await namesOf(sampleId('directory'), 5), []);
  });

  it('tell the version of the paths, which grows with every move', async () => {
    await using store = await open();
    const file = await makeAt(store, ['a'], sampleFile('file'));
    const [root] = await store.resolve([]);
    const before = await store.readDirectories(ROOT_ID, 5);
    assert.equal(before.pathsVersion, root?.version);
    const from = { parentId: file.parentId, name: 'file' };
    const to = { parentId: ROOT_ID, missingParents: [], name: 'file' };
    const move = {
      entryId: file.id,
      from,
      to,
      expectContentId: undefined,
      replacesId: undefined,
      relocated: undefined,
    };
    assert.equal((await store.moveEntry(move)).kind, 'moved');
    assert((await store.readDirectories(ROOT_ID, 5)).pathsVersion > before.pathsVersion);
  });
}

function jobs(open: Open): void {
  const progress = { filesDone: 1, filesTotal: 2, bytesDone: 3, bytesTotal: 4_000_000_000_000 };
  const newJob = (given: Partial<NewJob> = {}): NewJob => ({
    ...{ id: sampleId('job'), kind: 'copy', owner: alice.name, path: '/a' },
    ...{ instanceId: 'instance-1', bootId: 'boot-1', startedAtMs: 1_767_225_600_000 },
    ...given,
  });

  it('are reported on by the process that runs them, and end once', async () => {
    await using store = await open();
    const job = newJob();
    await store.jobs.add(job);
    const { id, bootId } = job;
    const none = { filesDone: 0, filesTotal: 0, bytesDone: 0, bytesTotal: 0 };
    const fresh = { isCancelRequested: false, finishedAtMs: undefined, outcome: undefined };
    assert.deepEqual(await store.jobs.find(id), { ...job, state: 'running', progress: none, ...fresh });
    assert.equal(await store.jobs.report({ id, bootId, progress }), 'go-on');
    assert.equal(await store.jobs.report({ id, bootId: 'another', progress: none }), 'over');
    assert.deepEqual((await store.jobs.find(id))?.progress, progress);
    const end = { id, bootId, progress, state: 'done', outcome: '{"x":1}', finishedAtMs: 5 } as const;
    assert.equal(await store.jobs.finish({ ...end, bootId: 'another' }), false);
    assert.equal(await store.jobs.finish(end), true);
    assert.equal(await store.jobs.finish({ ...end, state: 'failed' }), false);
    assert.equal(await store.jobs.report({ id, bootId, progress: none }), 'over');
    const found = await store.jobs.find(id);
    assert.deepEqual([found?.state, found?.outcome, found?.finishedAtMs], ['done', '{"x":1}', 5]);
    assert.deepEqual(await store.jobs.listRunning(), []);
    assert.equal(await store.jobs.find(sampleId('job')), undefined);
  });

  it('are asked to end as long as they run, and forgotten afterwards', async () => {
    await using store = await open();
    const { id, bootId } = newJob();
    await store.jobs.add(newJob({ id }));
    assert.equal(await store.jobs.forget(id), false);
    assert.equal(await store.jobs.requestCancel(id), true);
    assert.equal((await store.jobs.find(id))?.isCancelRequested, true);
    assert.equal(await store.jobs.report({ id, bootId, progress }), 'cancel');
    const end = { id, bootId, progress, state: 'cancelled', outcome: undefined, finishedAtMs: 7 } as const;
    assert.equal(await store.jobs.finish(end), true);
    assert.equal(await store.jobs.requestCancel(id), false);
    assert.equal(await store.jobs.forget(id), true);
    assert.equal(await store.jobs.forget(id), false);
  });

  it('of a process that is gone are lost, and only those', async () => {
    await using store = await open();
    const [lost, own, other] = [newJob(), newJob({ bootId: 'boot-2' }), newJob({ instanceId: 'instance-2' })];
    for (const job of [lost, own, other]) await store.jobs.add(job);
    const request = { instanceId: 'instance-1', bootId: 'boot-1', outcome: '{}', finishedAtMs: 9 };
    assert.equal(await store.jobs.lose(request), 1);
    assert.equal(await store.jobs.lose(request), 0);
    const found = await store.jobs.find(lost.id);
    assert.deepEqual([found?.state, found?.outcome, found?.finishedAtMs], ['failed', '{}', 9]);
    const running = (await store.jobs.listRunning()).map(({ id }) => id);
    assert.deepEqual(running.sort(), [own.id, other.id].sort());
  });

  it('are listed for their owner, the newest first, and the old ones can be forgotten', async () => {
    await using store = await open();
    const ids: string[] = [];
    for (const startedAtMs of [10, 30, 20]) {
      const job = newJob({ startedAtMs });
      ids.push(job.id);
      await store.jobs.add(job);
    }
    await store.jobs.add(newJob({ owner: 'bob' }));
    const [first, third, second] = ids;
    const listed = async (limit: number) => (await store.jobs.listOwn(alice.name, limit)).map(({ id }) => id);
    assert.deepEqual(await listed(10), [third, second, first]);
    assert.deepEqual(await listed(2), [third, second]);
    for (const [index, id] of ids.entries()) {
      if (index === 2) continue;
      const end = { id, bootId: 'boot-1', progress, outcome: undefined, finishedAtMs: 100 * (index + 1) };
      await store.jobs.finish({ ...end, state: 'done' });
    }
    await store.jobs.forgetFinished(150);
    assert.deepEqual(await listed(10), [third, second]);
  });
}
