/** Large files in a bucket: any size in constant memory, directly, through another instance and from backend to backend. */
import assert from 'node:assert/strict';
import { after, before, suite, type TestContext, test } from 'node:test';
import { assertBucketAtRest, listTree } from './support/at-rest.ts';
import { call } from './support/client.ts';
import { ALICE_KEY, type TestInstance } from './support/cluster.ts';
import { DiskAndBucket } from './support/disk-and-bucket.ts';
import { patternBlocks } from './support/pattern.ts';
import { transferredBytes } from './support/process-usage.ts';
import { startRadosgw, UNLESS_RADOSGW } from './support/radosgw.ts';
import { RawConnection } from './support/raw-connection.ts';
import type { TestS3 } from './support/test-s3.ts';
import { downloadHash, SlowReader, uploadPattern } from './support/transfers.ts';
import { waitFor } from './support/wait-for.ts';
import { watchMemory } from './support/watch-memory.ts';

const IS_LONG = process.env.CALLFS_LONG_TESTS === '1';
const MIB = 1024 * 1024;
const SIZE = (IS_LONG ? 1024 : 128) * MIB;
const ALLOWED_GROWTH = 96 * MIB;
const WARM_UP = 24 * MIB;
/** Longer than an instance waits for a byte of the bucket. */
const PAUSE_MS = IS_LONG ? 30_000 : 0;
const target = (path: string): string => `/v1/files${path}`;
const LARGE = target('/large.bin');

