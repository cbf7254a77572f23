/** Where contents lie and which instance answers for them, as tests that run over each metadata store. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type BackendType, type Entry, type FileEntry, ROOT_ID } from '../core/entry.ts';
import type { RegisterInstance } from './instance-store.ts';
import { find, sampleContent, sampleDirectory, sampleFile } from './metadata-store.contract.ts';
import type { MetadataStore, NewEntry, NewFile } from './metadata-store.ts';

type Open = () => Promise<MetadataStore>;

/** @param open gives a new, empty store every time */
export function contentPlacesContract(name: string, open: Open): void {
  describe(`${name} and the places of contents`, () => {
    describe('another key', () => relocating(open));
    describe('another instance', () => takingOver(open));
    describe('notes of what no disk follows', () => noting(open));
    describe('whether there is any', () => holding(open));
    describe('the outbox of each backend', () => outboxes(open));
    describe('the bucket of an instance', () => buckets(open));
  });
}

const STAGED = '.callfs/staging/content';

async function addFile(store: MetadataStore, given: Partial<NewFile> = {}): Promise<FileEntry> {
  const entry = await make(store, ROOT_ID, sampleFile('file', { backendType: 's3', storageKey: STAGED, ...given }));
  await takeNotes(store);
  assert.ok(entry.type === 'file');
  return entry;
}

async function make(store: MetadataStore, parentId: string, entry: NewEntry): Promise<Entry> {
  const outcome = await store.createEntry({ parentId, missingParents: [], entry });
  assert.ok(outcome.kind === 'created');
  return outcome.entry;
}

/** What was noted since the last call, as `instance id`. */
async function takeNotes(store: MetadataStore): Promise<string[]> {
  const notes = await store.listNotes(undefined, 1000);
  await store.forgetNotes(notes.map(({ seq }) => seq));
  return notes.map(({ instanceId, entryId }) => `${instanceId} ${entryId}`).sort();
}

function relocating(open: Open): void {
  it('is recorded with the stamp it has there, and nothing else changes', async () => {
    await using store = await open();
    const file = await addFile(store);
    const relocation = { contentId: file.contentId, fromKey: STAGED, toKey: 'docs/file', storageStamp: 'etag-2' };
    assert.equal(await store.relocateContent(relocation), true);
    assert.deepEqual(await find(store, 'file'), { ...file, storageKey: 'docs/file', storageStamp: 'etag-2' });
    assert.deepEqual(new Set(await takeNotes(store)), new Set([`instance-1 ${file.id}`]));
    const [garbage, ...others] = await store.listOutbox('instance-1', 10);
    assert(garbage?.kind === 'discard');
    const { contentId, storageKey, storageStamp, backendType } = garbage;
    assert.deepEqual([contentId, storageKey, backendType], [file.contentId, STAGED, 's3']);
    assert.equal(storageStamp, file.storageStamp);
    assert.deepEqual(others, []);
    assert.equal(await store.relocateContent(relocation), false, 'it lies there no more');
    assert.deepEqual(await takeNotes(store), []);
  });

  it('may be the same one with another stamp, and then nothing is garbage', async () => {
    await using store = await open();
    const { contentId } = await addFile(store);
    const restamp = { contentId, fromKey: STAGED, toKey: STAGED, storageStamp: 'etag-2' };
    assert.equal(await store.relocateContent(restamp), true);
    assert.deepEqual(await store.listOutbox('instance-1', 10), []);
  });

  it('is announced as garbage there until it is recorded, and only when nobody has to remove it from there', async () => {
    await using store = await open();
    const { contentId } = await addFile(store);
    const place = { instanceId: 'instance-1', contentId, key: 'docs/file' };
    assert.deepEqual(await store.announcePlace({ ...place, contentId: 'unknown' }), { kind: 'gone' });
    const announced = await store.announcePlace(place);
    assert(announced.kind === 'announced');
    const { seq } = announced;
    const [row] = await store.listOutbox('instance-1', 10, 's3');
    assert(row?.kind === 'discard');
    assert.deepEqual([row.seq, row.contentId, row.storageKey, row.path], [seq, contentId, 'docs/file', '/file']);
    assert.deepEqual(await store.announcePlace({ ...place, instanceId: 'instance-2' }), { kind: 'busy' });
    assert.equal((await store.announcePlace({ ...place, key: 'elsewhere' })).kind, 'announced');
    const relocation = { contentId, fromKey: STAGED, toKey: 'docs/file', storageStamp: 'etag-2' };
    assert.equal(await store.relocateContent({ ...relocation, fromKey: 'wrong', announced: seq }), false);
    assert.deepEqual(await garbageOf(store), ['docs/file', 'elsewhere'], 'what came to nothing has to be removed');
    assert.equal(await store.relocateContent({ ...relocation, announced: seq }), true);
    assert.deepEqual(await garbageOf(store), ['elsewhere', STAGED]);
  });

  it('tells which entry it is of', async () => {
    await using store = await open();
    const file = await addFile(store);
    await addFile(store, { name: 'other', storageKey: 'other/key' });
    const located = await store.describeKeys([STAGED, 'no/such/key']);
    assert.deepEqual(
      located.map(({ entry, path }) => [entry.id, path]),
      [[file.id, '/file']],
    );
  });

  it('may be none, and may come after none', async () => {
    await using store = await open();
    const file = await addFile(store);
    const { contentId } = file;
    const none = { contentId, fromKey: STAGED, toKey: null, storageStamp: 'a' };
    assert.equal(await store.relocateContent({ ...none, fromKey: null }), false);
    assert.equal(await store.relocateContent(none), true);
    assert.deepEqual(await find(store, 'file'), { ...file, storageKey: null, storageStamp: 'a' });
    assert.equal(await store.relocateContent({ contentId, fromKey: STAGED, toKey: 'x', storageStamp: 'b' }), false);
    assert.equal(await store.relocateContent({ contentId, fromKey: null, toKey: 'x', storageStamp: 'b' }), true);
    assert.deepEqual(await find(store, 'file'), { ...file, storageKey: 'x', storageStamp: 'b' });
  });

  it('is refused for a content that was replaced or that nobody knows', async () => {
    await using store = await open();
    const file = await addFile(store);
    const rest = { fromKey: STAGED, toKey: 'docs/file', storageStamp: 'etag-2' };
    assert.equal(await store.relocateContent({ contentId: 'unknown', ...rest }), false);
    const replaced = await replace(store, file);
    assert.equal(await store.relocateContent({ contentId: file.contentId, ...rest }), false);
    assert.deepEqual(await find(store, 'file'), replaced);
  });
}

