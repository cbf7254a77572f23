/** Transfers through an instance that does not own the file: any size and any pace, in constant memory. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import * as net from 'node:net';
import { after, before, suite, test } from 'node:test';
import { assertAtRest, stagedFiles } from './support/at-rest.ts';
import { call } from './support/client.ts';
import { ALICE_KEY, startCluster, type TestCluster, type TestInstance } from './support/cluster.ts';
import { patternBlocks } from './support/pattern.ts';
import { transferredBytes } from './support/process-usage.ts';
import { RawConnection } from './support/raw-connection.ts';
import { timedCall } from './support/timing.ts';
import { downloadHash, SlowReader, uploadPattern } from './support/transfers.ts';
import { waitFor } from './support/wait-for.ts';
import { watchMemory } from './support/watch-memory.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const LONG = process.env.CALLFS_LONG_TESTS === '1';
const path = '/v1/files/large.bin';

suite('a large file through an instance that does not own it', { timeout: 300_000 }, () => {
  let cluster: TestCluster;
  let owner: TestInstance;
  let b: TestInstance;
  let c: TestInstance;
  before(async () => {
    cluster = await startCluster();
    [owner, b, c] = [cluster.at(0), cluster.at(1), cluster.at(2)];
    assert.equal((await call('PUT', owner.url, path, { body: 'small' })).status, 201);
    // Warmed up: code compiled, buffers allocated, the heap as large as it gets in use.
    for (let round = 0; round < 2; round++) {
      assert.equal((await uploadPattern(b.url, path, 64 * MIB)).status, 200);
      for (const { url } of [b, c]) assert.equal((await downloadHash(url, path)).status, 200);
    }
  });
  after(() => cluster[Symbol.asyncDispose]());

  test("1 GiB up through B and down through C keeps its bytes, in constant memory and past B's disk", async (t) => {
    const memory = watchMemory(owner, b, c);
    const writtenBefore = transferredBytes(b.pid, 'write_bytes');
    let stagedAtB = 0;
    const looking = setInterval(() => {
      stagedAtB += stagedFiles(b).length;
    }, 50);
    const startedAt = performance.now();
    const sent = await uploadPattern(b.url, path, GIB);
    clearInterval(looking);
    t.diagnostic(`up in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
    assert.equal(sent.status, 200, sent.text);
    assert.equal(sent.headers['x-callfs-instance-id'], owner.id);
    assert.equal(sent.headers['x-callfs-size'], String(GIB));
    assert.equal(stagedAtB, 0, 'B staged something');
    const written = transferredBytes(b.pid, 'write_bytes') - writtenBefore;
    t.diagnostic(`B wrote ${written} bytes to disks, its heartbeats in the store included`);
    assert(written < 8 * MIB, `B wrote ${written} bytes to its disk`);
    memory.assertBounded(t);
    const got = await downloadHash(c.url, path);
    assert.equal(got.sha256, sent.sha256);
    assert.equal(got.headers['content-length'], String(GIB));
    assert.equal(got.headers.etag, sent.headers.etag);
    memory.assertBounded(t);
    await assertAtRest(cluster);
  });

  test('a reader that stops reading makes nobody read ahead: neither owner nor forwarder holds the file', async (t) => {
    const readers: SlowReader[] = [];
    const memory = watchMemory(owner, b);
    const readBefore = transferredBytes(owner.pid, 'rchar');
    try {
      for (let count = 0; count < 8; count++) readers.push(await SlowReader.open(b.url, path));
      let seen = -1;
      // Nothing moves any more: whatever was going to be buffered is.
      await waitFor(
        'the transfers to stand still',
        async () => {
          const now = transferredBytes(owner.pid, 'rchar');
          const standsStill = now - seen < 256 * 1024;
          seen = now;
          await new Promise((resolve) => setTimeout(resolve, 500));
          return standsStill;
        },
        20_000,
      );
      const readAhead = (transferredBytes(owner.pid, 'rchar') - readBefore) / readers.length;
      t.diagnostic(`the owner read ${(readAhead / MIB).toFixed(1)} MiB ahead of each reader, kernel buffers included`);
      assert(readAhead < 64 * MIB, `${readAhead} bytes`);
      memory.assertBounded(t);
      const other = await timedCall('GET', b.url, '/v1/files/', {});
      assert.equal(other.status, 200);
      assert(other.ms < 1000, 'others are served meanwhile');
    } finally {
      for (const reader of readers) reader[Symbol.dispose]();
    }
    memory.assertBounded(t);
  });
});

suite('slow clients through an instance that does not own the file', { timeout: 300_000, concurrency: true }, () => {
  let cluster: TestCluster;
  let owner: TestInstance;
  let b: TestInstance;
  before(async () => {
    // Shorter than the transfers and the pauses below: only silence may be cut, and only after an idle timeout.
    cluster = await startCluster({ instances: 2, config: { cluster: { response_timeout: '2s' } } });
    [owner, b] = [cluster.at(0), cluster.at(1)];
  });
  after(() => cluster[Symbol.asyncDispose]());

  const downloadSeconds = LONG ? 60 : 12;
  const pauseSeconds = LONG ? 20 : 6;

  test(`a download throttled to 1 MB/s for ${downloadSeconds} s is complete`, async (t) => {
    const target = '/v1/files/throttled.bin';
    // What the kernel buffers on the way is not throttled, so the file is larger than that.
    const sizeBytes = downloadSeconds * 1_000_000;
    assert.equal((await call('PUT', owner.url, target, { body: 'first' })).status, 201);
    const sent = await uploadPattern(b.url, target, sizeBytes);
    assert.equal(sent.status, 200, sent.text);
    const startedAt = performance.now();
    using reader = await SlowReader.open(b.url, target);
    assert.equal(reader.status, 200);
    assert.equal(reader.contentLength, sizeBytes);
    assert.equal(await reader.readAll(1_000_000), sent.sha256);
    t.diagnostic(`${sizeBytes} bytes in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
    assert(performance.now() - startedAt > (downloadSeconds - 1) * 1000);
  });

  for (const framing of ['content-length', 'chunked'] as const) {
    test(`an upload (${framing}) that pauses for ${pauseSeconds} s in the middle is complete`, async (t) => {
      const target = `/v1/files/paused-${framing}.bin`;
      assert.equal((await call('PUT', owner.url, target, { body: 'first' })).status, 201);
      const hash = createHash('sha256');
      const blocks = [...patternBlocks(4 * MIB, hash)];
      using client = await RawConnection.open(b.url);
      const length = framing === 'chunked' ? { 'transfer-encoding': 'chunked' } : { 'content-length': String(4 * MIB) };
      client.sendHead('PUT', target, { authorization: `Bearer ${ALICE_KEY}`, ...length });
      for (const [index, block] of blocks.entries()) {
        if (index === blocks.length / 2) {
          await new Promise((resolve) => setTimeout(resolve, pauseSeconds * 1000));
          assert.equal((await call('GET', b.url, target)).text, 'first', 'nothing is visible before it is complete');
        }
        client.send(framing === 'chunked' ? chunkOf(block) : block);
      }
      if (framing === 'chunked') client.send('0\r\n\r\n');
      const answer = await client.answer('PUT');
      assert.equal(answer.status, 200, answer.text);
      const got = await downloadHash(b.url, target);
      assert.equal(got.sha256, hash.digest('hex'));
      t.diagnostic(`paused for ${pauseSeconds} s`);
    });
  }
});

function chunkOf(block: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${block.length.toString(16)}\r\n`), block, Buffer.from('\r\n')]);
}

suite('clients that vanish in the middle, through an instance that does not own the file', { timeout: 120_000 }, () => {
  let cluster: TestCluster;
  let owner: TestInstance;
  let b: TestInstance;
  const target = '/v1/files/kept.bin';
  const MAX_CONNECTIONS = 2;
  before(async () => {
    cluster = await startCluster({ instances: 2, config: { cluster: { max_connections_per_peer: MAX_CONNECTIONS } } });
    [owner, b] = [cluster.at(0), cluster.at(1)];
    assert.equal((await call('PUT', owner.url, target, { body: 'first' })).status, 201);
    for (let round = 0; round < 2; round++) assert.equal((await uploadPattern(b.url, target, 64 * MIB)).status, 200);
    await downloadHash(b.url, target);
  });
  after(() => cluster[Symbol.asyncDispose]());

  /** Requests need a connection between the instances each: none of the few may be lost. */
  async function assertConnectionsFree(): Promise<void> {
    const answers = Array.from({ length: 4 * MAX_CONNECTIONS }, () => timedCall('HEAD', b.url, target));
    for (const { status, ms } of await Promise.all(answers)) {
      assert.equal(status, 200);
      assert(ms < 3000, `${ms} ms`);
    }
    const scratch = '/v1/files/scratch.txt';
    assert((await call('PUT', owner.url, scratch, { body: 'one' })).status < 300);
    const writes = Array.from({ length: 4 * MAX_CONNECTIONS }, () => timedCall('PUT', b.url, scratch, { body: 'two' }));
    for (const { status, ms } of await Promise.all(writes)) {
      assert.equal(status, 200);
      assert(ms < 3000, `${ms} ms`);
    }
  }

  for (const framing of ['content-length', 'chunked'] as const) {
    test(`during an upload (${framing}): the old content stays, nothing is left over, no connection stays busy`, async (t) => {
      const { headers } = await call('HEAD', owner.url, target);
      const memory = watchMemory(owner, b);
      for (let round = 0; round < 2 * MAX_CONNECTIONS + 1; round++) {
        const client = await RawConnection.open(b.url);
        const length = framing === 'chunked' ? { 'transfer-encoding': 'chunked' } : { 'content-length': String(GIB) };
        client.sendHead('PUT', target, { authorization: `Bearer ${ALICE_KEY}`, ...length });
        for (const block of patternBlocks(32 * MIB)) client.send(framing === 'chunked' ? chunkOf(block) : block);
        await waitFor('the owner to receive the body', () => stagedFiles(owner).length > 0);
        client[Symbol.dispose]();
        await waitFor('the owner to drop what came', () => stagedFiles(owner).length === 0, 5000);
      }
      for (const instance of [owner, b]) {
        const now = await call('HEAD', instance.url, target);
        assert.equal(now.headers.etag, headers.etag);
      }
      await assertConnectionsFree();
      memory.assertBounded(t);
      await assertAtRest(cluster);
    });
  }

  test('during a download: no connection stays busy', async (t) => {
    const memory = watchMemory(owner, b);
    for (let round = 0; round < 4 * MAX_CONNECTIONS; round++) {
      const reader = await SlowReader.open(b.url, target);
      assert.equal(reader.status, 200);
      reader[Symbol.dispose]();
    }
    await assertConnectionsFree();
    memory.assertBounded(t);
  });

  test('at any other moment: no connection stays busy', async () => {
    const { port } = new URL(b.url);
    const head = `host: test\r\nauthorization: Bearer ${ALICE_KEY}\r\n`;
    for (let round = 0; round < 300; round++) {
      const client = net.connect({ host: '127.0.0.1', port: Number(port) });
      client.on('error', () => {});
      await once(client, 'connect');
      if (round % 2 === 0) client.write(`GET ${target} HTTP/1.1\r\n${head}\r\n`);
      else client.write(`PUT ${target} HTTP/1.1\r\n${head}content-length: 1000000\r\n\r\nbegin`);
      // Between at once and a few milliseconds later.
      for (let turn = 0; turn < round % 30; turn++) await new Promise((resolve) => setImmediate(resolve));
      client.resetAndDestroy();
    }
    await assertConnectionsFree();
    assert.equal((await downloadHash(b.url, target)).status, 200);
    await assertAtRest(cluster);
  });

  test('readers that vanish while all connections are taken leave the queue', async () => {
    const blockers = await Promise.all(Array.from({ length: MAX_CONNECTIONS }, () => SlowReader.open(b.url, target)));
    const { port } = new URL(b.url);
    for (let round = 0; round < 20; round++) {
      const client = net.connect({ host: '127.0.0.1', port: Number(port) });
      client.on('error', () => {});
      await once(client, 'connect');
      client.write(`GET ${target} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer ${ALICE_KEY}\r\n\r\n`);
      await new Promise((resolve) => setImmediate(resolve));
      client.destroy();
    }
    const waiting = timedCall('HEAD', b.url, target);
    for (const blocker of blockers) blocker[Symbol.dispose]();
    assert.equal((await waiting).status, 200);
    await assertConnectionsFree();
  });
});
