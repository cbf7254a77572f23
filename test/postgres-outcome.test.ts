/** Connections to PostgreSQL that break at the worst moment: nothing is guessed, nothing happens twice. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, suite, test } from 'node:test';
import postgres, { type Sql } from 'postgres';
import { ROOT_ID } from '../src/core/entry.ts';
import { CallFSError } from '../src/core/errors.ts';
import { find, sampleContent, sampleDirectory, sampleFile } from '../src/metadata/metadata-store.contract.ts';
import { openPostgres, type PostgresDatabase } from '../src/metadata/sql/postgres-database.ts';
import { SqlMetadataStore } from '../src/metadata/sql/sql-metadata-store.ts';
import { TestPostgres } from './support/postgres.ts';
import { PostgresProxy } from './support/postgres-proxy.ts';
import { waitFor } from './support/wait-for.ts';

const ADMIN = { name: 'root', groups: [], uid: 0, gid: 0, admin: true };

suite('a connection to PostgreSQL that breaks', () => {
  let server: TestPostgres;
  let proxy: PostgresProxy;
  let dsn: string;
  let database: PostgresDatabase;
  let store: SqlMetadataStore;
  /** Looks at the database past the proxy. */
  let witness: Sql;

  before(async () => {
    server = await TestPostgres.start();
  });
  after(() => server?.[Symbol.asyncDispose]());
  beforeEach(async () => {
    dsn = await server.createDatabase();
    proxy = await PostgresProxy.start(server.port);
    database = await openPostgres({ dsn: proxy.through(dsn), durability: 'full' });
    store = new SqlMetadataStore(database);
    witness = postgres(dsn, { max: 2, onnotice: () => {} });
  });
  afterEach(async () => {
    await witness.end();
    await store[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
  });

  const create = (name: string) =>
    store.createEntry({ parentId: ROOT_ID, missingParents: [], entry: sampleFile(name) });
  const count = async (name: string): Promise<number> =>
    (await witness`SELECT 1 FROM entries WHERE name = ${name}`).length;

  async function replace(name: string): Promise<number> {
    const entry = await find(store, name);
    assert(entry);
    const outcome = await store.replaceContent({
      entryId: entry.id,
      expectContentId: undefined,
      instanceId: entry.instanceId,
      backendType: entry.backendType,
      takeOver: false,
      content: sampleContent(),
      contentType: undefined,
      mtimeMs: 1,
      discardPrevious: true,
    } as Parameters<SqlMetadataStore['replaceContent']>[0]);
    assert(outcome.kind === 'replaced');
    return outcome.entry.version;
  }

  test('a COMMIT that reached the server is reported as committed, and is not done again', async () => {
    proxy.fates.push('cut-after');
    assert.equal((await create('reached')).kind, 'created');
    assert.equal(await count('reached'), 1);
    for (let round = 2; round < 20; round++) {
      proxy.fates.push(round % 2 ? 'cut-after' : 'cut-client');
      assert.equal(await replace('reached'), round);
    }
    assert.equal((await find(store, 'reached'))?.version, 19);
  });

  test('a COMMIT that did not reach the server is repeated, once', async () => {
    proxy.fates.push('cut-before');
    assert.equal((await create('lost')).kind, 'created');
    for (let round = 2; round < 20; round++) {
      proxy.fates.push('cut-before', 'cut-before');
      assert.equal(await replace('lost'), round);
    }
    assert.equal((await find(store, 'lost'))?.version, 19);
  });

  test('the loser of a race is told so although the answer to its COMMIT is lost', async () => {
    await create('taken');
    proxy.fates.push('cut-after');
    assert.equal((await create('taken')).kind, 'exists');
  });

  test('when nobody can be asked in time the outcome is called unknown', async () => {
    proxy.fates.push('cut-after');
    const startedAt = performance.now();
    const creating = create('unknown');
    proxy.refusing = true;
    await assert.rejects(creating, isUnknown);
    assert(performance.now() - startedAt < 2000);
    assert.equal(await count('unknown'), 1);
    proxy.refusing = false;
    assert.equal((await find(store, 'unknown'))?.name, 'unknown');
  });

  test('a transaction that is still in progress when the time is over has an unknown outcome', async () => {
    const probe = postgres(dsn, { max: 1, onnotice: () => {} });
    await witness`ALTER SYSTEM SET synchronous_standby_names = 'nobody'`;
    await witness`SELECT pg_reload_conf()`;
    try {
      // The server heeds the setting some time after it has it: once a commit of somebody waits.
      await waitFor('commits to wait', async () => {
        probe.unsafe('CREATE TABLE IF NOT EXISTS probe (); DROP TABLE probe').catch(() => {});
        const waiting = await witness`SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'`;
        return waiting.length > 0;
      });
      proxy.fates.push('cut-client');
      const startedAt = performance.now();
      await assert.rejects(create('waiting'), isUnknown);
      assert(performance.now() - startedAt < 2000);
    } finally {
      await witness`ALTER SYSTEM RESET synchronous_standby_names`;
      await witness`SELECT pg_reload_conf()`;
    }
    await waitFor('the commit to become visible', async () => (await count('waiting')) === 1);
    await probe.end();
  });

  test('"committed" is not believed of an id that a recovery may have given again', async () => {
    proxy.fates.push('cut-after');
    const creating = create('maybe');
    proxy.refusing = true;
    await waitFor('the commit', async () => (await count('maybe')) === 1);
    // As if the server had recovered in between: PostgreSQL empties the table then.
    await witness`UPDATE incarnation SET token = 'another'`;
    proxy.refusing = false;
    await assert.rejects(creating, isUnknown);
    assert.equal(await count('maybe'), 1);
  });

  test('what a crash of the server cut is answered truthfully, and the server gets another name', async () => {
    await using other = await TestPostgres.start();
    const dsn = await other.createDatabase();
    await using crashing = new SqlMetadataStore(await openPostgres({ dsn, durability: 'full' }));
    const nameOf = async (): Promise<unknown> => {
      const sql = postgres(dsn, { max: 1 });
      const [row] = await sql`SELECT token FROM incarnation`;
      await sql.end();
      return row?.token;
    };
    const first = await nameOf();
    assert(first);
    await other.stopProcess('SIGKILL');
    await other.startProcess();
    await crashing.createEntry({ parentId: ROOT_ID, missingParents: [], entry: sampleFile('after') });
    const second = await nameOf();
    assert(second && second !== first);
  });

  test('connections that were lost while nobody used them are noticed by nobody', async () => {
    await Promise.all(Array.from({ length: 40 }, (_, at) => create(`file-${at}`)));
    for (let round = 0; round < 5; round++) {
      proxy.cut();
      const work = Array.from({ length: 40 }, (_, at) =>
        Promise.all([find(store, `file-${at}`), replace(`file-${at}`)]),
      );
      for (const [entry] of await Promise.all(work)) assert(entry);
    }
    for (let at = 0; at < 40; at++) assert.equal((await find(store, `file-${at}`))?.version, 6);
  });

  test('wherever in its course a mutation is cut it happens once', async () => {
    await create('counter');
    for (let round = 2; round < 100; round++) {
      proxy.cutIn = 1 + (round % 13);
      assert.equal(await replace('counter'), round);
    }
    assert.equal((await find(store, 'counter'))?.version, 99);
  });

  test('trees that are removed at once, by several processes, wait for each other instead of repeating each other', async () => {
    const trees = 30;
    await using other = new SqlMetadataStore(await openPostgres({ dsn: proxy.through(dsn), durability: 'full' }));
    const directories = Array.from({ length: trees + 1 }, (_, at) => sampleDirectory(`tree-${at}`));
    for (const directory of directories) {
      await store.createEntry({ parentId: ROOT_ID, missingParents: [directory], entry: sampleFile('file') });
    }
    const [first, ...others] = directories;
    assert(first);
    let { statements } = proxy;
    await store.removeTree(first.id, ADMIN);
    const cost = proxy.statements - statements;
    statements = proxy.statements;
    const outcomes = await Promise.all(others.map(({ id }, at) => (at % 2 ? store : other).removeTree(id, ADMIN)));
    assert(outcomes.every(({ kind }) => kind === 'removed'));
    // Beside them a notification each at most, and what new connections begin with.
    const used = proxy.statements - statements;
    assert(used <= trees * (cost + 1) + 20, `${used} statements, ${cost} for one`);
  });
});

function isUnknown(error: unknown): boolean {
  assert(error instanceof CallFSError);
  assert.equal(error.code, 'METADATA_UNAVAILABLE');
  assert.match(error.message, /unknown whether/);
  assert(error.headers['retry-after']);
  return true;
}
