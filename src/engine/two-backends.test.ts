/** An instance with two backends: where contents go, and that neither backend does the work of the other. */
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import type { Backend } from '../backends/backend.ts';
import { OpenedLocal } from '../backends/local/opened-local.testing.ts';
import { MemoryBackend } from '../backends/memory/memory-backend.ts';
import type { BackendType, FileEntry } from '../core/entry.ts';
import { backendUnavailable } from '../core/errors.ts';
import { namesOf, type VirtualPath } from '../core/virtual-path.ts';
import { MemoryMetadataStore } from '../metadata/memory/memory-metadata-store.ts';
import { beginUpload, judgeUpload } from './begin-upload.ts';
import { contentLedger } from './content-ledger.ts';
import { createFile } from './create-entry.ts';
import type { EngineContext, Upload } from './engine-context.ts';
import { finishUpload } from './finish-upload.ts';
import { type MoveRequest, moveEntry } from './move-entry.ts';
import { removeEntry } from './remove-entry.ts';
import type { UploadContext } from './upload-context.ts';
import { UploadLocks } from './upload-locks.ts';
import { noProgress, type Work } from './work.ts';
import { writeFile } from './write-file.ts';

const ALICE = { name: 'alice', uid: 1, gid: 2, groups: ['staff'], admin: true };
const NO_CONDITIONS = { ifMatch: undefined, ifNoneMatch: undefined };
const OWN = 'own';

let store: MemoryMetadataStore;
let backends: Map<BackendType, MemoryBackend>;
let context: UploadContext;
let lastId: number;

beforeEach(async () => {
  lastId = 0;
  store = new MemoryMetadataStore();
  const instance = { id: OWN, endpoint: '', publicUrl: '', bootId: '1', version: '', process: '', nowMs: 0 };
  await store.registerInstance({ ...instance, bucketId: 'bucket', replaces: undefined });
  backends = new Map((['localfs', 's3'] as const).map((type) => [type, memoryBackend(type)]));
  context = contextOf(backends, 'localfs');
});

function memoryBackend(type: BackendType): MemoryBackend {
  return new MemoryBackend({ instanceId: OWN, ledger: contentLedger(OWN, store, type), type });
}

function contextOf(available: ReadonlyMap<BackendType, Backend>, defaultBackend: BackendType): UploadContext {
  return {
    ...{ instanceId: OWN, store, backends: available, defaultBackend, maxUploadBytes: undefined },
    clock: { now: () => Date.now() },
    ids: { next: () => `id-${++lastId}`, nextRequest: () => 'request' },
    fetchContent: () => assert.fail('nothing is fetched'),
    isDraining: () => false,
    findTaker: async () => undefined,
    onAdopted() {},
    findUser: () => ALICE,
    locks: new UploadLocks(() => performance.now()),
  };
}

function uploadOf(text: string): Upload {
  return {
    declaredBytes: text.length,
    async *open() {
      yield Buffer.from(text);
    },
  };
}

function requestFor(path: string, text: string, backendType?: BackendType) {
  const target = { user: ALICE, path: path as VirtualPath, mode: undefined, preconditions: NO_CONDITIONS };
  return { ...target, forwarded: false, contentType: null, backendType, upload: uploadOf(text) };
}

async function post(path: string, text: string, backendType?: BackendType, at: EngineContext = context) {
  const outcome = await createFile(at, requestFor(path, text, backendType));
  assert(outcome.kind === 'created');
  return outcome.entry;
}

async function put(path: string, text: string, backendType?: BackendType) {
  const outcome = await writeFile(context, requestFor(path, text, backendType));
  assert(outcome.kind === 'written');
  return outcome.entry;
}

async function entryAt(path: string): Promise<FileEntry> {
  const names = namesOf(path as VirtualPath);
  const entry = (await store.resolve(names))[names.length];
  assert(entry?.type === 'file', `${path} is no file`);
  return entry;
}

