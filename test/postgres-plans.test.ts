/** What reading costs on PostgreSQL: statements, round trips, and what the server looks at for them. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import postgres, { type Sql } from 'postgres';
import { ROOT_ID } from '../src/core/entry.ts';
import { sampleDirectory, sampleFile } from '../src/metadata/metadata-store.contract.ts';
import { openPostgres, type PostgresDatabase } from '../src/metadata/sql/postgres-database.ts';
import { RESOLVE, textArray } from '../src/metadata/sql/postgres-resolve.ts';
import { SqlMetadataStore } from '../src/metadata/sql/sql-metadata-store.ts';
import { call } from './support/client.ts';
import { startCluster } from './support/cluster.ts';
import { TestPostgres } from './support/postgres.ts';
import { PostgresProxy } from './support/postgres-proxy.ts';

const ENTRIES = process.env.CALLFS_LONG_TESTS === '1' ? 1_000_000 : 100_000;
const DIRECTORIES = 100;
const PAGE = 1000;

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Index Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Shared Hit Blocks': number;
  readonly 'Shared Read Blocks': number;
  readonly Plans?: readonly PlanNode[];
}

suite('reading from PostgreSQL', () => {
  let server: TestPostgres;
  let proxy: PostgresProxy;
  before(async () => {
    server = await TestPostgres.start();
    proxy = await PostgresProxy.start(server.port);
  });
  after(async () => {
    await proxy?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  async function openThroughProxy(): Promise<PostgresDatabase> {
    return openPostgres({ dsn: proxy.through(await server.createDatabase()), durability: 'full' });
  }

  /** What work costs once its statements are prepared. */
  async function costOf(work: () => Promise<unknown>): Promise<{ statements: number; roundTrips: number }> {
    await work();
    const { statements, roundTrips } = proxy;
    await work();
    return { statements: proxy.statements - statements, roundTrips: proxy.roundTrips - roundTrips };
  }

  test('resolving a path is one statement and one round trip, whatever its length', async () => {
    const database = await openThroughProxy();
    await using store = new SqlMetadataStore(database);
    for (const depth of [0, 1, 5, 20, 300]) {
      const names = Array.from({ length: depth }, (_, at) => `d${at}`);
      assert.deepEqual(await costOf(() => store.resolve(names)), { statements: 1, roundTrips: 1 }, `${depth} names`);
      assert.deepEqual(await costOf(() => database.resolve(names)), { statements: 1, roundTrips: 1 }, `${depth} names`);
    }
  });

  test('a path is resolved down to where it ends, whatever is in its names', async () => {
    const database = await openThroughProxy();
    await using store = new SqlMetadataStore(database);
    const names = ['a', 'with "quotes"', '{braces, commas}', 'NULL', 'back\\slash', 'ünïcode', "'"];
    const directories = names.map((name) => sampleDirectory(name));
    const entry = sampleFile('file');
    await store.createEntry({ parentId: ROOT_ID, missingParents: directories, entry });
    const found = async (...path: readonly string[]) => (await database.resolve(path)).map(({ name }) => name);
    assert.deepEqual(await found(), ['']);
    assert.deepEqual(await found(...names, 'file'), ['', ...names, 'file']);
    assert.deepEqual(await found(...names, 'missing', 'file'), ['', ...names]);
    assert.deepEqual(await found('missing'), ['']);
    assert.deepEqual(
      [...(await database.resolve([...names, 'file']))],
      await resolvedRows(database, [...names, 'file']),
    );
  });

  test('a page of entries is one statement and one round trip', async () => {
    const database = await openThroughProxy();
    await using store = new SqlMetadataStore(database);
    assert.deepEqual(await costOf(() => store.listChildren(ROOT_ID, undefined, PAGE)), {
      statements: 1,
      roundTrips: 1,
    });
    assert.deepEqual(await costOf(() => store.listFiles(undefined, PAGE)), { statements: 1, roundTrips: 1 });
  });

  test('a mutation is BEGIN with the question for its id, its statements, and COMMIT', async () => {
    const database = await openThroughProxy();
    await using store = new SqlMetadataStore(database);
    let serial = 0;
    const create = () => {
      const entry = sampleFile(`file-${serial++}`);
      return store.createEntry({ parentId: ROOT_ID, missingParents: [], entry });
    };
    assert.deepEqual(await costOf(create), { statements: 4, roundTrips: 3 });
  });

  test('reading own files costs one statement each', async () => {
    const gets = 1000;
    const dsn = proxy.through(await server.createDatabase());
    await using cluster = await startCluster({ instances: 1, config: { metadata_store: { type: 'postgres', dsn } } });
    const { url } = cluster.at(0);
    assert.equal((await call('PUT', url, '/v1/files/some/own/file', { body: 'x' })).status, 201);
    const get = async () => assert.equal((await call('GET', url, '/v1/files/some/own/file')).text, 'x');
    for (let warm = 0; warm < 50; warm++) await get();
    const startedAt = performance.now();
    const { statements, roundTrips } = proxy;
    for (let done = 0; done < gets; done++) await get();
    const seconds = (performance.now() - startedAt) / 1000;
    // Beside them the heartbeat and the looks of those who watch: a handful a second.
    const others = 20 + 10 * seconds;
    assert(proxy.statements - statements <= gets + others, `${proxy.statements - statements} statements`);
    assert(proxy.roundTrips - roundTrips <= gets + others, `${proxy.roundTrips - roundTrips} round trips`);
  });

  test(`among ${ENTRIES} entries a page and a path cost what they return`, async (t) => {
    const dsn = await server.createDatabase();
    await using _database = await openPostgres({ dsn, durability: 'full' });
    const sql = postgres(dsn, { max: 1, onnotice: () => {} });
    try {
      await fill(sql);
      const page = `SELECT * FROM entries WHERE parent_id = $1 AND name > $2 ORDER BY name LIMIT $3`;
      const middle = String(ENTRIES / 2).padStart(8, '0');
      const pagePlan = await explain(sql, page, ['big', `f${middle}`, PAGE]);
      t.diagnostic(`page: ${describe(pagePlan)}`);
      const pageNodes = allNodes(pagePlan);
      assert(pageNodes.every((node) => node['Node Type'] !== 'Seq Scan' && node['Node Type'] !== 'Sort'));
      assert(pageNodes.some((node) => node['Index Name'] === 'entries_pkey'));
      assert(pageNodes.every((node) => node['Actual Rows'] * node['Actual Loops'] <= PAGE));
      assert(buffersOf(pagePlan) < PAGE / 2 + 100, `${buffersOf(pagePlan)} buffers`);

      const pathPlan = await explain(sql, RESOLVE, [textArray(['big', `f${middle}`])]);
      t.diagnostic(`path: ${describe(pathPlan)}`);
      const pathNodes = allNodes(pathPlan);
      assert(pathNodes.every((node) => node['Node Type'] !== 'Seq Scan'));
      assert(pathNodes.every((node) => node['Actual Rows'] * node['Actual Loops'] <= 4));
      assert(buffersOf(pathPlan) <= 40, `${buffersOf(pathPlan)} buffers`);
    } finally {
      await sql.end();
    }
  });

  test('a path of 2,000 names is resolved in milliseconds', async (t) => {
    const depth = 2000;
    const database = await openThroughProxy();
    await using store = new SqlMetadataStore(database);
    const names = Array.from({ length: depth }, (_, at) => `${at % 10}`);
    const directories = names.map((name) => sampleDirectory(name));
    const entry = sampleFile('f');
    await store.createEntry({ parentId: ROOT_ID, missingParents: directories, entry });
    const startedAt = performance.now();
    assert.equal((await database.resolve([...names, 'f'])).length, depth + 2);
    const tookMs = performance.now() - startedAt;
    const then = performance.now();
    await store.resolve([...names, 'f']);
    t.diagnostic(`driver: ${tookMs.toFixed()} ms, store: ${(performance.now() - then).toFixed()} ms`);
    assert(tookMs < 1000, `${tookMs} ms`);
  });
});