async function garbageOf(store: MetadataStore): Promise<(string | null)[]> {
  const rows = await store.listOutbox('instance-1', 10, 's3');
  return rows.flatMap((row) => (row.kind === 'discard' ? [row.storageKey] : []));
}

async function replace(store: MetadataStore, { id, instanceId }: FileEntry, given: Partial<NewFile> = {}) {
  const content = sampleContent({ storageKey: STAGED });
  const outcome = await store.replaceContent({
    ...{ entryId: id, expectContentId: undefined, instanceId, backendType: given.backendType ?? 's3', takeOver: false },
    ...{ content, contentType: undefined, mtimeMs: 2, discardPrevious: true },
  });
  assert.equal(outcome.kind, 'replaced');
  return outcome.kind === 'replaced' ? outcome.entry : undefined;
}

function takingOver(open: Open): void {
  const takeOver = { from: 'instance-1', to: 'instance-2' };

  it('gets the file as it is, once, and both catalogs hear of it', async () => {
    await using store = await open();
    const file = await addFile(store);
    const outcomes = await Promise.all([
      store.takeOverEntry({ entryId: file.id, ...takeOver }),
      store.takeOverEntry({ entryId: file.id, from: 'instance-1', to: 'instance-3' }),
    ]);
    assert.equal(outcomes.filter(Boolean).length, 1);
    const winner = outcomes[0] ? 'instance-2' : 'instance-3';
    // The version tells the later of two catalogs' words.
    assert.deepEqual(await find(store, 'file'), { ...file, instanceId: winner, version: file.version + 1 });
    assert.deepEqual(await takeNotes(store), [`instance-1 ${file.id}`, `${winner} ${file.id}`]);
    assert.deepEqual(await store.listWholeOutbox(undefined, 10), [], 'no bytes became garbage');
  });

  it('gets no file whose bytes lie on a disk, no directory and nothing that is gone', async () => {
    await using store = await open();
    const onDisk = await addFile(store, { backendType: 'localfs' });
    const directory = await make(store, ROOT_ID, sampleDirectory('directory', { backendType: 's3' }));
    await takeNotes(store);
    for (const entryId of [onDisk.id, directory.id, 'gone']) {
      assert.equal(await store.takeOverEntry({ entryId, ...takeOver }), false);
    }
    assert.deepEqual(await find(store, 'file'), onDisk);
    assert.deepEqual(await takeNotes(store), []);
  });

  it('refuses what the former owner still brings', async () => {
    await using store = await open();
    const file = await addFile(store);
    assert.equal(await store.takeOverEntry({ entryId: file.id, ...takeOver }), true);
    const late = await store.replaceContent({
      ...{ entryId: file.id, expectContentId: undefined, instanceId: 'instance-1', backendType: 's3', takeOver: false },
      ...{ content: sampleContent(), contentType: undefined, mtimeMs: 2, discardPrevious: true },
    });
    assert.equal(late.kind, 'changed');
    const own = { entryId: file.id, expectContentId: undefined, expectInstanceId: 'instance-1' };
    const place = { parentId: ROOT_ID, name: 'file' };
    const to = { ...place, name: 'renamed', missingParents: [] };
    const move = { ...own, from: place, to, replacesId: undefined, relocated: undefined };
    assert.equal((await store.removeEntry(own)).kind, 'changed');
    assert.equal((await store.moveEntry(move)).kind, 'changed');
    const { version, mode } = file;
    const attributes = { entryId: file.id, mode: mode ^ 1, owner: undefined, group: undefined };
    assert.equal((await store.changeAttributes({ ...attributes, expectVersion: version })).kind, 'changed');
    assert.equal((await store.moveEntry({ ...move, expectInstanceId: 'instance-2' })).kind, 'moved');
    assert.equal((await store.removeEntry({ ...own, expectInstanceId: 'instance-2' })).kind, 'removed');
    const left = await store.listWholeOutbox(undefined, 10);
    assert.deepEqual(new Set(left.map(({ instanceId }) => instanceId)), new Set(['instance-2']));
  });
}

