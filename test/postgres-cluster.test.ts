/** Three instances on a real PostgreSQL: the races, and a store that goes away and comes back. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { call } from './support/client.ts';
import { startCluster, type TestCluster } from './support/cluster.ts';
import { TestPostgres } from './support/postgres.ts';
import { waitFor } from './support/wait-for.ts';

const RACERS = 8;
/** Not asked for on loopback, but part of the configuration. */
const PASSWORD = 'open-sesame-4711';
const ROUNDS = process.env.CALLFS_LONG_TESTS === '1' ? 2000 : 200;

suite('a cluster on PostgreSQL', () => {
  let server: TestPostgres;
  let cluster: TestCluster;
  before(async () => {
    server = await TestPostgres.start();
    const dsn = (await server.createDatabase()).replace('postgres@', `postgres:${PASSWORD}@`);
    const config = { metadata_store: { type: 'postgres', dsn } };
    cluster = await startCluster({ config });
  });
  after(async () => {
    await cluster?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  const everywhere = (path: string) => Promise.all(cluster.instances.map(({ url }) => call('GET', url, path)));

  test(`of eight simultaneous POSTs one wins, in ${ROUNDS} rounds`, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const path = `/v1/files/posts/${round}`;
      const answers = await Promise.all(
        Array.from({ length: RACERS }, (_, racer) =>
          call('POST', cluster.at(round + racer).url, path, { body: `${racer}` }),
        ),
      );
      const winners = answers.filter(({ status }) => status === 201);
      const losers = answers.filter(({ status }) => status === 409);
      assert.deepEqual([winners.length, losers.length], [1, RACERS - 1], `round ${round}`);
      const owner = winners[0]?.headers['x-callfs-instance-id'];
      assert(losers.every((loser) => loser.json().instance_id === owner));
      const winner = answers.findIndex(({ status }) => status === 201);
      for (const { text } of await everywhere(path)) assert.equal(text, `${winner}`);
    }
  });

  test('simultaneous PUTs all succeed and leave one content, the same everywhere', async () => {
    for (let round = 0; round < 50; round++) {
      const path = `/v1/files/puts/${round}`;
      const answers = await Promise.all(
        Array.from({ length: RACERS }, (_, racer) =>
          call('PUT', cluster.at(round + racer).url, path, { body: `body of ${racer}` }),
        ),
      );
      assert.equal(answers.filter(({ status }) => status === 201).length, 1);
      assert.equal(answers.filter(({ status }) => status === 200).length, RACERS - 1);
      const texts = (await everywhere(path)).map(({ text }) => text);
      assert.equal(new Set(texts).size, 1);
      assert.match(texts[0] ?? '', /^body of \d$/);
    }
  });

  test('creations in a directory that does not exist yet all succeed', async () => {
    for (let round = 0; round < 5; round++) {
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, file) =>
          call('POST', cluster.at(file).url, `/v1/files/new-${round}/deep/file-${file}`, { body: 'x' }),
        ),
      );
      assert(answers.every(({ status }) => status === 201));
      const listing = await call('GET', cluster.at(round).url, `/v1/directories/new-${round}/deep`);
      assert.equal(listing.json().count, 50);
    }
  });

  test('a counter loses no increment that was confirmed by If-Match', async () => {
    const path = '/v1/files/counter';
    await call('PUT', cluster.at(0).url, path, { body: '0' });
    const increment = async (writer: number): Promise<void> => {
      for (let done = 0; done < 10; ) {
        const { url } = cluster.at(writer + done);
        const now = await call('GET', url, path);
        const headers = { 'if-match': String(now.headers.etag) };
        const put = await call('PUT', url, path, { headers, body: String(Number(now.text) + 1) });
        assert(put.status === 200 || put.status === 412);
        if (put.status === 200) done++;
      }
    };
    await Promise.all([0, 1, 2, 3].map(increment));
    assert.equal((await call('GET', cluster.at(1).url, path)).text, '40');
  });

  test('without the store everything is 503 within 2 s and nothing is lost; with it all is well without a restart', async () => {
    const path = '/v1/files/precious';
    assert.equal((await call('PUT', cluster.at(0).url, path, { body: 'before' })).status, 201);
    await server.stopProcess('SIGKILL');
    for (const { url } of cluster.instances) {
      for (const [method, body] of [['GET'], ['HEAD'], ['PUT', 'lost'], ['POST', 'lost'], ['DELETE']] as const) {
        const startedAt = performance.now();
        const answer = await call(method, url, path, body === undefined ? {} : { body });
        assert.equal(answer.status, 503, `${method} at ${url}: ${answer.text}`);
        assert(performance.now() - startedAt < 2000, `${method} took ${performance.now() - startedAt} ms`);
        assert(answer.headers['retry-after']);
        if (method !== 'HEAD') assert.equal(answer.json().code, 'METADATA_UNAVAILABLE');
      }
      const ready = await call('GET', url, '/ready', { key: null });
      assert.equal(ready.status, 503);
      assert.deepEqual(ready.json().broken, ['store']);
      assert.equal((await call('GET', url, '/health', { key: null })).status, 200);
    }
    await server.startProcess();
    for (const { url } of cluster.instances) {
      await waitFor(`${url} to be ready`, async () => (await call('GET', url, '/ready', { key: null })).status === 200);
    }
    for (const { text } of await everywhere(path)) assert.equal(text, 'before');
    assert.equal((await call('PUT', cluster.at(2).url, path, { body: 'after' })).status, 200);
    for (const { text } of await everywhere(path)) assert.equal(text, 'after');
    for (const instance of cluster.instances) assert(instance.isRunning);
  });

  test('a store that is frozen is 503 within 2 s, too', async () => {
    const path = '/v1/files/frozen-store';
    assert.equal((await call('PUT', cluster.at(0).url, path, { body: 'before' })).status, 201);
    server.signalAll('SIGSTOP');
    try {
      for (const [method, body] of [['GET'], ['PUT', 'lost'], ['DELETE']] as const) {
        const startedAt = performance.now();
        const answer = await call(method, cluster.at(1).url, path, body === undefined ? {} : { body });
        assert.equal(answer.status, 503, `${method}: ${answer.text}`);
        assert(performance.now() - startedAt < 2100, `${method} took ${performance.now() - startedAt} ms`);
      }
    } finally {
      server.signalAll('SIGCONT');
    }
    for (const { url } of cluster.instances) {
      await waitFor(`${url} to be ready`, async () => (await call('GET', url, '/ready', { key: null })).status === 200);
    }
    for (const { text } of await everywhere(path)) assert.equal(text, 'before');
  });

  test('the password of the database is in no log', () => {
    for (const { log } of cluster.instances) assert(!JSON.stringify(log).includes(PASSWORD));
  });
});
