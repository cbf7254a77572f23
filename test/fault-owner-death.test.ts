/** The owner dies: what it had acknowledged is there afterwards, and meanwhile only its own files are missed. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { suite, type TestContext, test } from 'node:test';
import { assertAtRest, assertNothingForeign, stagedFiles } from './support/at-rest.ts';
import { type Answer, call } from './support/client.ts';
import { ALICE_KEY, startCluster, type TestCluster, type TestInstance } from './support/cluster.ts';
import { startStaticCluster } from './support/member.ts';
import { latencies, median, quietMedian, timedCall } from './support/timing.ts';
import { waitFor } from './support/wait-for.ts';

const WRITES = 100;
const MAX_BYTES = 2 * 1024 * 1024;

/** Content of which no two files or versions share a line. */
function contentOf(path: string, version: string, sizeBytes: number): Buffer {
  return Buffer.alloc(sizeBytes, `${path} ${version} ${sizeBytes}\n`);
}

/** Sizes from 0 B to 2 MiB, many of them small, the same in every run. */
function sizeOf(number: number): number {
  if (number % 10 === 0) return 0;
  if (number % 10 === 1) return MAX_BYTES;
  return ((number * 2_654_435_761) % 2 ** 32) % (number % 2 === 0 ? MAX_BYTES : 64 * 1024);
}

interface Write {
  readonly path: string;
  readonly at: TestInstance;
  /** Undefined: the file is new. */
  readonly before: Buffer | undefined;
  readonly after: Buffer;
  answer: Answer | undefined;
}

/** Writes to files of the first instance, and a few new files of the others, whom its death must not touch. */
function planWrites(cluster: TestCluster, round: number): Write[] {
  return Array.from({ length: WRITES }, (_, number) => {
    const path = `/round-${round}/file-${number}.bin`;
    const isNew = number % 3 === 0;
    return {
      path,
      at: isNew && number % 9 !== 0 ? cluster.at(0) : cluster.at(number),
      before: isNew ? undefined : contentOf(path, 'before', sizeOf(WRITES - number)),
      after: contentOf(path, 'after', sizeOf(number)),
      answer: undefined,
    };
  });
}

const urlOf = (path: string): string => `/v1/files${path}`;

async function inBatches<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  for (let at = 0; at < items.length; at += 10) await Promise.all(items.slice(at, at + 10).map(work));
}

async function assertOldOrNew({ path, before, after, answer }: Write, reader: TestInstance): Promise<void> {
  const got = await call('GET', reader.url, urlOf(path));
  const acknowledged = answer !== undefined && answer.status < 300;
  const where = `${path} at ${reader.id}, acknowledged with ${answer?.status}`;
  if (got.status === 404) {
    assert(!acknowledged && before === undefined, `lost: ${where}`);
    return;
  }
  assert.equal(got.status, 200, `${where}: ${got.text.slice(0, 200)}`);
  assert(got.body.equals(after) || before?.equals(got.body), `neither the old nor the new content: ${where}`);
  if (!acknowledged) return;
  assert(got.body.equals(after), `the old content is back: ${where}`);
  assert.equal(got.headers.etag, answer.headers.etag, where);
}

