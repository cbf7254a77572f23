/** Resumable uploads, as tests that run over each metadata store. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { FileEntry } from '../core/entry.ts';
import { ROOT_ID } from '../core/entry.ts';
import { createAt, find, sampleContent, sampleFile } from './metadata-store.contract.ts';
import type { MetadataStore, ReplaceContent } from './metadata-store.ts';
import type { NewUpload } from './upload-store.ts';

const upload: NewUpload = {
  id: 'upload',
  userName: 'alice',
  instanceId: 'callfs-1',
  lengthBytes: 5_000_000_000,
  metadata: 'path L2Zvby50eHQ=',
  concat: undefined,
  expiresAtMs: 1_800_000_000_000,
};

type Open = () => Promise<MetadataStore>;

/** @param open gives a new, empty store every time */
export function uploadsContract(name: string, open: Open): void {
  describe(`${name} and resumable uploads`, () => {
    keeping(open);
    finishing(open);
  });
}

function keeping(open: Open): void {
  it('finds what was added and changed, and nothing else', async () => {
    await using store = await open();
    const { uploads } = store;
    await uploads.add(upload);
    await uploads.add({ ...upload, id: 'other', lengthBytes: undefined, metadata: '', concat: 'partial' });
    assert.deepEqual(await uploads.find('upload'), { ...upload, finished: false });
    assert.equal(await uploads.find('none'), undefined);
    await assert.rejects(uploads.add(upload), 'an id names one upload');
    assert.equal(await uploads.change({ id: 'other', expiresAtMs: 7 }), true);
    const other = { ...upload, id: 'other', expiresAtMs: 7, metadata: '', concat: 'partial', finished: false };
    assert.deepEqual(await uploads.find('other'), { ...other, lengthBytes: undefined });
    assert.equal(await uploads.change({ id: 'other', expiresAtMs: 8, lengthBytes: 0, metadata: 'x' }), true);
    assert.deepEqual(await uploads.find('other'), { ...other, expiresAtMs: 8, lengthBytes: 0, metadata: 'x' });
    assert.equal(await uploads.change({ id: 'none', expiresAtMs: 8 }), false);
    assert.equal(await uploads.remove('other'), true);
    assert.equal(await uploads.remove('other'), false);
    assert.equal((await uploads.find('upload'))?.id, 'upload');
  });

  it('lists what expired at one instance, the oldest first', async () => {
    await using store = await open();
    const { uploads } = store;
    for (const expiresAtMs of [30, 10, 20, 40]) await uploads.add({ ...upload, id: `at-${expiresAtMs}`, expiresAtMs });
    await uploads.add({ ...upload, id: 'elsewhere', instanceId: 'callfs-2', expiresAtMs: 1 });
    const expired = async (limit: number) => (await uploads.listExpired('callfs-1', 40, limit)).map(({ id }) => id);
    assert.deepEqual(await expired(2), ['at-10', 'at-20']);
    assert.deepEqual(await expired(10), ['at-10', 'at-20', 'at-30']);
  });
}

function finishing(open: Open): void {
  it('finishes an upload with the entry that it becomes, and only once', async () => {
    await using store = await open();
    await store.uploads.add(upload);
    const create = (name: string) =>
      store.createEntry({
        parentId: ROOT_ID,
        missingParents: [],
        entry: sampleFile(name),
        finishesUpload: upload.id,
      });
    const outcomes = await Promise.all(Array.from({ length: 8 }, (_, index) => create(`file-${index}`)));
    assert.deepEqual(outcomes.map(({ kind }) => kind).sort(), [...Array(7).fill('changed'), 'created']);
    assert.deepEqual(await store.uploads.find(upload.id), { ...upload, finished: true });
    assert.equal(await store.uploads.change({ id: upload.id, expiresAtMs: 1 }), false, 'nothing more comes of it');
    await store.uploads.remove(upload.id);
    assert.equal((await create('after')).kind, 'changed', 'it is forgotten');
    assert.equal(await find(store, 'after'), undefined);
  });

  it('does not finish an upload whose entry cannot be made', async () => {
    await using store = await open();
    await createAt(store, [], sampleFile('taken'));
    await store.uploads.add(upload);
    const entry = sampleFile('taken');
    const refused = await store.createEntry({
      parentId: ROOT_ID,
      missingParents: [],
      entry,
      finishesUpload: upload.id,
    });
    assert.equal(refused.kind, 'exists');
    assert.equal((await store.uploads.find(upload.id))?.finished, false);
  });

  it('finishes an upload with the content that it replaces', async () => {
    await using store = await open();
    await createAt(store, [], sampleFile('file'));
    const file = (await find(store, 'file')) as FileEntry;
    await store.uploads.add(upload);
    const request = (expectContentId: string | undefined): ReplaceContent => ({
      ...{ entryId: file.id, expectContentId, instanceId: file.instanceId, backendType: file.backendType },
      ...{ takeOver: false, content: sampleContent(), contentType: null, mtimeMs: 1, discardPrevious: true },
      finishesUpload: upload.id,
    });
    assert.equal((await store.replaceContent(request('another'))).kind, 'changed');
    assert.equal((await store.uploads.find(upload.id))?.finished, false);
    assert.equal((await store.replaceContent(request(file.contentId))).kind, 'replaced');
    assert.equal((await store.uploads.find(upload.id))?.finished, true);
    assert.equal((await store.replaceContent(request(undefined))).kind, 'changed', 'it was replaced already');
  });
}
