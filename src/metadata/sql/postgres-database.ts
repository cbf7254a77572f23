/**
 * The PostgreSQL driver: a bounded pool, prepared statements, every mutation a transaction of its own that is repeated
 * when the database cannot serialise it or when it was lost before its COMMIT. PostgreSQL groups the commits of
 * concurrent ones by itself.
 */
import { CallFSError, metadataUnavailable } from '../../core/errors.ts';
import { type MutationName, type MutationRequest, type MutationResult, mutations } from './mutations.ts';
import type { PostgresConnection } from './postgres-connection.ts';
import { parsePostgresDsn } from './postgres-dsn.ts';
import { ConnectionLost, isRepeatable, messageOf, toCallFSError } from './postgres-errors.ts';
import { migratePostgres } from './postgres-migrations.ts';
import { PostgresPool } from './postgres-pool.ts';
import { RESOLVE, textArray } from './postgres-resolve.ts';
import { PostgresServers } from './postgres-servers.ts';
import { CommitUnanswered, inquire, nameIncarnation, transact } from './postgres-transaction.ts';
import { CHANNEL, WakeListener, WakeSender } from './postgres-wake.ts';
import type { SqlDatabase, SqlRow, SqlTransaction, SqlValue } from './sql-database.ts';
import { type StoreMoment, storeFault } from './store-fault.ts';

export interface PostgresSettings {
  /** `postgres://user:password@host1:5432,host2:5432/database?target_session_attrs=read-write` */
  readonly dsn: string;
  readonly durability: 'full' | 'relaxed';
}

const MAX_CONNECTIONS = 16;
const MAX_WRITING = 12;
/** Longer than any statement but the removal of a very large tree needs. */
const STATEMENT_TIMEOUT_MS = 60_000;
/** Ends what a client left behind that vanished without a word. */
const ORPHAN_TIMEOUT_MS = 10_000;

/** A server that accepted a question and went silent is as good as down. Every request begins with a question. */
const READ_TIMEOUT_MS = 1900;
/** For a mutation, which may have to wait for another one or for a standby. */
const MUTATION_TIMEOUT_MS = 10_000;
/** Since the connection was lost. Short enough for an answer within 2 s. */
const REPEAT_FOR_MS = 1600;
/** Names in a path from which on the server may take longer, because it works and not because it is silent. */
const LONG_PATH = 256;
/** However long each takes, a mutation that cannot be serialised gets this many attempts. */
const MIN_ATTEMPTS = 5;

/** They only read, so that nobody needs to know whether they were committed. */
const READ_ONLY: ReadonlySet<string> = new Set(['countFiles']);
/** They work as long as the tree is large. */
const LONG: ReadonlySet<string> = new Set([
  'countFiles',
  'removeTree',
  'moveEntry',
  'handOverDirectories',
  'removeInstance',
]);
/** They may leave work for other instances; so does what takes the place of another instance's file. */
const WAKING: ReadonlySet<string> = new Set(['removeTree', 'moveEntry']);

/** Opens the pool and brings the schema up to date; several instances may do so at once. */
export async function openPostgres({ dsn, durability }: PostgresSettings): Promise<PostgresDatabase> {
  let database: PostgresDatabase | undefined;
  try {
    const { addresses, rest } = parsePostgresDsn(dsn);
    const settings = {
      application_name: 'callfs',
      statement_timeout: STATEMENT_TIMEOUT_MS,
      idle_in_transaction_session_timeout: ORPHAN_TIMEOUT_MS,
      synchronous_commit: durability === 'full' ? 'on' : 'off',
    };
    database = new PostgresDatabase(new PostgresServers(addresses, { dsn: rest, settings }));
    await migrateWhenReady(database);
    return database;
  } catch (error) {
    await database?.[Symbol.asyncDispose]();
    const reason = messageOf(error);
    throw new Error(`metadata_store.dsn: the PostgreSQL database cannot be used: ${reason}`, { cause: error });
  }
}

/** A server that is starting, or busy with starting everything else on its host, gets a moment. */
const READY_WITHIN_MS = 5000;

async function migrateWhenReady(database: PostgresDatabase): Promise<void> {
  const giveUpAt = performance.now() + READY_WITHIN_MS;
  for (;;) {
    try {
      await database.migrate();
      return;
    } catch (error) {
      const cause = toCallFSError(error);
      const mayPass = cause instanceof CallFSError && cause.code === 'METADATA_UNAVAILABLE';
      if (!mayPass || performance.now() > giveUpAt) throw error;
      await pause(100);
    }
  }
}

