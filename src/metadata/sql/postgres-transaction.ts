/**
 * One mutation as one transaction, and what became of it when the answer to COMMIT was lost: PostgreSQL remembers the
 * outcome of every transaction by its id (`pg_xact_status`).
 *
 * Ids that a crash or a failover lost are given again, so another's outcome could be taken for ours. An unlogged table
 * tells: PostgreSQL empties it whenever it recovers, on the same server and on a promoted standby alike. The token
 * in it is the server's incarnation.
 */
import { randomUUID } from 'node:crypto';
import type { PostgresConnection } from './postgres-connection.ts';
import { ConnectionLost, isOfTheFuture } from './postgres-errors.ts';
import type { SqlTransaction } from './sql-database.ts';
import type { StoreMoment } from './store-fault.ts';

export interface TransactionIdentity {
  readonly xid: string;
  /** Null: the server has recovered and nobody has named its incarnation since. */
  readonly incarnation: string | null;
}

/** COMMIT was sent, and no answer came. */
export class CommitUnanswered<T> extends Error {
  readonly identity: TransactionIdentity | undefined;
  /** What the mutation resolves to if it was committed. */
  readonly result: T;

  constructor(identity: TransactionIdentity | undefined, result: T, cause: unknown) {
    super('The connection to PostgreSQL was lost while it committed.', { cause });
    this.name = 'CommitUnanswered';
    this.identity = identity;
    this.result = result;
  }
}

export interface TransactionLimits {
  /** How long the server may think about one statement, in milliseconds. */
  readonly statementMs: number;
  readonly commitMs: number;
}

export interface TransactionOptions {
  /** Whether the outcome is worth asking for; it costs no round trip, but an id. */
  readonly identified: boolean;
  /**
   * Whether it waits for its turn before it looks at anything. Such transactions change the same row, of which only the
   * first would be serialisable: of 50 at once the last would be repeated 49 times.
   */
  readonly inTurn: boolean;
  readonly onMoment: (moment: StoreMoment) => void;
}

export const INCARNATION_TABLE = `CREATE UNLOGGED TABLE IF NOT EXISTS incarnation
  (only_one INTEGER PRIMARY KEY CHECK (only_one = 1), token TEXT NOT NULL)`;

const BEGIN = 'BEGIN ISOLATION LEVEL REPEATABLE READ';
/** A lock is taken before the snapshot, so what it waited for is seen. It is in nobody else's way. */
const TAKE_TURN = 'LOCK TABLE incarnation IN SHARE UPDATE EXCLUSIVE MODE';
const IDENTIFY = 'SELECT pg_current_xact_id()::text AS xid, (SELECT token FROM incarnation) AS incarnation';
const INQUIRE = 'SELECT pg_xact_status($1) AS status, (SELECT token FROM incarnation) AS incarnation';

/** Rejects with CommitUnanswered when the outcome is unknown; any other error means that nothing happened. */
export async function transact<T>(
  connection: PostgresConnection,
  work: (transaction: SqlTransaction) => Promise<T>,
  { identified, inTurn, onMoment }: TransactionOptions,
  { statementMs, commitMs }: TransactionLimits,
): Promise<T> {
  let identity: TransactionIdentity | undefined;
  let result: T;
  try {
    onMoment('before-begin');
    // Together in one round trip. The work waits: behind a BEGIN that failed it would commit statement by statement.
    const [, found] = await Promise.all([
      connection.script(inTurn ? `${BEGIN}; ${TAKE_TURN}` : BEGIN, statementMs),
      identified ? connection.run(IDENTIFY, [], statementMs) : [],
    ]);
    identity = found[0] as TransactionIdentity | undefined;
    onMoment('after-begin');
    result = await work({ all: (text, values) => connection.run(text, values, statementMs) });
    onMoment('after-statements');
  } catch (error) {
    await rollBack(connection);
    throw error;
  }
  try {
    const { command } = await connection.script('COMMIT', commitMs);
    if (command !== 'COMMIT') throw new Error('The transaction was rolled back.');
  } catch (error) {
    throw error instanceof ConnectionLost ? new CommitUnanswered(identity, result, error) : error;
  }
  onMoment('after-commit');
  return result;
}

async function rollBack(connection: PostgresConnection): Promise<void> {
  try {
    if (connection.isOpen) await connection.script('ROLLBACK', 1000);
  } catch (error) {
    // The server rolls back what the connection leaves behind.
    connection.destroy(error);
  }
}

export type Outcome = 'committed' | 'aborted' | 'in progress' | 'unknown';

/** Asks on another connection what became of a transaction. */
export async function inquire(
  connection: PostgresConnection,
  { xid, incarnation }: TransactionIdentity,
  timeoutMs: number,
): Promise<Outcome> {
  try {
    const [row] = await connection.run(INQUIRE, [xid], timeoutMs);
    const status = row?.status;
    if (status !== 'committed' && status !== 'aborted' && status !== 'in progress') return 'unknown';
    if (incarnation !== null && row?.incarnation === incarnation) return status;
    // Recovery ends what was in progress. "Committed" may be said of a later transaction with the same id.
    return status === 'committed' ? 'unknown' : 'aborted';
  } catch (error) {
    if (isOfTheFuture(error)) return 'aborted';
    throw error;
  }
}

/** Names the incarnation of the server unless that was done since it last recovered. */
export async function nameIncarnation(connection: PostgresConnection, timeoutMs: number): Promise<void> {
  const sql = 'INSERT INTO incarnation (only_one, token) VALUES (1, $1) ON CONFLICT DO NOTHING';
  await connection.run(sql, [randomUUID()], timeoutMs);
}
