/** Resumable uploads through all that breaks: connections, instances, clients. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { suite, test } from 'node:test';
import { Upload } from 'tus-js-client';
import { filesOnDisk, stagedFiles } from './support/at-rest.ts';
import { ALICE_KEY, startCluster, type TestInstance } from './support/cluster.ts';
import { patternBlocks } from './support/pattern.ts';
import { downloadHash } from './support/transfers.ts';
import { begin, cutPatch, offsetAt, openPatch, PIECE_TYPE, patch, tus } from './support/tus.ts';
import { waitFor } from './support/wait-for.ts';

const MIB = 1024 * 1024;
const IS_LONG = process.env.CALLFS_LONG_TESTS === '1';
const SIZE = IS_LONG ? 1024 * MIB : 100 * MIB;
const CUTS = 20;
const BLOCK = 256 * 1024;

/** The pattern from an offset on. */
function* blocksFrom(offset: number): Generator<Buffer> {
  let at = 0;
  for (const block of patternBlocks(SIZE)) {
    const end = at + block.length;
    if (end > offset) yield block.subarray(Math.max(0, offset - at));
    at = end;
  }
}

function hashOfPattern(sizeBytes: number): string {
  const hash = createHash('sha256');
  for (const _ of patternBlocks(sizeBytes, hash));
  return hash.digest('hex');
}

suite('resumable uploads that are cut', () => {
  test('20 cuts, each continued at another instance, cost at most 1 MiB each', { timeout: 600_000 }, async (t) => {
    await using cluster = await startCluster({ instances: 3 });
    const url = await begin(cluster.at(0), '/cut.bin', SIZE);
    const pieceBytes = Math.floor(SIZE / (CUTS + 1));
    const again: number[] = [];
    let offset = 0;
    for (let cut = 0; cut < CUTS; cut++) {
      const at = cluster.at(cut);
      const promised = { offset, length: SIZE - offset, cutAfter: pieceBytes + (cut % 5) * 1000 };
      const sent = await cutPatch(at, url, { ...promised, blocks: blocksFrom(offset) });
      const next = await settledOffset(cluster.at(cut + 1), url);
      again.push(offset + sent - next);
      assert(next > offset && next <= offset + sent, `${next} after ${offset} and ${sent}`);
      offset = next;
    }
    t.diagnostic(`sent again per cut, in bytes: ${again.join(' ')}`);
    assert(Math.max(...again) <= MIB, `sent again: ${again.join(' ')}`);
    await finish(cluster.at(1), url, offset);
    for (const at of cluster.instances) {
      assert.equal((await downloadHash(at.url, '/v1/files/cut.bin')).sha256, hashOfPattern(SIZE));
    }
    for (const other of [cluster.at(1), cluster.at(2)]) assert.deepEqual(filesOnDisk(other), []);
  });

  test('the holder is killed in the middle, and at the end', { timeout: 300_000 }, async () => {
    await using cluster = await startCluster({ instances: 2 });
    const [holder, peer] = [cluster.at(0), cluster.at(1)];
    const url = await begin(holder, '/killed.bin', 3 * BLOCK);
    const blocks = [...patternBlocks(3 * BLOCK)];
    {
      using running = await openPatch(peer, url, { offset: 0, length: 3 * BLOCK });
      for (const block of blocks.slice(0, 2)) running.send(block);
      await waitFor('the bytes', async () => (await offsetAt(peer, url)) === 2 * BLOCK);
      await holder.kill();
      assert.equal((await running.answer('PATCH')).status, 502);
    }
    assert.equal((await tus('HEAD', peer, url)).status, 502);
    await holder.start();
    await waitFor('the holder', async () => (await tus('HEAD', peer, url)).status === 200);
    assert.equal(await offsetAt(peer, url), 2 * BLOCK);
    const last = await patch(peer, url, 2 * BLOCK, blocks[2] ?? Buffer.alloc(0));
    assert.equal(last.status, 204, last.text);
    assert.equal((await downloadHash(peer.url, '/v1/files/killed.bin')).sha256, hashOfPattern(3 * BLOCK));
  });

  for (const point of ['stage:synced', 'stage:durable', 'engine:before-commit', 'engine:after-commit'] as const) {
    test(`a kill at ${point} of the last part leaves it done or to be done`, { timeout: 120_000 }, async () => {
      await using cluster = await startCluster({ instances: 2 });
      const [holder, peer] = [cluster.at(0), cluster.at(1)];
      const url = await begin(holder, '/finished.txt', 4);
      assert.equal((await patch(peer, url, 0, 'ab')).status, 204);
      await holder.stop();
      await holder.start({ CALLFS_FAULT_POINT: `${point}:1` });
      await waitFor('the holder', async () => (await tus('HEAD', peer, url)).status === 200);
      const killed = await patch(peer, url, 2, 'cd').catch(() => undefined);
      assert(killed === undefined || killed.status >= 500, `not killed: ${killed?.status}`);
      await waitFor('the kill', () => !holder.isRunning);
      await holder.start();
      await waitFor('the holder', async () => (await tus('HEAD', peer, url)).status === 200);
      assert.equal(await offsetAt(peer, url), 4);
      assert.equal((await downloadHash(peer.url, '/v1/files/finished.txt')).status, 200);
      assert.equal((await patch(peer, url, 4, '')).status, 204);
      await waitFor('the disk to be in order', () => {
        return stagedFiles(holder).length === 0 && filesOnDisk(holder).join() === '/finished.txt';
      });
    });
  }

  test('tus-js-client uploads, resumes elsewhere, and in parallel', { timeout: 120_000 }, async () => {
    await using cluster = await startCluster({ instances: 2 });
    const content = Buffer.concat([...patternBlocks(2 * MIB + 17)]);
    const url = await abandoned(cluster.at(0), content);
    await sent(content, { uploadUrl: `${cluster.at(1).url}${url}`, chunkSize: 500_000 });
    await sent(content, {
      endpoint: `${cluster.at(1).url}/v1/uploads`,
      metadata: { path: '/parallel.bin', filetype: 'application/x-parallel' },
      metadataForPartialUploads: {},
      parallelUploads: 3,
    });
    const expected = createHash('sha256').update(content).digest('hex');
    for (const at of cluster.instances) {
      assert.equal((await downloadHash(at.url, '/v1/files/client.bin')).sha256, expected);
      const { sha256, headers } = await downloadHash(at.url, '/v1/files/parallel.bin');
      assert.equal(sha256, expected);
      assert.equal(headers['content-type'], 'application/x-parallel');
    }
  });
});

