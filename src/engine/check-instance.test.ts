/** A check tells damage from what is on its way, and concludes nothing from a disk that went away. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Examination, HeldFile, Holdings } from '../backends/backend.ts';
import type { Content } from '../core/entry.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import { MemoryMetadataStore } from '../metadata/memory/memory-metadata-store.ts';
import type { MemoryUploadStore } from '../metadata/memory/memory-upload-store.ts';
import { sampleDirectory, sampleFile } from '../metadata/metadata-store.contract.ts';
import { checkInstance } from './check-instance.ts';
import type { CheckContext } from './check-subject.ts';
import { repairFindings } from './repair-findings.ts';

const EVERYTHING = { under: undefined, deep: false, onProgress: () => {} };

/** A disk whose answers the test decides. */
function holdingsOf(given: Partial<Holdings>): Holdings {
  return {
    type: 'localfs',
    root: '/root',
    claimed: false,
    isServed: async () => true,
    assertPresent: async () => {},
    examine: async (): Promise<Examination> => ({ kind: 'intact' }),
    observe: async () => undefined,
    async *files(): AsyncGenerator<HeldFile> {},
    isThere: async () => true,
    staged: async () => [],
    stagedAtMs: async () => undefined,
    uploads: async () => [],
    removeUpload: async () => {},
    moveAside: async () => undefined,
    bringBack: async () => {},
    settle: async () => {},
    async [Symbol.asyncDispose]() {},
    ...given,
  };
}

async function contextOf(given: Partial<Holdings>): Promise<CheckContext> {
  const store = new MemoryMetadataStore();
  const instance = {
    id: 'instance-1',
    endpoint: '',
    publicUrl: '',
    bootId: 'boot',
    version: '1',
    process: '',
    nowMs: 0,
  };
  await store.registerInstance({ ...instance, replaces: undefined });
  let lastId = 0;
  const next = (): string => `id-${++lastId}`;
  const ids = { next, nextRequest: next };
  return { instanceId: 'instance-1', store, holdings: holdingsOf(given), clock: { now: () => 0 }, ids };
}

async function addFile({ store }: CheckContext, name: string): Promise<void> {
  await store.createEntry({ parentId: 'root', missingParents: [], entry: sampleFile(name) });
}

suite('beside a running instance', () => {
  test('bytes that arrive while the check looks again are not reported', async () => {
    let looks = 0;
    const examine = async (): Promise<Examination> => ({ kind: looks++ < 2 ? 'missing' : 'intact' });
    const context = await contextOf({ examine });
    await addFile(context, 'late');
    assert.deepEqual((await checkInstance(context, EVERYTHING)).findings, []);
    assert.equal(looks, 3);
  });

  test('an entry that was replaced since is not reported, whatever its old content looks like', async () => {
    const context = await contextOf({
      async examine({ contentId }: Content): Promise<Examination> {
        const [file] = await context.store.listFiles(undefined, 1);
        assert(file?.entry.contentId === contentId);
        const content = { ...file.entry, contentId: context.ids.next() };
        await context.store.replaceContent({
          entryId: file.entry.id,
          expectContentId: undefined,
          instanceId: 'instance-1',
          content,
          contentType: undefined,
          mtimeMs: 1,
          backendType: 'localfs',
          takeOver: false,
          discardPrevious: false,
        });
        return { kind: 'missing' };
      },
    });
    await addFile(context, 'busy');
    assert.deepEqual((await checkInstance(context, EVERYTHING)).findings, []);
  });

  test('a young staged content without an entry is an upload', async () => {
    const context = await contextOf({ staged: async () => ['young'], stagedAtMs: async () => 0 });
    assert.deepEqual((await checkInstance(context, EVERYTHING)).findings, []);
    const stopped = { ...context, holdings: holdingsOf({ ...context.holdings, isServed: async () => false }) };
    assert.deepEqual(
      (await checkInstance(stopped, EVERYTHING)).findings.map(({ kind }) => kind),
      ['leftover-staging'],
    );
  });
});

test('a disk that goes away during the check makes it fail instead of everything look lost', async () => {
  const context = await contextOf({
    isServed: async () => false,
    examine: async () => ({ kind: 'missing' }),
    assertPresent: () => Promise.reject(new Error('not the data root')),
  });
  await addFile(context, 'file');
  await assert.rejects(checkInstance(context, EVERYTHING), /not the data root/);
});

