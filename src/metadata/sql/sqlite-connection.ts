/** One connection to the SQLite file, its statements prepared once. */
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { SqlRow, SqlValue } from './sql-database.ts';

/** `full`: a commit survives power loss. `relaxed`: it survives a crash of the process, the last ones maybe not the machine's. */
export type SqliteDurability = 'full' | 'relaxed';

export interface SqliteConnectionOptions {
  readonly path: string;
  readonly durability: SqliteDurability;
  readonly readOnly: boolean;
}

export class SqliteConnection {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor({ path, durability, readOnly }: SqliteConnectionOptions) {
    this.#database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
    // Of two processes that give a new file its log, SQLite turns one away at once instead of letting it wait.
    whenNotBusy(() => this.#database.exec('PRAGMA journal_mode = WAL'), OPENING_TIMEOUT_MS);
    this.#database.exec(`
      PRAGMA synchronous = ${durability === 'full' ? 'FULL' : 'NORMAL'};
      PRAGMA foreign_keys = ON;
      PRAGMA cache_size = -16384;
      PRAGMA query_only = ${readOnly ? 'ON' : 'OFF'};
      PRAGMA busy_timeout = ${readOnly ? BUSY_TIMEOUT_MS : 0};`);
  }

  get inTransaction(): boolean {
    return this.#database.isTransaction;
  }

  exec(sql: string): void {
    this.#database.exec(sql);
  }

  all(sql: string, values: readonly SqlValue[]): readonly SqlRow[] {
    return this.#prepare(sql).all(...values) as SqlRow[];
  }

  close(): void {
    this.#statements.clear();
    if (this.#database.isOpen) this.#database.close();
  }

  #prepare(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known) return known;
    const statement = this.#database.prepare(sql.replace(/\$(\d+)/g, '?$1'));
    this.#statements.set(sql, statement);
    return statement;
  }
}

/** How long reading and committing wait for the other processes on the file. */
const BUSY_TIMEOUT_MS = 2000;
/** A start may wait longer than a request: it must not be refused because others are busy, or recover from a crash. */
export const OPENING_TIMEOUT_MS = 10_000;
const SQLITE_BUSY = 5;
const NAP = new Int32Array(new SharedArrayBuffer(4));

/** Repeats what another process is in the way of. SQLite's own busy handler sleeps up to 100 ms at a time; short naps keep processes fair. */
export function whenNotBusy(action: () => void, timeoutMs = BUSY_TIMEOUT_MS): void {
  const giveUpAt = performance.now() + timeoutMs;
  for (;;) {
    try {
      action();
      return;
    } catch (error) {
      if (sqliteResultCode(error) !== SQLITE_BUSY || performance.now() > giveUpAt) throw error;
      Atomics.wait(NAP, 0, 0, 0.2 + Math.random());
    }
  }
}

/** The primary result code of SQLite; undefined: not an error of SQLite. */
export function sqliteResultCode(error: unknown): number | undefined {
  return error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : undefined;
}
