/** What the role needs that an instance uses on PostgreSQL. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import postgres from 'postgres';
import { ROOT_ID } from '../src/core/entry.ts';
import { sampleDirectory, sampleFile } from '../src/metadata/metadata-store.contract.ts';
import { openPostgres } from '../src/metadata/sql/postgres-database.ts';
import { SqlMetadataStore } from '../src/metadata/sql/sql-metadata-store.ts';
import { TestPostgres } from './support/postgres.ts';

const OWNER = { name: 'root', groups: [], uid: 0, gid: 0, admin: true };

test('once the tables are there a role that may only read and write rows is enough', async () => {
  await using server = await TestPostgres.start();
  const dsn = await server.createDatabase();
  const owner = postgres(dsn, { max: 1, onnotice: () => {} });
  await owner.unsafe('REVOKE CREATE ON SCHEMA public FROM PUBLIC; CREATE ROLE app LOGIN');
  const appDsn = dsn.replace('postgres@', 'app@');
  await assert.rejects(openPostgres({ dsn: appDsn, durability: 'full' }), /permission denied for schema public/);

  await (await openPostgres({ dsn, durability: 'full' }))[Symbol.asyncDispose]();
  await owner.unsafe('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app');
  await owner.end();
  const database = await openPostgres({ dsn: appDsn, durability: 'full' });
  await using store = new SqlMetadataStore(database);
  await using _watch = await database.watch(() => {});
  const directory = sampleDirectory('directory');
  const request = { parentId: ROOT_ID, missingParents: [directory], entry: sampleFile('file') };
  assert.equal((await store.createEntry(request)).kind, 'created');
  assert.equal((await store.removeTree(directory.id, OWNER)).kind, 'removed');
});