/** In which backends the bytes of an entry's content lie, when everything is settled. */
async function holders(entry: FileEntry): Promise<BackendType[]> {
  const held: BackendType[] = [];
  for (const [type, backend] of backends) {
    await backend.settled();
    if ((await backend.probe(entry)) === 'intact') held.push(type);
  }
  return held;
}

function workOf(): Work {
  const { signal } = new AbortController();
  const hands: Work['hands'] = {
    async relocate(path, targetId, backendType) {
      const moved = await moveEntry(context, moveOf(path, { instanceId: targetId, backendType }), work);
      assert.equal(moved.kind, 'moved');
      return { kind: 'moved' };
    },
    copyInto: () => assert.fail('nothing is copied'),
  };
  const work = { signal, progress: noProgress(), hands };
  return work;
}

function moveOf(path: string, given: Partial<MoveRequest>): MoveRequest {
  const at = path as VirtualPath;
  return {
    ...{ user: ALICE, path: at, namesDirectory: false, destination: at, destinationNamesDirectory: false },
    ...{ instanceId: undefined, backendType: undefined, overwrite: false, createParents: false },
    ...{ preconditions: NO_CONDITIONS, ...given },
  };
}

function refused(code: string, message: RegExp) {
  return (error: Error & { readonly code?: string }) => error.code === code && message.test(error.message);
}

describe('a new file', () => {
  test('goes where new files go, or where the client says', async () => {
    const [standard, chosen] = [await post('/standard', 'one'), await post('/chosen', 'two', 's3')];
    assert.deepEqual([standard.backendType, await holders(standard)], ['localfs', ['localfs']]);
    assert.deepEqual([chosen.backendType, await holders(chosen)], ['s3', ['s3']]);
    const other = contextOf(backends, 's3');
    assert.equal((await post('/other', 'three', undefined, other)).backendType, 's3');
    assert.equal((await put('/put', 'four', 's3')).backendType, 's3');
  });

  test('is refused, unread, for a backend that the instance does not have', async () => {
    const single = contextOf(new Map([['localfs', memoryBackend('localfs')]]), 'localfs');
    const request = { ...requestFor('/file', 'x', 's3'), upload: unread() };
    const noBackend = refused('BAD_REQUEST', /own has no s3 backend/);
    await assert.rejects(createFile(single, request), noBackend);
    await assert.rejects(writeFile(single, request), noBackend);
    await post('/taken', 'x');
    await assert.rejects(createFile(single, { ...request, path: '/taken' as VirtualPath }), /exists/);
  });
});

test('a new file of an instance that is being drained goes to one that has the backend', async () => {
  const asked: (BackendType | undefined)[] = [];
  const findTaker = async (backendType?: BackendType) => {
    asked.push(backendType);
    return backendType === 's3' ? 'with-bucket' : undefined;
  };
  const draining = { ...context, isDraining: () => true, findTaker };
  const request = { ...requestFor('/file', 'x', 's3'), upload: unread() };
  for (const outcome of [await createFile(draining, request), await writeFile(draining, request)]) {
    assert(outcome.kind === 'elsewhere');
    assert.equal(outcome.instanceId, 'with-bucket');
  }
  assert.equal((await createFile(draining, requestFor('/file', 'x'))).kind, 'created');
  assert.deepEqual(asked, ['s3', 's3', undefined]);
});

function unread(): Upload {
  return { declaredBytes: 1, open: () => assert.fail('nobody takes the bytes') };
}

describe('a file that is replaced', () => {
  test('stays in its backend unless the client names another', async () => {
    const first = await post('/file', 'one', 's3');
    const second = await put('/file', 'two');
    assert.deepEqual([second.backendType, await holders(second)], ['s3', ['s3']]);
    assert.deepEqual(await holders(first), []);
    const third = await put('/file', 'three', 'localfs');
    assert.deepEqual([third.backendType, await holders(third)], ['localfs', ['localfs']]);
    assert.deepEqual(await holders(second), []);
    assert.deepEqual(await store.listWholeOutbox(undefined, 10), []);
  });
});

