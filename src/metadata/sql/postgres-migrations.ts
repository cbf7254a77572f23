/** Brings a PostgreSQL database's tables up to date; several instances may do so at once. */
import { type Migration, readMigrations } from './migrations.ts';
import type { PostgresConnection } from './postgres-connection.ts';
import { isAlreadyThere } from './postgres-errors.ts';
import { INCARNATION_TABLE, nameIncarnation } from './postgres-transaction.ts';

const WORDS = {
  text: 'TEXT COLLATE "C"',
  integer: 'BIGINT',
  sequence: 'BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY',
  clustered: '',
};

const TIMEOUT_MS = 60_000;
/** A change of a large table takes its time, and so does waiting for the instance that makes it. */
const MIGRATION_TIMEOUT_MS = 3_600_000;
const MIGRATIONS_TABLE = 'CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY)';

export async function migratePostgres(connection: PostgresConnection): Promise<void> {
  await createUnlessThere(connection, 'migrations', MIGRATIONS_TABLE);
  for (const migration of readMigrations(WORDS)) await applyOnce(connection, migration);
  await createUnlessThere(connection, 'incarnation', INCARNATION_TABLE);
  await nameIncarnation(connection, TIMEOUT_MS);
}

/** To create needs a right that an instance has no use for once the tables are there, even if nothing is created. */
async function createUnlessThere(connection: PostgresConnection, table: string, sql: string): Promise<void> {
  const [row] = await connection.run('SELECT to_regclass($1)::text AS found', [table], TIMEOUT_MS);
  if (!row?.found) await unlessRaced(connection.script(sql, TIMEOUT_MS));
}

/** The row comes first: of several instances one inserts it, the others wait for its commit and find it taken. */
async function applyOnce(connection: PostgresConnection, { number, sql }: Migration): Promise<void> {
  const find = 'SELECT number FROM migrations WHERE number = $1';
  if ((await connection.run(find, [number], TIMEOUT_MS)).length > 0) return;
  const take = 'INSERT INTO migrations (number) VALUES ($1) ON CONFLICT DO NOTHING RETURNING number';
  await connection.script('BEGIN; SET LOCAL statement_timeout = 0', TIMEOUT_MS);
  try {
    const taken = await connection.run(take, [number], MIGRATION_TIMEOUT_MS);
    if (taken.length > 0) await connection.script(sql, MIGRATION_TIMEOUT_MS);
    await connection.script('COMMIT', TIMEOUT_MS);
  } catch (error) {
    if (connection.isOpen) await connection.script('ROLLBACK', TIMEOUT_MS);
    throw error;
  }
}

async function unlessRaced(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isAlreadyThere(error)) throw error;
  }
}