async function resolvedRows(database: PostgresDatabase, names: readonly string[]): Promise<readonly object[]> {
  const rows: object[] = [];
  let id: string | undefined = ROOT_ID;
  for (const [depth, name] of ['', ...names].entries()) {
    const [row] = await database.read('SELECT * FROM entries WHERE parent_id = $1 AND name = $2', [id ?? '', name]);
    if (!row) break;
    rows.push({ depth, ...row });
    id = String(row.id);
  }
  return rows;
}

/** One directory with half of the entries, the others in many small ones. */
async function fill(sql: Sql): Promise<void> {
  const columns = `id, parent_id, name, type, mode, owner, grp, uid, gid, mtime_ms, created_at_ms, version, instance_id,
    backend_type, content_id, size_bytes, checksum, storage_stamp`;
  const rest = `420, 'alice', 'staff', 1, 1, 0, 0, 1, 'callfs-1', 'localfs'`;
  await sql.unsafe(`
    INSERT INTO entries (${columns})
      VALUES ('big', 'root', 'big', 'directory', ${rest}, NULL, NULL, NULL, NULL);
    INSERT INTO entries (${columns})
      SELECT 'd' || i, 'root', 'd' || i, 'directory', ${rest}, NULL::text, NULL::bigint, NULL::text, NULL::text
      FROM generate_series(0, ${DIRECTORIES - 1}) AS i;
    INSERT INTO entries (${columns})
      SELECT 'e' || i, CASE WHEN i % 2 = 0 THEN 'big' ELSE 'd' || i % ${DIRECTORIES} END, 'f' || lpad(i::text, 8, '0'), 'file',
        ${rest}, 'c' || i, 1, 'crc32:00000000', 'stamp'
      FROM generate_series(0, ${ENTRIES - 1}) AS i;
    ANALYZE entries`);
}

async function explain(sql: Sql, statement: string, values: readonly (string | number)[]): Promise<PlanNode> {
  const [row] = await sql.unsafe(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${statement}`, [...values]);
  const plan = row?.['QUERY PLAN'];
  const [{ Plan }] = (typeof plan === 'string' ? JSON.parse(plan) : plan) as [{ readonly Plan: PlanNode }];
  return Plan;
}

const allNodes = (node: PlanNode): PlanNode[] => [node, ...(node.Plans ?? []).flatMap(allNodes)];
const buffersOf = (node: PlanNode): number => node['Shared Hit Blocks'] + node['Shared Read Blocks'];
const describe = (plan: PlanNode): string =>
  `${allNodes(plan)
    .map((node) =>
      [node['Node Type'], node['Index Name'], `${node['Actual Rows']}x${node['Actual Loops']}`]
        .filter(Boolean)
        .join(' '),
    )
    .join(' > ')}; ${buffersOf(plan)} buffers`;