export class PostgresDatabase implements SqlDatabase {
  readonly #servers: PostgresServers;
  readonly #pool: PostgresPool;
  readonly #wakes: WakeSender;
  readonly #inFlight = new Set<Promise<unknown>>();
  #closed = false;
  #migrated = false;
  #turns: Promise<unknown> = Promise.resolve();

  constructor(servers: PostgresServers) {
    this.#servers = servers;
    this.#pool = new PostgresPool({ connect: () => this.#connect(), max: MAX_CONNECTIONS, maxWriting: MAX_WRITING });
    this.#wakes = new WakeSender(() =>
      this.#pool.use('read', READ_TIMEOUT_MS, (connection) => connection.script(`NOTIFY ${CHANNEL}`, READ_TIMEOUT_MS)),
    );
  }

  async migrate(): Promise<void> {
    await this.#pool.use('write', MUTATION_TIMEOUT_MS, migratePostgres);
    this.#migrated = true;
  }

  /** Whenever the server recovers it ends all connections, so its incarnation has a name before anybody works on one. */
  async #connect(): Promise<PostgresConnection> {
    const connection = await this.#servers.connect();
    if (this.#migrated) await nameIncarnation(connection, READ_TIMEOUT_MS);
    return connection;
  }

  async read(text: string, values: readonly SqlValue[], size?: 'long'): Promise<readonly SqlRow[]> {
    const timeoutMs = size === 'long' || values.length > LONG_PATH ? STATEMENT_TIMEOUT_MS : READ_TIMEOUT_MS;
    return this.#untilDone(() => this.#read(timeoutMs, (connection, restMs) => connection.run(text, values, restMs)));
  }

  /** The entries on the way to a path, in one statement whose size does not depend on the path's. */
  async resolve(names: readonly string[]): Promise<readonly SqlRow[]> {
    return this.read(RESOLVE, [textArray(names)]);
  }

  async #read<T>(timeoutMs: number, work: (connection: PostgresConnection, restMs: number) => Promise<T>): Promise<T> {
    const giveUpAt = performance.now() + timeoutMs;
    const restMs = (): number => giveUpAt - performance.now();
    try {
      return await this.#repeatWhileLost(() =>
        beforeDeadline(
          this.#pool.use('read', restMs(), (connection) => work(connection, restMs())),
          restMs(),
        ),
      );
    } catch (error) {
      if (restMs() <= 0) this.#pool.distrust();
      throw toCallFSError(error);
    }
  }

  async #repeatWhileLost<T>(work: () => Promise<T>): Promise<T> {
    let lostAt: number | undefined;
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof ConnectionLost)) throw error;
        lostAt ??= performance.now();
        if (!(await this.#mayRepeat(lostAt))) throw error;
      }
    }
  }

  /** Pauses before something is repeated; false: the servers have been away for too long. */
  async #mayRepeat(lostAt: number): Promise<boolean> {
    const pauseMs = 20 + Math.random() * 60;
    const giveUpAt = Math.min(lostAt, this.#servers.unreachableSince ?? lostAt) + REPEAT_FOR_MS;
    if (performance.now() + pauseMs > giveUpAt) return false;
    await pause(pauseMs);
    return true;
  }

  mutate<N extends MutationName>(name: N, request: MutationRequest<N>): Promise<MutationResult<N>> {
    return this.#untilDone(() => this.#mutateAndWake(name, request));
  }

  /** Disposing waits for it. */
  async #untilDone<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closed) throw metadataUnavailable(new Error('The connections to PostgreSQL are closed.'));
    const done = work();
    this.#inFlight.add(done);
    try {
      return await done;
    } finally {
      this.#inFlight.delete(done);
    }
  }

  async #mutateAndWake<N extends MutationName>(name: N, request: MutationRequest<N>): Promise<MutationResult<N>> {
    const mutation = mutations[name] as (tx: SqlTransaction, request: MutationRequest<N>) => Promise<MutationResult<N>>;
    try {
      const work = (tx: SqlTransaction): Promise<MutationResult<N>> => mutation(tx, request);
      const result = changesPaths(name, request)
        ? await this.#mutateInTurn(name, work)
        : await this.#mutate(name, work, false);
      if (leavesWork(name, request)) this.#wakes.wake();
      return result;
    } catch (error) {
      throw toCallFSError(error);
    }
  }

  /** Those of this process wait here, so that they do not wait on many connections. */
  async #mutateInTurn<T>(name: MutationName, work: (tx: SqlTransaction) => Promise<T>): Promise<T> {
    const mutated = this.#turns.then(() => this.#mutate(name, work, true));
    this.#turns = mutated.catch(() => {});
    return mutated;
  }

  async #mutate<T>(name: MutationName, work: (tx: SqlTransaction) => Promise<T>, inTurn: boolean): Promise<T> {
    const startedAt = performance.now();
    let lostAt: number | undefined;
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#attempt(name, work, inTurn);
      } catch (error) {
        if (isRepeatable(error)) {
          if (attempt >= MIN_ATTEMPTS && performance.now() - startedAt > MUTATION_TIMEOUT_MS) throw error;
          await pause(Math.random() * Math.min(attempt, 10));
          continue;
        }
        lostAt ??= performance.now();
        if (error instanceof CommitUnanswered) {
          if (await this.#wasCommitted(error, lostAt)) return error.result as T;
        } else if (!(error instanceof ConnectionLost)) {
          throw error;
        }
        if (!(await this.#mayRepeat(lostAt))) throw metadataUnavailable(error);
      }
    }
  }

  #attempt<T>(name: MutationName, work: (tx: SqlTransaction) => Promise<T>, inTurn: boolean): Promise<T> {
    const limits = {
      statementMs: LONG.has(name) ? STATEMENT_TIMEOUT_MS : MUTATION_TIMEOUT_MS,
      commitMs: MUTATION_TIMEOUT_MS,
    };
    const options = {
      identified: !READ_ONLY.has(name),
      inTurn,
      onMoment: (moment: StoreMoment) => storeFault(moment, [name]),
    };
    return this.#pool.use('write', MUTATION_TIMEOUT_MS, (connection) => transact(connection, work, options, limits));
  }

  /** @throws CallFSError METADATA_UNAVAILABLE when nobody can tell in time */
  async #wasCommitted(unanswered: CommitUnanswered<unknown>, lostAt: number): Promise<boolean> {
    const { identity } = unanswered;
    if (!identity) return false;
    const restMs = (): number => lostAt + REPEAT_FOR_MS - performance.now();
    while (restMs() > 0) {
      try {
        const ask = this.#pool.use('read', restMs(), (connection) => inquire(connection, identity, restMs()));
        const outcome = await beforeDeadline(ask, restMs());
        if (outcome === 'committed') return true;
        if (outcome === 'aborted') return false;
        if (outcome === 'unknown') break;
      } catch {
        // Whatever keeps it from answering may pass.
      }
      await pause(20 + Math.random() * 40);
    }
    throw outcomeUnknown(unanswered);
  }

  /** Calls `wake` whenever another commit may have left work, until disposed; and when it listens (again). */
  watch(wake: () => void): Promise<AsyncDisposable> {
    return WakeListener.start((onNotify) => this.#servers.connect(onNotify), wake);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Not the pool's matter alone: what was asked for may wait for its turn, or between two attempts.
    this.#closed = true;
    await Promise.allSettled(this.#inFlight);
    await this.#pool[Symbol.asyncDispose]();
  }
}

/** Whether the mutation begins with `lockPaths`. */
function changesPaths<N extends MutationName>(name: N, request: MutationRequest<N>): boolean {
  if (name === 'removeTree') return true;
  if (name !== 'moveEntry') return false;
  const { from, to } = request as MutationRequest<'moveEntry'>;
  return to.parentId !== from.parentId || to.name !== from.name || to.missingParents.length > 0;
}

function leavesWork<N extends MutationName>(name: N, request: MutationRequest<N>): boolean {
  if (WAKING.has(name)) return true;
  if (typeof request !== 'object') return false;
  return (
    ('takeOver' in request && request.takeOver === true) ||
    ('replacesId' in request && request.replacesId !== undefined)
  );
}

function outcomeUnknown(cause: unknown): CallFSError {
  const { code, headers } = metadataUnavailable(cause);
  const message =
    'The metadata store went away while it committed, so it is unknown whether that happened; look before trying again.';
  return new CallFSError(code, message, { headers, cause });
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

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
