/** Files in a bucket that several instances have: who reads them, and who takes them over when their owner does not answer. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { suite, test } from 'node:test';
import { namesOf, type VirtualPath } from '../src/core/virtual-path.ts';
import { changeAttributes } from '../src/engine/change-attributes.ts';
import { drainInstance } from '../src/engine/drain-instance.ts';
import { forgetInstance } from '../src/engine/forget-instance.ts';
import { moveEntry } from '../src/engine/move-entry.ts';
import { removeEntry } from '../src/engine/remove-entry.ts';
import { takeOver } from '../src/engine/shared-bucket.ts';
import type { Work } from '../src/engine/work.ts';
import { MemoryMetadataStore } from '../src/metadata/memory/memory-metadata-store.ts';
import type { MetadataStore } from '../src/metadata/metadata-store.ts';
import { BucketMember, type MemberOptions, MemoryBucket } from './support/bucket-members.ts';
import { call } from './support/client.ts';
import { SocketClient } from './support/socket-client.ts';

const FILE = '/v1/files/docs/a.txt';
const ALICE = { name: 'alice', uid: 1000, gid: 1000, groups: [], admin: false };
const NO_PRECONDITIONS = {
  ...{ ifMatch: undefined, ifNoneMatch: undefined, ifModifiedSince: undefined, ifUnmodifiedSince: undefined },
};

interface Cluster extends AsyncDisposable {
  readonly store: MemoryMetadataStore;
  /** Have the same bucket. */
  readonly owner: BucketMember;
  readonly sharer: BucketMember;
  /** Has none. */
  readonly other: BucketMember;
  readonly start: (id: string, bucket?: MemoryBucket) => Promise<BucketMember>;
  readonly bucket: MemoryBucket;
}