suite('the owner is killed in the middle of 100 concurrent PUTs', { timeout: 180_000 }, () => {
  const moments = [
    { name: 'while the first contents are being staged', answers: 0 },
    { name: 'after the first answer', answers: 1 },
    { name: 'after 20 answers', answers: 20 },
    { name: 'after 50 answers', answers: 50 },
    { name: 'after 80 answers', answers: 80 },
  ];

  test('after its restart every path shows a whole old or new content, and everything acknowledged is there', async (t) => {
    await using cluster = await startCluster();
    const owner = cluster.at(0);
    for (const [round, { name, answers }] of moments.entries()) {
      await t.test(name, async (inner) => {
        const writes = planWrites(cluster, round);
        await inBatches(
          writes.filter(({ before }) => before !== undefined),
          async ({ path, before = Buffer.alloc(0) }) => {
            assert.equal((await call('PUT', owner.url, urlOf(path), { body: before })).status, 201);
          },
        );
        let answered = 0;
        const all = writes.map(async (write) => {
          write.answer = await call('PUT', write.at.url, urlOf(write.path), { body: write.after }).catch(
            () => undefined,
          );
          if (write.answer) answered++;
        });
        const moment = () => (answers === 0 ? stagedFiles(owner).length >= 3 : answered >= answers);
        await waitFor('the moment to kill', moment);
        await owner.kill();
        await Promise.all(all);
        const startedAt = performance.now();
        await owner.start();
        const statuses = Object.entries(Object.groupBy(writes, ({ answer }) => String(answer?.status ?? 'broken off')));
        const summary = statuses.map(([status, those]) => `${status}: ${those?.length}`).join(', ');
        inner.diagnostic(`${summary}; restarted in ${Math.round(performance.now() - startedAt)} ms`);
        // The others may know the new address up to 2 s late.
        for (const other of cluster.instances) await waitForFiles(cluster, other, writes[1]?.path ?? '');
        for (const reader of cluster.instances) await inBatches(writes, (write) => assertOldOrNew(write, reader));
        assertPeersFilesWritten(writes, owner);
        await assertAtRest(cluster);
        assertNothingForeign(cluster);
      });
    }
  });
});

/** New files of the other instances do not need the one that died. */
function assertPeersFilesWritten(writes: readonly Write[], owner: TestInstance): void {
  for (const { path, at, before, answer } of writes) {
    if (before === undefined && at !== owner) assert.equal(answer?.status, 201, `${path} at ${at.id}`);
  }
}

async function waitForFiles(cluster: TestCluster, { id, url }: TestInstance, path: string): Promise<void> {
  const isBack = async () => (await call('HEAD', url, urlOf(path))).status === 200;
  await waitFor(`${id} to reach ${cluster.at(0).id} again`, isBack, 5000);
}

for (const [kind, start] of [
  ['peers found through the store', () => startCluster()],
  ['configured peers', () => startStaticCluster(3)],
] as const) {
  suite(`a stopped owner, ${kind}`, { timeout: 60_000 }, () => {
    test('its files are answered with 502 PROXY_ERROR, soon and then at once; nobody else is slower; it may return', (t) =>
      stopOwner(t, start));
  });
}

const REFUSED = 'failed to proxy request to owning server: connection refused';

async function stopOwner(t: TestContext, start: () => Promise<TestCluster>): Promise<void> {
  await using cluster = await start();
  const [owner, b, c] = [cluster.at(0), cluster.at(1), cluster.at(2)];
  const path = '/v1/files/held-by-owner.txt';
  assert.equal((await call('PUT', owner.url, path, { body: 'kept' })).status, 201);
  for (const other of [b, c]) {
    assert.equal((await call('PUT', other.url, `/v1/files/of-${other.id}.txt`, { body: 'own' })).status, 201);
    // Both kinds of connection are in use when the owner dies.
    assert.equal((await call('GET', other.url, path)).text, 'kept');
    assert.equal((await call('PUT', other.url, path, { body: 'kept' })).status, 200);
  }
  const usual = median(await latencies(50, 200, 'GET', b.url, `/v1/files/of-${b.id}.txt`));
  await owner.kill();
  for (const other of [b, c]) {
    const first = await timedCall(other === b ? 'GET' : 'PUT', other.url, path, other === b ? {} : { body: 'new' });
    assertRefused(first, owner);
    assert(first.ms < 2000, `the first answer took ${first.ms} ms`);
    for (const method of ['GET', 'PUT', 'DELETE']) {
      const answer = await call(method, other.url, path, method === 'PUT' ? { body: 'lost' } : {});
      assertRefused(answer, owner);
    }
    assert.equal((await call('HEAD', other.url, path)).status, 502);
    for (const method of ['GET', 'HEAD', 'PUT', 'DELETE']) {
      const took = await quietMedian(50, 20, 502, method, other.url, path, method === 'PUT' ? { body: 'lost' } : {});
      t.diagnostic(`${method} at ${other.id}: first ${ms(first.ms)}, median ${ms(took)}`);
      assert(took < 50, `${method} took ${took} ms at the median`);
    }
  }
  await assertOthersUnaffected(t, [b, c], path, usual);
  await owner.start();
  for (const other of [b, c]) {
    const isBack = async () => (await call('GET', other.url, path)).text === 'kept';
    await waitFor(`${other.id} to reach the owner again`, isBack, 5000);
    assert.equal((await call('PUT', other.url, path, { body: 'kept' })).status, 200);
  }
  assert.equal((await call('DELETE', b.url, path)).status, 204);
  for (const { url } of cluster.instances) assert.equal((await call('GET', url, path)).status, 404);
  await assertAtRest(cluster);
}