suite('large files in a bucket', { timeout: IS_LONG ? 1_200_000 : 240_000, skip: UNLESS_RADOSGW }, () => {
  let s3: TestS3;
  let both: DiskAndBucket;
  let disk: TestInstance;
  let keeper: TestInstance;
  before(async () => {
    s3 = await startRadosgw();
    both = await DiskAndBucket.start(s3);
    ({ disk, keeper } = both);
    const path = target('/warm-up');
    await putSmall(path);
    // Code compiled, buffers allocated, the heap as large as it gets in use.
    for (const { url } of both.instances) {
      assert.equal((await uploadPattern(url, path, WARM_UP)).status, 200);
      assert.equal((await downloadHash(url, path)).status, 200);
    }
    for (const change of MOVES) await move(path, change);
    assert.equal((await call('DELETE', keeper.url, path)).status, 204);
  });
  after(async () => {
    await both?.[Symbol.asyncDispose]();
    await s3?.[Symbol.asyncDispose]();
  });

  /** In the bucket, so that what replaces it goes there, too. */
  async function putSmall(path: string): Promise<void> {
    assert.equal((await call('PUT', keeper.url, path, { body: 'small' })).status, 201);
  }

  async function move(path: string, change: object): Promise<void> {
    const moved = await call('PATCH', disk.url, path, { body: JSON.stringify(change) });
    assert.equal(moved.status, 200, moved.text);
  }

  async function staged(): Promise<readonly string[]> {
    const { name } = both.bucket;
    return [...(await s3.objects(name, '.callfs/')), ...(await s3.uploads(name))];
  }

  const assertAtRest = async (): Promise<void> => assertBucketAtRest(both.bucket, await listTree(disk));

  const MOVES = [
    { backend: 'localfs' },
    { backend: 's3' },
    { instance: 'callfs-1', backend: 'localfs' },
    { instance: 'keeper', backend: 's3' },
  ];

  test(`${SIZE / MIB} MiB go to the bucket and back, and from backend to backend, in constant memory`, async (t) => {
    await putSmall(LARGE);
    const memory = watchMemory(disk, keeper);
    const timed = async <T>(what: string, work: Promise<T>): Promise<T> => {
      const startedAt = performance.now();
      const done = await work;
      t.diagnostic(`${what}: ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
      return done;
    };
    const sent = await timed('PUT through the instance with a disk', uploadPattern(disk.url, LARGE, SIZE));
    assert.equal(sent.status, 200, sent.text);
    assert.equal(sent.headers['x-callfs-instance-id'], keeper.id);
    assert.equal(sent.headers['x-callfs-backend-type'], 's3');
    for (const change of [undefined, ...MOVES]) {
      if (change) await timed(JSON.stringify(change), move(LARGE, change));
      const got = await timed('GET', downloadHash(disk.url, LARGE));
      assert.equal(got.sha256, sent.sha256);
      assert.equal(got.headers['content-length'], String(SIZE));
      assert.equal(got.headers['x-callfs-instance-id'], change?.instance ?? keeper.id);
    }
    memory.assertBounded(t, ALLOWED_GROWTH);
    await assertAtRest();
  });

  test('readers that stop reading cost no memory, and get the rest when they go on, wherever the bytes lie then', async (t) => {
    const readers: SlowReader[] = [];
    const memory = watchMemory(disk, keeper);
    const { sha256 } = await downloadHash(keeper.url, LARGE);
    try {
      for (const { url } of [disk, keeper, disk, keeper]) readers.push(await SlowReader.open(url, LARGE));
      const stands = await standsStill(keeper);
      t.diagnostic(`the keeper read ${(stands / MIB).toFixed(0)} MiB ahead`);
      memory.assertBounded(t, ALLOWED_GROWTH);
      await move(LARGE, { destination: '/moved.bin' });
      await assertAtRest();
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      for (const reader of readers) {
        assert.equal(reader.status, 200);
        assert.equal(await reader.readAll(Number.POSITIVE_INFINITY), sha256);
      }
    } finally {
      for (const reader of readers) reader[Symbol.dispose]();
    }
    memory.assertBounded(t, ALLOWED_GROWTH);
    await move(target('/moved.bin'), { destination: '/large.bin' });
  });

  for (const framing of ['content-length', 'chunked'] as const) {
    for (const way of ['directly', 'through another instance'] as const) {
      test(`a client that vanishes in the middle of an upload (${framing}, ${way}) leaves nothing`, async (t) => {
        const path = await prepareOld(t);
        for (let round = 0; round < (IS_LONG ? 5 : 2); round++) {
          using client = await beginUpload(way === 'directly' ? keeper : disk, path, framing);
          client[Symbol.dispose]();
          await waitFor('nothing to be left of it', async () => (await staged()).length === 0);
        }
        for (const { url } of both.instances) assert.equal((await call('GET', url, path)).text, 'small');
        await assertAtRest();
      });

      test(`an instance killed in the middle of an upload (${framing}, ${way}) leaves nothing once it is back`, async (t) => {
        const path = await prepareOld(t);
        using client = await beginUpload(way === 'directly' ? keeper : disk, path, framing);
        await keeper.kill();
        assert.notDeepEqual(await staged(), []);
        if (way === 'through another instance') assert.equal((await client.answer('PUT')).status, 502);
        await keeper.start();
        await waitFor('nothing to be left of it', async () => (await staged()).length === 0);
        const read = () => call('GET', disk.url, path);
        await waitFor('the keeper to be known as back', async () => (await read()).status === 200);
        for (const { url } of both.instances) assert.equal((await call('GET', url, path)).text, 'small');
        await assertAtRest();
      });
    }
  }

  async function prepareOld({ name }: TestContext): Promise<string> {
    const path = target(`/old/${name.replaceAll(/[^a-z]/g, '-')}`);
    await putSmall(path);
    await assertAtRest();
    return path;
  }

  /** Sends less than it promises, and waits until some of it has arrived in the bucket. */
  async function beginUpload(at: TestInstance, path: string, framing: 'content-length' | 'chunked') {
    const client = await RawConnection.open(at.url);
    const length = framing === 'chunked' ? { 'transfer-encoding': 'chunked' } : { 'content-length': String(64 * MIB) };
    client.sendHead('PUT', path, { authorization: `Bearer ${ALICE_KEY}`, ...length });
    for (const block of patternBlocks(24 * MIB)) {
      client.send(
        framing === 'chunked' ? Buffer.concat([Buffer.from('40000\r\n'), block, Buffer.from('\r\n')]) : block,
      );
    }
    await waitFor('a part to be in the bucket', async () => (await s3.uploads(both.bucket.name)).length > 0);
    return client;
  }
});

/** @returns how many bytes the instance has read when it reads no more */
async function standsStill({ pid }: TestInstance): Promise<number> {
  const begun = transferredBytes(pid, 'rchar');
  let seen = begun;
  await waitFor('the transfers to stand still', async () => {
    const before = seen;
    await new Promise((resolve) => setTimeout(resolve, 500));
    seen = transferredBytes(pid, 'rchar');
    return seen - before < 256 * 1024;
  });
  return seen - begun;
}
