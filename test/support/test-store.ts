/**
 * The metadata stores of test clusters: a SQLite file in the cluster's folder, or, with `CALLFS_TEST_STORE=postgres`,
 * a new database on one PostgreSQL server that the test process starts when it needs it and takes along when it ends.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after } from 'node:test';
import postgres from 'postgres';
import { TestPostgres } from './postgres.ts';

export type StoreType = 'sqlite' | 'postgres';

/** What clusters get unless their test decides. */
export const STORE_TYPE: StoreType = process.env.CALLFS_TEST_STORE === 'postgres' ? 'postgres' : 'sqlite';

let server: Promise<TestPostgres> | undefined;
/** DSNs by the folder of the cluster. */
const databases = new Map<string, string>();

// Here, so that it belongs to the whole file and not to the test that happens to start the server.
if (STORE_TYPE === 'postgres') after(async () => (await server)?.[Symbol.asyncDispose]());

/** To be called once for a folder, before `storeConfig`. */
export async function prepareStore(folder: string): Promise<void> {
  if (STORE_TYPE === 'sqlite') return;
  server ??= startServer();
  databases.set(folder, await (await server).createDatabase());
}

async function startServer(): Promise<TestPostgres> {
  const started = await TestPostgres.start();
  // For a test process that ends before its hooks run.
  process.once('exit', () => {
    void started.stopProcess('SIGKILL');
    rmSync(started.folder, { recursive: true, force: true });
  });
  return started;
}

/** The section `metadata_store` of instances whose files lie in this folder. */
export function storeConfig(folder: string): { readonly type: StoreType; readonly [key: string]: string } {
  const dsn = databases.get(folder);
  return dsn === undefined
    ? { type: 'sqlite', sqlite_path: join(folder, 'callfs.sqlite3') }
    : { type: 'postgres', dsn };
}

/** Asks the store of a cluster directly. */
export async function queryStore(folder: string, sql: string): Promise<readonly object[]> {
  const dsn = databases.get(folder);
  if (dsn === undefined) {
    using database = new DatabaseSync(join(folder, 'callfs.sqlite3'), { readOnly: true });
    return database.prepare(sql).all();
  }
  const client = postgres(dsn, { max: 1, onnotice: () => {} });
  try {
    return [...(await client.unsafe(sql))];
  } finally {
    await client.end();
  }
}