test('a file whose removal follows a move that the disk has yet to follow is on its way out', async () => {
  const { storageStamp, sizeBytes } = sampleFile('f', { storageStamp: '7-7', sizeBytes: 1 });
  const held = { rawLocation: Buffer.from('a1/f'), location: 'a1/f', contentId: undefined, identity: '1' };
  let file: HeldFile = { ...held, path: '/a1/f' as VirtualPath, sizeBytes, storageStamp };
  const context = await contextOf({
    isServed: async () => false,
    async *files() {
      yield file;
    },
  });
  const { store } = context;
  const directory = await store.createEntry({ parentId: 'root', missingParents: [], entry: sampleDirectory('a1') });
  assert(directory.kind === 'created');
  const entry = sampleFile('f', { storageStamp, sizeBytes });
  const created = await store.createEntry({ parentId: directory.entry.id, missingParents: [], entry });
  assert(created.kind === 'created' && created.entry.type === 'file');
  const moved = await store.moveEntry({
    entryId: directory.entry.id,
    from: { parentId: 'root', name: 'a1' },
    expectContentId: undefined,
    to: { parentId: 'root', missingParents: [], name: 'a2' },
    replacesId: undefined,
    relocated: undefined,
  });
  assert.equal(moved.kind, 'moved');
  const { contentId } = created.entry;
  await store.removeEntry({ entryId: created.entry.id, expectContentId: contentId });
  const kinds = async () => (await checkInstance(context, EVERYTHING)).findings.map(({ kind }) => kind).sort();
  assert.deepEqual(await kinds(), ['pending-move', 'pending-removal']);
  file = { ...file, storageStamp: 'of another' };
  assert.deepEqual(await kinds(), ['pending-move', 'pending-removal', 'unknown-file']);
});

test('a repair that fails is told, and the finding stays', async () => {
  const file: HeldFile = {
    location: 'stray',
    rawLocation: Buffer.from('stray'),
    path: undefined,
    contentId: undefined,
    sizeBytes: 1,
    storageStamp: '1-1',
    identity: '1',
  };
  const context = await contextOf({
    isServed: async () => false,
    claimed: true,
    async *files() {
      yield file;
    },
    moveAside: () => Promise.reject(new Error('the disk is full')),
  });
  const { findings } = await checkInstance(context, EVERYTHING);
  const [repaired] = await repairFindings(context, findings, { forgetLost: true });
  assert.equal(repaired?.repaired, false);
  assert.equal(repaired?.remedy, 'failed: the disk is full');
});

test('files in a bucket are reported when the instance has none any more, and only once', async () => {
  const context = await contextOf({ isServed: async () => false });
  const { store } = context;
  const entry = { ...sampleFile('in-bucket'), backendType: 's3' as const };
  await store.createEntry({ parentId: 'root', missingParents: [], entry });
  const kinds = async (given: Partial<CheckContext>) =>
    (await checkInstance({ ...context, ...given }, EVERYTHING)).findings.map(({ kind }) => kind);
  assert.deepEqual(await kinds({ lacking: new Set(['s3']) }), ['no-backend']);
  assert.deepEqual(await kinds({}), []);
});

test('bytes of resumable uploads are left over when they have expired, are finished, or belong to none', async () => {
  const left = new Set(['going-on', 'expired', 'unknown', 'finished']);
  const context = await contextOf({
    isServed: async () => false,
    uploads: async () => [...left],
    async removeUpload(id) {
      left.delete(id);
    },
  });
  const nowMs = context.clock.now();
  for (const [id, expiresAtMs] of Object.entries({
    'going-on': nowMs,
    expired: nowMs - 2 * 60 * 60 * 1000,
    finished: nowMs,
  })) {
    const record = { userName: 'alice', instanceId: 'instance-1', lengthBytes: 1, metadata: '', concat: undefined };
    await context.store.uploads.add({ id, expiresAtMs, ...record });
  }
  (context.store.uploads as MemoryUploadStore).finish('finished');
  const { findings } = await checkInstance(context, EVERYTHING);
  assert.deepEqual(
    findings.map(({ kind, path }) => [kind, path]),
    ['expired', 'finished', 'unknown'].map((id) => ['leftover-upload', `.callfs/uploads/${id}`]),
  );
  const repaired = await repairFindings(context, findings, { forgetLost: false });
  assert(repaired.every((finding) => finding.repaired && finding.done === 'removed them'));
  assert.deepEqual([...left], ['going-on']);
});