describe('a move to another backend', () => {
  test('takes the bytes there and back and changes nothing that a reader sees', async () => {
    const file = await post('/file', 'bytes');
    for (const [from, to] of [
      ['localfs', 's3'],
      ['s3', 'localfs'],
    ] as const) {
      const before = await entryAt('/file');
      const outcome = await moveEntry(context, moveOf('/file', { backendType: to }), workOf());
      assert(outcome.kind === 'moved' && outcome.entry.type === 'file');
      assert.deepEqual([outcome.entry.backendType, outcome.entry.etag], [to, file.etag]);
      assert.deepEqual(await holders(outcome.entry), [to]);
      assert.deepEqual(await holders(before), [], `nothing is left in ${from}`);
    }
    const same = await entryAt('/file');
    await moveEntry(context, moveOf('/file', { backendType: 'localfs' }), workOf());
    assert.deepEqual(await entryAt('/file'), same, 'it is there already');
  });

  test('takes another path with it, and goes with the instance in the request', async () => {
    await post('/file', 'bytes');
    const given = { destination: '/other' as VirtualPath, backendType: 's3', instanceId: OWN } as const;
    const outcome = await moveEntry(context, moveOf('/file', given), workOf());
    assert.equal(outcome.kind, 'moved');
    assert.deepEqual(await holders(await entryAt('/other')), ['s3']);
  });

  test('takes all files below a directory', async () => {
    for (const path of ['/tree/a', '/tree/deep/b', '/tree/deep/deeper/c']) await post(path, path);
    await post('/tree/there', 'x', 's3');
    const work = workOf();
    assert.equal((await moveEntry(context, moveOf('/tree', { backendType: 's3' }), work)).kind, 'moved');
    for (const path of ['/tree/a', '/tree/deep/b', '/tree/deep/deeper/c', '/tree/there']) {
      assert.deepEqual(await holders(await entryAt(path)), ['s3'], path);
    }
    assert.equal(work.progress.filesDone, 3);
    assert.deepEqual(await store.listWholeOutbox(undefined, 10), []);
  });

  test('is refused when the instance does not have that backend', async () => {
    await post('/file', 'x');
    context = contextOf(new Map([['localfs', backends.get('localfs') ?? assert.fail()]]), 'localfs');
    const move = moveEntry(context, moveOf('/file', { backendType: 's3' }), workOf());
    await assert.rejects(move, refused('BAD_REQUEST', /no s3 backend/));
  });
});

describe('the outbox', () => {
  test('is worked on by each backend for itself, whatever the other cannot do now', async () => {
    const [onDisk, inBucket] = [await post('/tree/disk', 'x'), await post('/tree/bucket', 'x', 's3')];
    const stopped = contextOf(new Map([['localfs', backends.get('localfs') ?? assert.fail()]]), 'localfs');
    await moveEntry(stopped, moveOf('/tree', { destination: '/moved' as VirtualPath }), workOf());
    for (const path of ['/moved/disk', '/moved/bucket']) {
      const request = { user: ALICE, path: path as VirtualPath, namesDirectory: false, recursive: false };
      const removed = await removeEntry(stopped, { ...request, preconditions: NO_CONDITIONS });
      assert.equal(removed.kind === 'removed' && removed.backendType, path === '/moved/disk' ? 'localfs' : 's3');
    }
    await backends.get('localfs')?.settled();
    const left = await store.listWholeOutbox(undefined, 10);
    assert.deepEqual(
      left.map(({ kind, backendType }) => `${kind} ${backendType}`),
      ['move s3', 'discard s3'],
    );
    assert.equal(await backends.get('s3')?.probe(inBucket), 'intact');
    assert.deepEqual([await holders(onDisk), await holders(inBucket)], [[], []]);
    assert.deepEqual(await store.listWholeOutbox(undefined, 10), []);
  });

  test('tells a backend only of its own files that they are there', async () => {
    await post('/file', 'x', 's3');
    const [local, bucket] = (['localfs', 's3'] as const).map((type) => contentLedger(OWN, store, type));
    assert.equal(await local?.hasFile('/file' as VirtualPath), false);
    assert.equal(await bucket?.hasFile('/file' as VirtualPath), true);
  });
});