function noting(open: Open): void {
  it('are left by creates, replacements and removals of such files, and not by those of the disk', async () => {
    await using store = await open();
    const file = await make(store, ROOT_ID, sampleFile('file', { backendType: 's3' }));
    const onDisk = await make(store, ROOT_ID, sampleFile('on-disk'));
    assert.deepEqual(await takeNotes(store), [`instance-1 ${file.id}`]);
    assert.ok(file.type === 'file' && onDisk.type === 'file');
    await replace(store, file);
    assert.deepEqual(new Set(await takeNotes(store)), new Set([`instance-1 ${file.id}`]));
    await replace(store, onDisk, { backendType: 'localfs' });
    assert.deepEqual(await takeNotes(store), []);
    for (const entryId of [file.id, onDisk.id]) await store.removeEntry({ entryId, expectContentId: undefined });
    assert.deepEqual(await takeNotes(store), [`instance-1 ${file.id}`]);
  });

  it('are left when bytes move from or to such a place', async () => {
    await using store = await open();
    const file = await addFile(store, { backendType: 'localfs' });
    await relocateTo(store, file, 'instance-2', 's3');
    assert.deepEqual(await takeNotes(store), [`instance-2 ${file.id}`]);
    await relocateTo(store, file, 'instance-1', 'localfs');
    assert.deepEqual(await takeNotes(store), [`instance-2 ${file.id}`]);
  });

  it('are left by the removal of a tree', async () => {
    await using store = await open();
    const tree = await make(store, ROOT_ID, sampleDirectory('tree', { mode: 0o777 }));
    const file = await make(store, tree.id, sampleFile('file', { backendType: 's3' }));
    await make(store, tree.id, sampleFile('on-disk'));
    await takeNotes(store);
    const user = { name: 'operator', uid: 1, gid: 1, groups: [], admin: true };
    assert.equal((await store.removeTree(tree.id, user)).kind, 'removed');
    assert.deepEqual(await takeNotes(store), [`instance-1 ${file.id}`, `instance-1 ${tree.id}`].sort());
  });
}

async function relocateTo(store: MetadataStore, { id }: FileEntry, instanceId: string, backendType: 's3' | 'localfs') {
  const place = { parentId: ROOT_ID, name: 'file' };
  const outcome = await store.moveEntry({
    ...{ entryId: id, from: place, to: { ...place, missingParents: [] }, replacesId: undefined },
    ...{ expectContentId: undefined, relocated: { content: sampleContent(), instanceId, backendType } },
  });
  assert.equal(outcome.kind, 'moved');
}

function holding(open: Open): void {
  it('is known of each backend of each instance', async () => {
    await using store = await open();
    await make(store, ROOT_ID, sampleDirectory('directory'));
    await make(store, ROOT_ID, sampleFile('file', { backendType: 's3' }));
    const held = (instanceId: string, backendType: BackendType) => store.holdsFiles({ instanceId, backendType });
    assert.deepEqual([await held('instance-1', 's3'), await held('instance-1', 'localfs')], [true, false]);
    assert.equal(await held('instance-2', 's3'), false);
  });
}

