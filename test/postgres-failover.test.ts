/** Three instances on a PostgreSQL primary with a synchronous standby: the primary dies, the standby takes its place. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import postgres, { type Row } from 'postgres';
import { openPostgres } from '../src/metadata/sql/postgres-database.ts';
import { call } from './support/client.ts';
import { startCluster, type TestCluster } from './support/cluster.ts';
import { TestPostgres } from './support/postgres.ts';
import { waitFor } from './support/wait-for.ts';

const LANES = 12;

for (const order of ['primary first', 'standby first'] as const) {
  suite(`a cluster on two PostgreSQL servers, ${order} in the connection string`, () => {
    let primary: TestPostgres;
    let standby: TestPostgres;
    let cluster: TestCluster;
    let dsn: string;
    before(async () => {
      primary = await TestPostgres.start();
      primary.settings = { synchronous_standby_names: '*' };
      standby = await primary.startStandby();
      const database = new URL(await primary.createDatabase()).pathname.slice(1);
      const servers = [primary, standby].map(({ port }) => `127.0.0.1:${port}`);
      if (order === 'standby first') servers.reverse();
      dsn = `postgres://postgres@${servers}/${database}?target_session_attrs=read-write`;
      const config = { metadata_store: { type: 'postgres', dsn } };
      cluster = await startCluster({ config });
    });
    after(async () => {
      await cluster?.[Symbol.asyncDispose]();
      await standby?.[Symbol.asyncDispose]();
      await primary?.[Symbol.asyncDispose]();
    });

    const ready = async (url: string): Promise<number> => (await call('GET', url, '/ready', { key: null })).status;

    test('a standby alone is no metadata store', async () => {
      const alone = standby.dsn('postgres');
      await assert.rejects(openPostgres({ dsn: alone, durability: 'full' }), /does not accept writes/);
    });

    test('a failover loses nothing that was acknowledged and needs no restart', async () => {
      const acknowledged = new Map<string, string>();
      let killed = false;
      const lane = async (at: number): Promise<void> => {
        for (let serial = 0; ; serial++) {
          const path = `/v1/files/lane-${at}/${serial}`;
          const { status, text } = await call('PUT', cluster.at(at + serial).url, path, { body: path });
          if (status === 201) acknowledged.set(path, path);
          else {
            // Also before, if the machine has too much else to do.
            assert.equal(status, 503, text);
            if (killed) return;
          }
        }
      };
      const lanes = Array.from({ length: LANES }, (_, at) => lane(at));
      await waitFor('some files', () => acknowledged.size > 100);
      killed = true;
      await primary.killAll();
      await Promise.all(lanes);
      await assertUnavailable(cluster);

      assert.equal((await ask(standby, 'SELECT pg_promote() AS promoted'))?.promoted, true);
      for (const { url } of cluster.instances)
        await waitFor(`${url} to be ready`, async () => (await ready(url)) === 200);
      for (const [at, [path, body]] of [...acknowledged].entries()) {
        assert.equal((await call('GET', cluster.at(at).url, path)).text, body, path);
      }
      for (const { url, id } of cluster.instances) {
        assert.equal((await call('PUT', url, `/v1/files/after/${id}`, { body: id })).status, 201);
      }
      for (const { url } of cluster.instances) {
        for (const { id } of cluster.instances)
          assert.equal((await call('GET', url, `/v1/files/after/${id}`)).text, id);
      }
      assert(cluster.instances.every(({ isRunning }) => isRunning));
    });

    test('a former primary that comes back by itself is not used', async () => {
      await primary.startProcess();
      for (let round = 0; round < 3; round++) {
        await using database = await openPostgres({ dsn, durability: 'full' });
        const [row] = await database.read('SELECT inet_server_port() AS port', []);
        assert.equal(row?.port, standby.port);
      }
    });
  });
}

async function ask(server: TestPostgres, question: string): Promise<Row | undefined> {
  const sql = postgres(server.dsn('postgres'), { max: 1 });
  const [row] = await sql.unsafe(question);
  await sql.end();
  return row;
}

async function assertUnavailable(cluster: TestCluster): Promise<void> {
  for (const { url } of cluster.instances) {
    for (const [method, body] of [['GET'], ['PUT', 'lost'], ['POST', 'lost'], ['DELETE']] as const) {
      const startedAt = performance.now();
      const path = '/v1/files/lane-0/0';
      const answer = await call(method, url, path, body === undefined ? {} : { body });
      const tookMs = performance.now() - startedAt;
      assert.equal(answer.status, 503, `${method} at ${url}: ${answer.text}`);
      assert.equal(answer.json().code, 'METADATA_UNAVAILABLE');
      assert(tookMs < 2000, `${method} took ${tookMs} ms`);
    }
    const answer = await call('GET', url, '/ready', { key: null });
    assert.equal(answer.status, 503);
    assert.deepEqual(answer.json().broken, ['store']);
  }
}
