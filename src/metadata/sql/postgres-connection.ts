/**
 * One connection to one PostgreSQL server. It lives once: whoever loses it opens another. The package underneath would
 * reconnect by itself, in the middle of a transaction too, and hangs or crashes when something is asked of a connection
 * that is just breaking (its issues 1154 and 1208); so each of its pools has one connection here, and a socket of ours.
 */
import { connect, type Socket } from 'node:net';
import postgres, { type ParameterOrJSON, type Sql } from 'postgres';
import type { PostgresAddress } from './postgres-dsn.ts';
import { ConnectionLost, endsConnection } from './postgres-errors.ts';
import type { SqlRow, SqlValue } from './sql-database.ts';

export interface SessionSettings {
  /** The connection string, see `PostgresDsn.rest`. */
  readonly dsn: string;
  /** Settings of the server that the session begins with. */
  readonly settings: Readonly<Record<string, string | number>>;
}

export interface OpenConnection extends SessionSettings {
  readonly address: PostgresAddress;
  readonly timeoutMs: number;
  /** Called for each notification that the session listens for. */
  readonly onNotify?: () => void;
}

/** The system asks a silent peer this long after the last sign of life. */
const KEEP_ALIVE_MS = 5000;

export class PostgresConnection {
  readonly openedAt = performance.now();
  readonly #socket: Socket;
  readonly #sql: Sql<{ bigint: number }>;
  readonly #pending = new Set<(error: Error) => void>();
  readonly #closed = Promise.withResolvers<void>();
  #lost: ConnectionLost | undefined;

  private constructor(socket: Socket, { dsn, settings, address, onNotify }: OpenConnection) {
    this.#socket = socket;
    let handed = false;
    const options = {
      host: address.host,
      port: address.port,
      max: 1,
      // Time is kept here; the package's own limits would cut transactions in two.
      connect_timeout: 0,
      max_lifetime: null,
      idle_timeout: 0,
      fetch_types: false,
      onnotice: () => {},
      onnotify: onNotify,
      onclose: () => this.#lose(new Error('The connection was closed.')),
      types: { bigint: { to: 20, from: [20], parse: Number, serialize: String } },
      connection: settings,
      socket: (): Socket => {
        if (handed) throw new Error('The connection was closed.');
        handed = true;
        return socket;
      },
    };
    this.#sql = postgres(dsn, options);
    socket.once('close', () => this.#lose(new Error('The connection was closed.')));
  }

  /** Rejects with ConnectionLost; also when the server does not accept writes. */
  static async open(request: OpenConnection): Promise<PostgresConnection> {
    const giveUpAt = performance.now() + request.timeoutMs;
    const connection = new PostgresConnection(await openSocket(request), request);
    try {
      const [row] = await connection.script('SHOW transaction_read_only', giveUpAt - performance.now());
      if (row?.transaction_read_only === 'off') return connection;
      throw new Error('the server does not accept writes (a standby?)');
    } catch (error) {
      connection.destroy(error);
      throw error instanceof ConnectionLost ? error : new ConnectionLost(error);
    }
  }

  get isOpen(): boolean {
    return this.#lost === undefined;
  }

  /** Resolves when the connection is of no use any more. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** One prepared statement. Rejects with ConnectionLost, also when there is no answer within the time. */
  run(text: string, values: readonly SqlValue[], timeoutMs: number): Promise<readonly SqlRow[]> {
    const options = { prepare: true, simple: false };
    return this.#ask(() => this.#sql.unsafe<SqlRow[]>(text, values as ParameterOrJSON<never>[], options), timeoutMs);
  }

  /** One statement, or several, as plain text; resolves to the rows with the command that was done. */
  script(text: string, timeoutMs: number): Promise<readonly SqlRow[] & { readonly command: string }> {
    return this.#ask(() => this.#sql.unsafe<SqlRow[]>(text), timeoutMs);
  }

  #ask<T>(question: () => PromiseLike<T>, timeoutMs: number): Promise<T> {
    if (this.#lost) return Promise.reject(this.#lost);
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const timer = setTimeout(() => this.destroy(new Error('PostgreSQL does not answer.')), Math.max(0, timeoutMs));
    const finish = (): void => {
      clearTimeout(timer);
      this.#pending.delete(fail);
    };
    const fail = (error: unknown): void => {
      finish();
      if (!(error instanceof ConnectionLost) && endsConnection(error)) {
        this.destroy(error);
        reject(this.#lost);
      } else {
        reject(error);
      }
    };
    this.#pending.add(fail);
    question().then((answer) => {
      finish();
      resolve(answer);
    }, fail);
    return promise;
  }

  #lose(reason: unknown): void {
    if (this.#lost) return;
    this.#lost = new ConnectionLost(reason);
    this.#closed.resolve();
    for (const fail of [...this.#pending]) fail(this.#lost);
  }

  /** Cuts it; whoever waits for an answer gets ConnectionLost. */
  destroy(reason: unknown): void {
    this.#lose(reason);
    this.#socket.destroy();
  }

  /** Says goodbye to the server; nobody may wait for an answer. */
  async close(): Promise<void> {
    this.#lose(new Error('The connection was closed.'));
    await this.#sql.end({ timeout: 1 }).catch(() => {});
    this.#socket.destroy();
  }
}

async function openSocket({ address: { host, port }, timeoutMs }: OpenConnection): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = host.startsWith('/') ? connect({ path: `${host}/.s.PGSQL.${port}` }) : connect({ host, port });
  const timer = setTimeout(() => reject(new Error('no connection in time')), Math.max(0, timeoutMs));
  // For good: the package listens only some turns of the event loop after it got the socket. "close" follows every error.
  socket.on('error', reject);
  socket.once('connect', resolve);
  try {
    await promise;
  } catch (error) {
    socket.destroy();
    throw new ConnectionLost(error);
  } finally {
    clearTimeout(timer);
  }
  socket.setNoDelay(true);
  if (!host.startsWith('/')) socket.setKeepAlive(true, KEEP_ALIVE_MS);
  // The package checks certificates against the name that it finds here.
  return Object.assign(socket, { host, port });
}