const START: RegisterInstance = {
  ...{ id: 'instance-1', endpoint: '', publicUrl: '', bootId: 'boot-1', version: '', process: '', nowMs: 1 },
  replaces: undefined,
};

function outboxes(open: Open): void {
  it('has the discards of that backend and nothing else, whatever comes before them', async () => {
    await using store = await open();
    const names = ['a', 'b', 'c', 'd'];
    for (const [at, name] of names.entries()) {
      const entry = sampleFile(name, { backendType: at % 2 === 0 ? 's3' : 'localfs' });
      await make(store, ROOT_ID, entry);
      await store.removeEntry({ entryId: entry.id, expectContentId: undefined });
    }
    const paths = async (limit: number, backendType?: BackendType) =>
      (await store.listOutbox('instance-1', limit, backendType)).map(({ path }) => path);
    assert.deepEqual(await paths(10), ['/a', '/b', '/c', '/d']);
    assert.deepEqual(await paths(10, 's3'), ['/a', '/c']);
    assert.deepEqual(await paths(10, 'localfs'), ['/b', '/d']);
    assert.deepEqual(await paths(1, 'localfs'), ['/b']);
    assert.deepEqual(await store.listOutbox('instance-2', 10, 's3'), []);
  });

  it('has the moves of its own files, and those of directories apart for every backend that may hold something', async () => {
    await using store = await open();
    await store.registerInstance({ ...START, bucketId: 'bucket' });
    await store.registerInstance({ ...START, id: 'instance-2' });
    const inBucket = await make(store, ROOT_ID, sampleFile('in-bucket', { backendType: 's3' }));
    const onDisk = await make(store, ROOT_ID, sampleFile('on-disk'));
    const directory = await make(store, ROOT_ID, sampleDirectory('directory'));
    for (const { id, name } of [inBucket, onDisk, directory]) {
      const place = { parentId: ROOT_ID, name };
      const outcome = await store.moveEntry({
        ...{ entryId: id, from: place, to: { ...place, name: `${name}-2`, missingParents: [] } },
        ...{ replacesId: undefined, expectContentId: undefined, relocated: undefined },
      });
      assert.equal(outcome.kind, 'moved');
    }
    const moved = async (instanceId: string, backendType: BackendType) =>
      (await store.listOutbox(instanceId, 10, backendType)).map((row) => row.kind === 'move' && row.entryId);
    assert.deepEqual(await moved('instance-1', 's3'), [inBucket.id, directory.id]);
    assert.deepEqual(await moved('instance-1', 'localfs'), [onDisk.id, directory.id]);
    assert.deepEqual(await moved('instance-2', 's3'), []);
    assert.deepEqual(await moved('instance-2', 'localfs'), [directory.id]);
    // What one backend has done is not done by the other.
    const done = await store.listOutbox('instance-1', 10, 'localfs');
    await store.forgetOutbox(done.map(({ seq }) => seq));
    assert.deepEqual(await moved('instance-1', 's3'), [inBucket.id, directory.id]);
  });

  it('leaves a note of the move of a file that no disk follows', async () => {
    await using store = await open();
    const file = await addFile(store);
    const place = { parentId: ROOT_ID, name: 'file' };
    const outcome = await store.moveEntry({
      ...{ entryId: file.id, from: place, to: { ...place, name: 'other', missingParents: [] } },
      ...{ replacesId: undefined, expectContentId: undefined, relocated: undefined },
    });
    assert.equal(outcome.kind, 'moved');
    assert.deepEqual(await takeNotes(store), [`instance-1 ${file.id}`]);
  });
}

function buckets(open: Open): void {
  it('is what the last registration says', async () => {
    await using store = await open();
    assert.equal(await store.registerInstance({ ...START, bucketId: 'bucket-7' }), true);
    const record = await store.findInstance('instance-1');
    assert.ok(record);
    assert.equal(record.bucketId, 'bucket-7');
    const { endpoint, bootId, id } = record;
    await store.heartbeat({ id, bootId, endpoint, nowMs: 2 });
    const [beaten] = await store.listInstances();
    assert.ok(beaten);
    assert.equal(beaten.bucketId, 'bucket-7');
    assert.equal(await store.registerInstance({ ...START, bootId: 'boot-2', replaces: beaten }), true);
    assert.equal(
      (await store.findInstance('instance-1'))?.bucketId,
      '',
      'the bucket was taken out of its configuration',
    );
  });
}
