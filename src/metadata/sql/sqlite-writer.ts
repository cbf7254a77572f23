/**
 * The only writing connection of a process, in a thread of its own so that no request waits for the
 * disk behind a commit. A batch of mutations becomes one transaction with one fsync.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { enableFaultPoints } from '../../core/fault-point.ts';
import { readMigrations } from './migrations.ts';
import { type MutationName, mutations } from './mutations.ts';
import type { SqlTransaction } from './sql-database.ts';
import {
  OPENING_TIMEOUT_MS,
  SqliteConnection,
  type SqliteDurability,
  sqliteResultCode,
  whenNotBusy,
} from './sqlite-connection.ts';
import { storeFault } from './store-fault.ts';

export interface WriterSettings {
  readonly path: string;
  readonly durability: SqliteDurability;
  /** See fault-point.ts. */
  readonly faults?: SharedArrayBuffer | undefined;
}

export interface WriterJob {
  readonly name: MutationName;
  readonly request: unknown;
}

export interface WriterFailure {
  readonly message: string;
  /** The primary result code of SQLite; undefined: not an error of SQLite. */
  readonly resultCode: number | undefined;
}

export type WriterResult =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly failure: WriterFailure };

export type WriterMessage = 'stop' | readonly WriterJob[];
export type WriterAnswer = 'ready' | 'stopped' | { readonly failed: WriterFailure } | readonly WriterResult[];

const WORDS = {
  text: 'TEXT',
  integer: 'BIGINT',
  sequence: 'INTEGER PRIMARY KEY AUTOINCREMENT',
  clustered: 'WITHOUT ROWID',
};

class SqliteWriter {
  readonly #connection: SqliteConnection;
  readonly #transaction: SqlTransaction;

  constructor({ path, durability }: WriterSettings) {
    this.#connection = new SqliteConnection({ path, durability, readOnly: false });
    this.#transaction = { all: async (sql, values) => this.#connection.all(sql, values) };
  }

  migrate(): void {
    whenNotBusy(() => this.#connection.exec('BEGIN IMMEDIATE'), OPENING_TIMEOUT_MS);
    this.#connection.exec('CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY)');
    const done = new Set(this.#connection.all('SELECT number FROM migrations', []).map((row) => row.number));
    for (const { number, sql } of readMigrations(WORDS)) {
      if (done.has(number)) continue;
      this.#connection.exec(sql);
      this.#connection.all('INSERT INTO migrations (number) VALUES ($1)', [number]);
    }
    this.#connection.exec('COMMIT');
  }

  /** All jobs in one commit; a job that fails is undone alone, a commit that fails fails them all. */
  async run(jobs: readonly WriterJob[]): Promise<WriterResult[]> {
    const results: WriterResult[] = [];
    const names = jobs.map(({ name }) => name);
    try {
      storeFault('before-begin', names);
      this.#begin();
      storeFault('after-begin', names);
      for (const job of jobs) results.push(await this.#runJob(job));
      storeFault('after-statements', names);
      this.#connection.exec('COMMIT');
      storeFault('after-commit', names);
      return results;
    } catch (error) {
      if (this.#connection.inTransaction) this.#connection.exec('ROLLBACK');
      const failure = toFailure(error);
      return jobs.map(() => ({ ok: false, failure }));
    }
  }

  async #runJob({ name, request }: WriterJob): Promise<WriterResult> {
    this.#connection.exec('SAVEPOINT job');
    try {
      const mutation = mutations[name] as (tx: SqlTransaction, request: unknown) => Promise<unknown>;
      const value = await mutation(this.#transaction, request);
      this.#connection.exec('RELEASE job');
      return { ok: true, value };
    } catch (error) {
      // Some errors (a full disk) make SQLite give the whole transaction up.
      if (!this.#connection.inTransaction) throw error;
      this.#connection.exec('ROLLBACK TO job; RELEASE job');
      return { ok: false, failure: toFailure(error) };
    }
  }

  #begin(): void {
    whenNotBusy(() => this.#connection.exec('BEGIN IMMEDIATE'));
  }

  close(): void {
    this.#connection.close();
  }
}

function toFailure(error: unknown): WriterFailure {
  const message = error instanceof Error ? error.message : String(error);
  return { message, resultCode: sqliteResultCode(error) };
}

function serve(port: MessagePort, settings: WriterSettings): void {
  if (settings.faults) enableFaultPoints(settings.faults);
  const answer = (message: WriterAnswer): void => port.postMessage(message);
  let writer: SqliteWriter;
  try {
    writer = new SqliteWriter(settings);
    writer.migrate();
  } catch (error) {
    answer({ failed: toFailure(error) });
    return;
  }
  port.on('message', (message: WriterMessage) => {
    if (message !== 'stop') {
      void writer.run(message).then(answer);
      return;
    }
    writer.close();
    answer('stopped');
    port.close();
  });
  answer('ready');
}

if (parentPort) serve(parentPort, workerData as WriterSettings);
