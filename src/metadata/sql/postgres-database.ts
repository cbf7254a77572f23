/**
 * The PostgreSQL driver: a bounded pool, prepared statements, every mutation a transaction of its own that is
 * repeated when the database cannot serialise it. PostgreSQL groups the commits of concurrent ones by itself.
 */
import postgres, { type ParameterOrJSON, type Sql, type TransactionSql } from 'postgres';
import { CallFSError, insufficientStorage, metadataUnavailable, systemErrorCode } from '../../core/errors.ts';
import { type Migration, readMigrations } from './migrations.ts';
import { type MutationName, type MutationRequest, type MutationResult, mutations } from './mutations.ts';
import type { SqlDatabase, SqlRow, SqlTransaction, SqlValue } from './sql-database.ts';

export interface PostgresSettings {
  /** `postgres://user:password@host1:5432,host2:5432/database?target_session_attrs=read-write` */
  readonly dsn: string;
  readonly durability: 'full' | 'relaxed';
}

const MAX_CONNECTIONS = 16;
const CONNECT_TIMEOUT_SECONDS = 2;
/** Longer than any statement but the removal of a very large tree needs. */
const STATEMENT_TIMEOUT_MS = 60_000;

/** A server that accepted a question and went silent is as good as down. Every request begins with a question. */
const READ_TIMEOUT_MS = 1900;
/** Names in a path from which on the server may take longer, because it works and not because it is silent. */
const LONG_PATH = 256;

const WORDS = {
  text: 'TEXT COLLATE "C"',
  integer: 'BIGINT',
  sequence: 'BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY',
  clustered: '',
};

/** Codes of errors that mean: the same transaction may succeed when it is run again (SQLSTATE). */
const SERIALIZATION_FAILURE = '40001';
const DEADLOCK_DETECTED = '40P01';
/** A parent was removed, or a child created, by a transaction that this one could not see. */
const FOREIGN_KEY_VIOLATION = '23503';
const UNIQUE_VIOLATION = '23505';
const REPEATABLE = new Set([SERIALIZATION_FAILURE, DEADLOCK_DETECTED, FOREIGN_KEY_VIOLATION]);
const MAX_ATTEMPTS = 50;

/** Opens the pool and brings the schema up to date; several instances may do so at once. */
export async function openPostgres({ dsn, durability }: PostgresSettings): Promise<SqlDatabase> {
  const sql = postgres(dsn, {
    max: MAX_CONNECTIONS,
    connect_timeout: CONNECT_TIMEOUT_SECONDS,
    fetch_types: false,
    onnotice: () => {},
    types: { bigint: { to: 20, from: [20], parse: Number, serialize: String } },
    connection: {
      application_name: 'callfs',
      statement_timeout: STATEMENT_TIMEOUT_MS,
      synchronous_commit: durability === 'full' ? 'on' : 'off',
    },
  });
  try {
    await migrate(sql, readMigrations(WORDS));
  } catch (error) {
    await sql.end({ timeout: 0 });
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`metadata_store.dsn: the PostgreSQL database cannot be used: ${reason}`, { cause: error });
  }
  return new PostgresDatabase(sql);
}

class PostgresDatabase implements SqlDatabase {
  readonly #sql: Sql<{ bigint: number }>;

  constructor(sql: Sql<{ bigint: number }>) {
    this.#sql = sql;
  }

  async read(text: string, values: readonly SqlValue[]): Promise<readonly SqlRow[]> {
    try {
      const timeoutMs = values.length > LONG_PATH ? STATEMENT_TIMEOUT_MS : READ_TIMEOUT_MS;
      return await beforeDeadline(run(this.#sql, text, values), timeoutMs);
    } catch (error) {
      throw toCallFSError(error);
    }
  }

  async mutate<N extends MutationName>(name: N, request: MutationRequest<N>): Promise<MutationResult<N>> {
    const mutation = mutations[name] as (tx: SqlTransaction, request: MutationRequest<N>) => Promise<MutationResult<N>>;
    try {
      return await repeatWhileUnserialisable(() => this.#transaction((tx) => mutation(tx, request)));
    } catch (error) {
      throw toCallFSError(error);
    }
  }

  async #transaction<T>(work: (tx: SqlTransaction) => Promise<T>): Promise<T> {
    let result: { readonly value: T } | undefined;
    // The result travels beside the driver, whose types unwrap arrays of promises.
    await this.#sql.begin('ISOLATION LEVEL REPEATABLE READ', async (tx) => {
      result = { value: await work({ all: (text, values) => run(tx, text, values) }) };
    });
    if (!result) throw new Error('The transaction ended without a result.');
    return result.value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sql.end({ timeout: 5 });
  }
}

async function run(
  sql: Sql<{ bigint: number }> | TransactionSql<{ bigint: number }>,
  text: string,
  values: readonly SqlValue[],
): Promise<readonly SqlRow[]> {
  return await sql.unsafe<SqlRow[]>(text, values as ParameterOrJSON<never>[], { prepare: true });
}

async function beforeDeadline<T>(answer: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(metadataUnavailable(new Error('PostgreSQL does not answer.'))), timeoutMs);
  });
  try {
    return await Promise.race([answer, silence]);
  } finally {
    clearTimeout(timer);
  }
}

async function repeatWhileUnserialisable<T>(transaction: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await transaction();
    } catch (error) {
      if (attempt >= MAX_ATTEMPTS || !REPEATABLE.has(systemErrorCode(error) ?? '')) throw error;
      await new Promise((resolve) => setTimeout(resolve, Math.random() * Math.min(attempt, 10)));
    }
  }
}

async function migrate(sql: Sql<{ bigint: number }>, migrations: readonly Migration[]): Promise<void> {
  await unlessRaced(sql.unsafe('CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY)'));
  for (const migration of migrations) await unlessRaced(applyOnce(sql, migration));
}

/** The row comes first: of several instances one inserts it, the others wait for its commit and find it taken. */
async function applyOnce(sql: Sql<{ bigint: number }>, migration: Migration): Promise<void> {
  const done = await sql.unsafe('SELECT number FROM migrations WHERE number = $1', [migration.number]);
  if (done.length > 0) return;
  await sql.begin(async (tx) => {
    await tx.unsafe('INSERT INTO migrations (number) VALUES ($1)', [migration.number]);
    await tx.unsafe(migration.sql);
  });
}

async function unlessRaced(work: PromiseLike<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (systemErrorCode(error) !== UNIQUE_VIOLATION) throw error;
  }
}

const DISK_FULL = '53100';
/** Classes of SQLSTATE that tell of the server or the connection, not of the statement. */
const UNAVAILABLE = /^(08|53|57|58|25006|XX)/;

/** Errors of the connection have names instead of SQLSTATEs. */
function toCallFSError(error: unknown): unknown {
  if (error instanceof CallFSError) return error;
  const code = systemErrorCode(error);
  if (code === DISK_FULL) return insufficientStorage(error);
  if (code === undefined) return error;
  return code.length !== 5 || UNAVAILABLE.test(code) || REPEATABLE.has(code) ? metadataUnavailable(error) : error;
}