async function startMembers(given: Partial<MemberOptions> = {}): Promise<Cluster> {
  await using started = new AsyncDisposableStack();
  const store = started.use(new MemoryMetadataStore());
  const bucket = new MemoryBucket('bucket-1', store);
  const start = async (id: string, its?: MemoryBucket) =>
    stack.use(await BucketMember.start({ store, id, bucket: its, ...given }));
  const stack = started;
  const members = {
    owner: await start('owner', bucket),
    sharer: await start('sharer', bucket),
    other: await start('other'),
  };
  const running = started.move();
  return {
    ...{ store, bucket, ...members },
    start: async (id, its) => running.use(await BucketMember.start({ store, id, bucket: its, ...given })),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

async function entryAt(store: MetadataStore, path: string) {
  const names = namesOf(path as VirtualPath);
  const entry = (await store.resolve(names))[names.length];
  assert(entry?.type === 'file', `there is no file at ${path}`);
  return entry;
}

async function put(at: BucketMember, body: string, path = FILE): Promise<void> {
  const { status, text } = await call('PUT', at.url, path, { body });
  assert(status === 200 || status === 201, `${status} ${text}`);
}

async function timed<T>(work: Promise<T>): Promise<[T, number]> {
  const startedAt = performance.now();
  return [await work, performance.now() - startedAt];
}

suite('a file in a shared bucket', { timeout: 120_000 }, () => {
  test("is read at whoever has the bucket, with the owner's header fields, whether the owner runs or not", async () => {
    await using cluster = await startMembers();
    const { owner, sharer, other } = cluster;
    await put(owner, 'hello');
    const atOwner = await call('GET', owner.url, FILE);
    const link = await call('POST', owner.url, '/v1/links/generate', {
      body: JSON.stringify({ path: '/docs/a.txt', expiry_seconds: 60 }),
    });
    const token = String(link.json().token);
    await owner.kill();
    for (const member of [sharer, other]) {
      const got = await call('GET', member.url, FILE);
      assert.equal(got.text, 'hello', member.id);
      for (const name of ['etag', 'x-callfs-instance-id', 'x-callfs-backend-type', 'last-modified', 'content-length']) {
        assert.equal(got.headers[name], atOwner.headers[name], `${name} at ${member.id}`);
      }
      const head = await call('HEAD', member.url, FILE);
      assert.equal(head.status, 200);
      assert.equal(head.headers['x-callfs-instance-id'], 'owner');
      const part = await call('GET', member.url, FILE, { headers: { range: 'bytes=1-2' } });
      assert.deepEqual([part.status, part.text], [206, 'el']);
    }
    const download = await call('GET', other.url, `/download/${token}`, { key: null });
    assert.deepEqual([download.status, download.text], [200, 'hello']);
    assert.equal((await call('GET', sharer.url, `/download/${token}`, { key: null })).status, 410);
    assert.deepEqual([await sharer.takeovers(), await other.takeovers()], [0, 0]);
  });

  test('goes over a WebSocket both ways while its owner is dead', async () => {
    await using cluster = await startMembers();
    const { owner, sharer, other } = cluster;
    await put(owner, 'hello');
    await owner.kill();
    const target = '/v1/files/ws/docs/a.txt?mode=';
    for (const { url } of [sharer, other]) {
      using client = SocketClient.open(url, `${target}download`);
      const { code, sha256 } = await client.closed();
      assert.deepEqual([code, sha256], [1000, createHash('sha256').update('hello').digest('hex')]);
    }
    assert.equal(await sharer.takeovers(), 0);
    using client = SocketClient.open(other.url, `${target}upload`);
    await client.opened;
    await client.send(Buffer.from('uploaded'));
    client.socket.close(1000);
    assert.deepEqual((await client.closed()).texts, ['ok:8']);
    assert.equal((await call('GET', sharer.url, FILE)).text, 'uploaded');
    assert.equal(await sharer.takeovers(), 1);
  });

  test('is left to the owner when its bytes are not in the bucket', async () => {
    await using cluster = await startMembers();
    const { store, owner, sharer, bucket } = cluster;
    await put(owner, 'hello');
    const entry = await entryAt(store, '/docs/a.txt');
    await bucket.backend.discard({ content: entry, mtimeMs: 0, open: () => assert.fail('nobody reads it') });
    assert.equal((await call('GET', sharer.url, FILE)).status, 503, 'the owner says so');
    await owner.kill();
    const failed = await call('GET', sharer.url, FILE);
    assert.equal(failed.status, 502, failed.text);
    assert.equal((await entryAt(store, '/docs/a.txt')).instanceId, 'owner');
  });

  for (const [name, act, check] of [
    ['PUT', (url: string) => call('PUT', url, FILE, { body: 'new' }), 200],
    ['an empty PUT', (url: string) => call('PUT', url, FILE, { body: '' }), 200],
    ['DELETE', (url: string) => call('DELETE', url, FILE), 204],
    ['PATCH of the mode', (url: string) => call('PATCH', url, FILE, { body: '{"mode":"0600"}' }), 200],
    ['PATCH of the name', (url: string) => call('PATCH', url, FILE, { body: '{"name":"b.txt"}' }), 200],
    ['a copy', (url: string) => call('PATCH', url, FILE, { body: '{"destination":"/c.txt","copy":true}' }), 200],
  ] as const) {
    test(`is taken over for ${name} within a second of the owner's death, at whoever is asked`, async () => {
      for (const asked of ['sharer', 'other'] as const) {
        await using cluster = await startMembers();
        const { store, owner, sharer } = cluster;
        await put(owner, 'old');
        // Connections between them that the death breaks.
        await call('GET', cluster.other.url, FILE);
        await owner.kill();
        const [answer, ms] = await timed(act(cluster[asked].url));
        assert.equal(answer.status, check, `${asked}: ${answer.text}`);
        assert(ms < 1000, `took ${ms} ms at ${asked}`);
        assert.equal(await sharer.takeovers(), 1);
        const left = await store.listWholeOutbox(undefined, 10);
        assert(
          left.every(({ instanceId }) => instanceId === 'sharer'),
          'nothing is left to the dead',
        );
        const [again] = await timed(call('PUT', cluster[asked].url, FILE, { body: 'later' }));
        assert(again.status < 300, again.text);
        assert.equal((await call('GET', cluster[asked].url, FILE)).text, 'later');
      }
    });
  }

  test('is taken over from an owner that keeps silent, the first time soon, later at once', async (t) => {
    await using cluster = await startMembers();
    const { owner, sharer, other } = cluster;
    for (const name of ['a', 'b', 'c']) await put(owner, 'old', `/v1/files/${name}`);
    await owner.freeze();
    const [[first, firstMs], [atOther, otherMs]] = await Promise.all([
      timed(call('PUT', sharer.url, '/v1/files/a', { body: 'new' })),
      timed(call('GET', other.url, '/v1/files/b')),
    ]);
    const [second, secondMs] = await timed(call('PUT', sharer.url, '/v1/files/b', { body: 'new' }));
    const [third, thirdMs] = await timed(call('PUT', other.url, '/v1/files/c', { body: 'new' }));
    t.diagnostic(`PUT ${firstMs} ms, GET elsewhere ${otherMs} ms; then ${secondMs} ms and ${thirdMs} ms`);
    for (const { status, text } of [first, atOther, second, third]) assert.equal(status, 200, text);
    assert(firstMs < 5000 && otherMs < 5000 && secondMs < 1000 && thirdMs < 1000);
    assert.equal(await sharer.takeovers(), 3);
  });

  test('is given to one of many that want it at once, and every write is done', async () => {
    await using cluster = await startMembers();
    const { owner, sharer, other, start, bucket, store } = cluster;
    const third = await start('third', bucket);
    await put(owner, 'old');
    await owner.kill();
    const bodies = Array.from({ length: 24 }, (_, number) => `version ${number}`);
    const members = [sharer, third, other];
    const answers = await Promise.all(
      bodies.map((body, number) => call('PUT', members[number % 3]?.url ?? '', FILE, { body })),
    );
    for (const { status, text } of answers) assert.equal(status, 200, text);
    assert.equal((await sharer.takeovers()) + (await third.takeovers()), 1);
    const last = (await call('GET', third.url, FILE)).text;
    assert(bodies.includes(last));
    // One row for each content that another one replaced, all for the new owner.
    const { instanceId } = await entryAt(store, '/docs/a.txt');
    const rows = await store.listWholeOutbox(undefined, 100);
    assert.equal(rows.length, 24);
    assert(rows.every((row) => row.instanceId === instanceId));
  });

  for (const [name, request, acts, expected] of [
    ['a DELETE that was not done', ['DELETE'], false, 204],
    ['a DELETE that was done', ['DELETE'], true, 502],
    ['a rename that was not done', ['PATCH', '{"name":"b.txt"}'], false, 200],
    ['a copy, of which nobody can tell', ['PATCH', '{"destination":"/c.txt","copy":true}'], false, 502],
    ['a PUT whose bytes were on their way', ['PUT', 'new'], false, 502],
  ] as const) {
    test(`whose owner dies over ${name} is ${expected < 300 ? 'taken over' : 'left as it is'}`, async () => {
      await using cluster = await startMembers();
      const { owner, sharer, other, store } = cluster;
      await put(owner, 'old');
      const { id } = await entryAt(store, '/docs/a.txt');
      const dying = createServer();
      const die = async () => {
        if (acts) await store.removeEntry({ entryId: id, expectContentId: undefined });
        owner.breakOff();
      };
      dying.on('checkContinue', (incoming, answer) => {
        answer.writeContinue();
        incoming.on('data', () => void die());
      });
      dying.on('request', () => void die());
      await owner.replaceBy(dying);
      const [method, body] = request;
      const answer = await call(method, sharer.url, FILE, body === undefined ? {} : { body });
      assert.equal(answer.status, expected, answer.text);
      assert.equal(await sharer.takeovers(), expected < 300 ? 1 : 0);
      await put(other, 'later');
      assert.equal((await call('GET', sharer.url, FILE)).text, 'later');
    });
  }

  test('stays with an owner that is only slow', async () => {
    await using cluster = await startMembers({ responseTimeoutMs: 300 });
    const { owner, sharer, other, store } = cluster;
    await put(owner, 'old');
    const slow = createServer((incoming, answer) => {
      if (incoming.url === '/health') answer.end();
    });
    slow.on('checkContinue', () => {});
    await owner.replaceBy(slow);
    for (const [method, member] of [
      ['PUT', sharer],
      ['DELETE', sharer],
      ['GET', other],
      ['PUT', other],
    ] as const) {
      const body = method === 'PUT' ? { body: 'new' } : {};
      assert.equal((await call(method, member.url, FILE, body)).status, 504, `${method} at ${member.id}`);
    }
    assert.equal((await entryAt(store, '/docs/a.txt')).instanceId, 'owner');
  });

  test('stays with an owner that answers, whatever it answers', async () => {
    await using cluster = await startMembers();
    const { owner, sharer, store } = cluster;
    await put(owner, 'old');
    assert.equal((await call('DELETE', sharer.url, '/v1/files/docs')).status, 409);
    const conditional = { headers: { 'if-match': '"other"' } };
    assert.equal((await call('PUT', sharer.url, FILE, { body: 'new', ...conditional })).status, 412);
    assert.equal(await sharer.takeovers(), 0);
    await put(sharer, 'new');
    assert.equal((await entryAt(store, '/docs/a.txt')).instanceId, 'owner');
  });

  test('is not taken over by who has another bucket, or who is being drained; a sharer that runs is asked', async () => {
    await using cluster = await startMembers();
    const { store, owner, sharer, other, start } = cluster;
    const foreign = await start('foreign', new MemoryBucket('bucket-2', store));
    await put(owner, 'old');
    await owner.kill();
    sharer.draining = true;
    for (const member of [foreign, other, sharer]) {
      const answer = await call('PUT', member.url, FILE, { body: 'new' });
      assert.equal(answer.status, 502, `${member.id}: ${answer.text}`);
      assert.equal(answer.json().instance_id, 'owner');
    }
    assert.equal((await entryAt(store, '/docs/a.txt')).instanceId, 'owner');
    sharer.draining = false;
    await put(foreign, 'new');
    assert.equal((await entryAt(store, '/docs/a.txt')).instanceId, 'sharer');
  });

  test('on a disk of a dead owner is answered as ever', async () => {
    await using cluster = await startMembers();
    const { other, sharer } = cluster;
    await put(other, 'on a disk', '/v1/files/disk');
    await other.kill();
    for (const method of ['GET', 'DELETE']) {
      assert.equal((await call(method, sharer.url, '/v1/files/disk')).status, 502);
    }
  });

  test('that was taken over is not touched by what its former owner still has under way', async () => {
    await using cluster = await startMembers();
    const { owner, sharer, store } = cluster;
    await put(owner, 'old');
    const path = '/docs/a.txt' as VirtualPath;
    const file = await entryAt(store, path);
    const late = lateStore(store, () => takeOver(sharer.engine, file));
    const engine = { ...owner.engine, store: late };
    const asked = { user: ALICE, path, namesDirectory: false, preconditions: NO_PRECONDITIONS };
    const removal = await removeEntry(engine, { ...asked, recursive: false });
    assert.deepEqual([removal.kind, 'instanceId' in removal && removal.instanceId], ['elsewhere', 'sharer']);
    await store.takeOverEntry({ entryId: file.id, from: 'sharer', to: 'owner' });
    const destination = '/docs/b.txt' as VirtualPath;
    const where = { destination, destinationNamesDirectory: false, overwrite: false, createParents: false };
    const moved = await moveEntry(
      { ...owner.engine, store: lateStore(store, () => takeOver(sharer.engine, file)) },
      { ...asked, ...where, instanceId: undefined, backendType: undefined },
      {} as Work,
    );
    assert.equal(moved.kind, 'elsewhere');
    await store.takeOverEntry({ entryId: file.id, from: 'sharer', to: 'owner' });
    const changed = await changeAttributes(
      { ...owner.engine, store: lateStore(store, () => takeOver(sharer.engine, file)) },
      { ...asked, mode: 0o600, owner: undefined, group: undefined },
    );
    assert.equal(changed.kind, 'elsewhere');
    assert.equal((await call('GET', sharer.url, FILE)).text, 'old');
    assert.deepEqual(await store.listWholeOutbox(undefined, 10), []);
  });

  test('goes to another instance with the bucket without its bytes being copied, also when the owner is dead', async () => {
    await using cluster = await startMembers();
    const { owner, sharer, store } = cluster;
    await put(owner, 'hello');
    const before = await entryAt(store, '/docs/a.txt');
    await owner.kill();
    const body = JSON.stringify({ destination: '/docs/a.txt', instance: 'sharer' });
    const moved = await call('PATCH', cluster.other.url, FILE, { body });
    assert.equal(moved.status, 200, moved.text);
    assert.equal(moved.json().instance_id, 'sharer');
    const after = await entryAt(store, '/docs/a.txt');
    assert.deepEqual(after, { ...before, instanceId: 'sharer', version: after.version });
    assert.deepEqual(await store.listWholeOutbox(undefined, 10), []);
    const away = await call('PATCH', sharer.url, FILE, {
      body: JSON.stringify({ destination: '/b.txt', instance: 'other' }),
    });
    assert.equal(away.status, 200, away.text);
    assert.equal((await entryAt(store, '/b.txt')).backendType, 'localfs');
    assert.equal((await call('GET', sharer.url, '/v1/files/b.txt')).text, 'hello');
  });

  test('goes to another instance with the bucket when its dead owner is drained, which may be removed then', async () => {
    await using cluster = await startMembers();
    const { owner, sharer, other, store } = cluster;
    for (let number = 0; number < 20; number++) await put(owner, `file ${number}`, `/v1/files/${number}`);
    await put(owner, 'to be removed', '/v1/files/removed');
    assert.equal((await call('DELETE', owner.url, '/v1/files/removed')).status, 204);
    await owner.kill();
    const forget = (lostFiles: number) =>
      forgetInstance({ store, isAlive: async () => false }, { instanceId: 'owner', lostFiles });
    for (const lostFiles of [0, 20]) await assert.rejects(forget(lostFiles), /20 of them in a bucket that sharer has/);
    const targets = [other, sharer].map(({ id }) => ({ instanceId: id, freeBytes: undefined }));
    const drained = await drainInstance(
      {
        store,
        findTargets: async () =>
          targets.map((target, index) => ({ ...target, bucketId: ['', 'bucket-1'][index] ?? '' })),
        async move(path, instance) {
          const at = instance === 'sharer' ? sharer : other;
          const body = JSON.stringify({ destination: path, instance });
          const { status, text } = await call('PATCH', at.url, `/v1/files${path}`, { body });
          return status === 200
            ? { kind: 'moved' }
            : { kind: 'failed', reason: text, isTargetsFault: false, error: undefined };
        },
      },
      {
        ...{ instanceId: 'owner', parallel: 4, bytesPerSecond: undefined, onProgress() {} },
        signal: new AbortController().signal,
      },
    );
    assert.equal(drained.left.files, 0);
    assert.deepEqual([...drained.movedTo.keys()], ['sharer']);
    await forget(0);
    const rows = await store.listWholeOutbox(undefined, 100);
    assert.deepEqual(
      rows.map(({ instanceId, path }) => [instanceId, path]),
      [['sharer', '/removed']],
    );
    assert.equal((await call('GET', other.url, '/v1/files/7')).text, 'file 7');
  });

  test('is copied, alone and with its tree, while its owner is dead', async () => {
    await using cluster = await startMembers();
    const { owner, sharer, other, store } = cluster;
    await put(owner, 'hello');
    await owner.kill();
    const copy = async (at: BucketMember, body: object, path = FILE) => {
      const { status, text } = await call('PATCH', at.url, path, { body: JSON.stringify({ copy: true, ...body }) });
      assert.equal(status, 200, text);
    };
    await copy(other, { destination: '/onto-a-disk', instance: 'other' });
    assert.equal((await entryAt(store, '/onto-a-disk')).backendType, 'localfs');
    await copy(sharer, { destination: '/tree' }, '/v1/files/docs');
    assert.equal((await entryAt(store, '/docs/a.txt')).instanceId, 'owner', 'a copy only reads');
    for (const path of ['/v1/files/onto-a-disk', '/v1/files/tree/a.txt']) {
      assert.equal((await call('GET', sharer.url, path)).text, 'hello', path);
    }
  });
});

/** Lets something happen between the look of a use case and its commit. */
function lateStore(store: MemoryMetadataStore, meanwhile: () => Promise<unknown>): MetadataStore {
  let done: Promise<unknown> | undefined;
  return new Proxy<MetadataStore>(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return async (...args: unknown[]) => {
        if (name === 'removeEntry' || name === 'moveEntry' || name === 'changeAttributes') {
          done ??= meanwhile();
          await done;
        }
        return await value.apply(target, args);
      };
    },
  });
}