describe('a resumable upload', () => {
  const target = (given: object = {}) => ({
    ...{ path: '/file' as VirtualPath, mode: undefined, contentType: null, backendType: undefined, overwrite: false },
    ...{ preconditions: NO_CONDITIONS, ...given },
  });

  async function receive(local: OpenedLocal, id: string, text: string) {
    await beginUpload(context, { id, userName: 'alice', lengthBytes: text.length, metadata: '', concat: undefined });
    const { partials } = local.backend;
    for (const piece of [text.slice(0, 3), text.slice(3)]) {
      await partials.append(id, { offset: await partials.sizeOf(id), bytes: uploadOf(piece).open() });
    }
    return (await store.uploads.find(id)) ?? assert.fail();
  }

  async function openBoth(defaultBackend: BackendType): Promise<OpenedLocal> {
    const local = await OpenedLocal.open();
    const available = new Map<BackendType, Backend>([
      ['localfs', local.backend],
      ['s3', backends.get('s3') ?? assert.fail()],
    ]);
    context = contextOf(available, defaultBackend);
    return local;
  }

  async function textOf(entry: FileEntry): Promise<string> {
    const found = await context.backends.get(entry.backendType)?.open(entry, '/file' as VirtualPath);
    assert(found?.kind === 'intact');
    await using reader = found.reader;
    return Buffer.from(await reader.readAll()).toString();
  }

  test('gathers its bytes on the disk, and its file goes to the bucket, once', async () => {
    await using local = await openBoth('s3');
    const record = await receive(local, 'upload', 'all the bytes');
    const finished = await finishUpload(context, record, target());
    assert(finished.kind === 'file' && finished.created);
    assert.equal(finished.entry.backendType, 's3');
    assert.equal(await textOf(finished.entry), 'all the bytes');
    assert.deepEqual(await local.backend.partials.list(), []);
    assert.deepEqual(local.staged(), []);
    assert.equal((await finishUpload(context, record, target())).kind, 'earlier');
  });

  test('replaces a file where that is, or where it is told to', async () => {
    await using local = await openBoth('localfs');
    await post('/file', 'old', 's3');
    const over = target({ overwrite: true });
    const stays = await finishUpload(context, await receive(local, 'one', 'newer'), over);
    assert.equal(stays.kind === 'file' && stays.entry.backendType, 's3');
    const told = { ...over, backendType: 'localfs' as const };
    const goes = await finishUpload(context, await receive(local, 'two', 'newest'), told);
    assert(goes.kind === 'file');
    assert.deepEqual([goes.entry.backendType, goes.created, await textOf(goes.entry)], ['localfs', false, 'newest']);
    assert.deepEqual(await local.backend.partials.list(), []);
  });

  test('keeps its bytes until the bucket has taken them', async () => {
    await using local = await openBoth('s3');
    const record = await receive(local, 'upload', 'all the bytes');
    const bucket = backends.get('s3') ?? assert.fail();
    const stage = bucket.stage.bind(bucket);
    bucket.stage = async () => {
      throw backendUnavailable('The bucket does not answer.');
    };
    await assert.rejects(finishUpload(context, record, target()), refused('BACKEND_UNAVAILABLE', /bucket/));
    assert.equal(await local.backend.partials.sizeOf('upload'), 13);
    bucket.stage = stage;
    const finished = await finishUpload(context, record, target());
    assert(finished.kind === 'file');
    assert.equal(await textOf(finished.entry), 'all the bytes');
  });

  test('is refused at its beginning for a backend that the instance does not have', async () => {
    const single = contextOf(new Map([['localfs', memoryBackend('localfs')]]), 'localfs');
    const judged = judgeUpload(single, ALICE, target({ backendType: 's3' }), false);
    await assert.rejects(judged, refused('BAD_REQUEST', /no s3 backend/));
    assert.equal(await judgeUpload(single, ALICE, target({ backendType: 'localfs' }), false), undefined);
  });
});