/** As clients ask: until an answer is neither "in use" nor on its way. */
async function settledOffset(at: TestInstance, url: string): Promise<number> {
  let last = -1;
  return await waitFor('the offset to stand', async () => {
    const before = last;
    last = await offsetAt(at, url);
    const probe = await patch(at, url, last, '');
    return probe.status === 204 && last === before ? last : undefined;
  });
}

async function finish(at: TestInstance, url: string, offset: number): Promise<void> {
  const { request } = await import('undici');
  const { Readable } = await import('node:stream');
  const answer = await request(at.url + url, {
    method: 'PATCH',
    headers: {
      ...{ authorization: `Bearer ${ALICE_KEY}`, 'tus-resumable': '1.0.0', 'content-type': PIECE_TYPE },
      ...{ 'upload-offset': String(offset), 'content-length': String(SIZE - offset) },
    },
    body: Readable.from(blocksFrom(offset), { objectMode: true, highWaterMark: 2 }),
    headersTimeout: 300_000,
  });
  assert.equal(answer.statusCode, 204, await answer.body.text());
}

type ClientOptions = ConstructorParameters<typeof Upload>[1];

const HEADERS = { authorization: `Bearer ${ALICE_KEY}` };

function sent(content: Buffer, options: ClientOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    new Upload(content, { headers: HEADERS, onSuccess: () => resolve(), onError: reject, ...options }).start();
  });
}

/** Begins an upload with the client and gives it up after a chunk. @returns its URL without the host */
function abandoned(at: TestInstance, content: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const upload = new Upload(content, {
      ...{ headers: HEADERS, endpoint: `${at.url}/v1/uploads`, chunkSize: 300_000, onError: reject },
      metadata: { path: '/client.bin' },
      onChunkComplete() {
        void upload.abort().then(() => resolve(new URL(upload.url ?? '').pathname), reject);
      },
    });
    upload.start();
  });
}