function assertRefused(answer: Answer, owner: TestInstance): void {
  assert.equal(answer.status, 502, answer.text);
  const { code, message, instance_id, request_id } = answer.json();
  assert.deepEqual({ code, message, instance_id }, { code: 'PROXY_ERROR', message: REFUSED, instance_id: owner.id });
  assert.equal(request_id, answer.headers['x-request-id']);
}

/** Own files, new files and each other's files, while clients keep asking for what cannot be had. */
async function assertOthersUnaffected(
  t: TestContext,
  others: readonly TestInstance[],
  lost: string,
  usual: number,
): Promise<void> {
  const stop = new AbortController();
  const asking = others.map(async ({ url }) => {
    while (!stop.signal.aborted) await call('GET', url, lost);
  });
  try {
    for (const { id, url } of others) {
      for (const of of others) {
        const limit = 5 * usual + 10;
        const during = await quietMedian(limit, 50, 200, 'GET', url, `/v1/files/of-${of.id}.txt`);
        t.diagnostic(`GET of a file of ${of.id} at ${id}: median ${ms(during)}, usually ${ms(usual)}`);
        assert(during < limit, `${during} ms at the median, usually ${usual} ms`);
      }
      assert.equal((await call('POST', url, `/v1/files/new-${id}.txt`, { body: 'new' })).status, 201);
      assert.equal((await call('GET', url, '/ready', { key: null })).status, 200);
    }
  } finally {
    stop.abort();
    // Before the cluster is gone: a request that it cuts would be taken for the failure.
    await Promise.allSettled(asking);
  }
  await Promise.all(asking);
}

const ms = (value: number): string => `${value.toFixed(1)} ms`;

test('a download that the death of the owner breaks off is seen as broken, not as complete', {
  timeout: 60_000,
}, async () => {
  await using cluster = await startCluster({ instances: 2 });
  const [owner, b] = [cluster.at(0), cluster.at(1)];
  const path = '/v1/files/large.bin';
  const body = Buffer.alloc(64 * 1024 * 1024, 'content ');
  assert.equal((await call('PUT', owner.url, path, { body })).status, 201);
  const { port } = new URL(b.url);
  const client = connect({ host: '127.0.0.1', port: Number(port) });
  client.on('error', () => {});
  client.write(`GET ${path} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer ${ALICE_KEY}\r\n\r\n`);
  const [first] = (await once(client, 'data')) as [Buffer];
  client.pause();
  assert.match(first.toString('latin1'), /^HTTP\/1\.1 200 .*content-length: 67108864\r\n/is);
  await owner.kill();
  let receivedBytes = first.length;
  client.on('data', (chunk) => {
    receivedBytes += chunk.length;
  });
  client.resume();
  await once(client, 'close');
  assert(receivedBytes < body.length, `${receivedBytes} bytes came`);
  assert.equal((await call('GET', b.url, path)).status, 502);
});
