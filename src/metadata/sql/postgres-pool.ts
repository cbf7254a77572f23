/** A bounded number of connections, each used by one at a time. Those who write leave some to those who only read. */
import { metadataUnavailable } from '../../core/errors.ts';
import type { PostgresConnection } from './postgres-connection.ts';

export type Purpose = 'read' | 'write';

export interface PoolOptions {
  readonly connect: () => Promise<PostgresConnection>;
  readonly max: number;
  readonly maxWriting: number;
}

interface Waiting {
  readonly purpose: Purpose;
  readonly go: () => void;
}

/** Sessions grow with the statements they have prepared, so each is renewed after a while. */
const LIFETIME_MS = 30 * 60_000;
const DRAIN_MS = 5000;

export class PostgresPool implements AsyncDisposable {
  readonly #options: PoolOptions;
  readonly #idle = new Set<PostgresConnection>();
  readonly #inUse = new Set<PostgresConnection>();
  readonly #waiting = new Set<Waiting>();
  readonly #running: Record<Purpose, number> = { read: 0, write: 0 };
  #onDrained: (() => void) | undefined;
  #ended = false;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /**
   * Lends a connection. Rejects with METADATA_UNAVAILABLE when none is free within `timeoutMs` and with ConnectionLost
   * when none can be opened; with nothing asked of a server in both cases.
   */
  async use<T>(purpose: Purpose, timeoutMs: number, work: (connection: PostgresConnection) => Promise<T>): Promise<T> {
    await this.#turn(purpose, timeoutMs);
    try {
      const connection = this.#takeIdle() ?? (await this.#options.connect());
      this.#inUse.add(connection);
      try {
        return await work(connection);
      } finally {
        this.#inUse.delete(connection);
        this.#giveBack(connection);
      }
    } finally {
      this.#running[purpose]--;
      this.#letGo();
    }
  }

  /** Connections that nobody uses are not to be trusted: their server went silent. */
  distrust(): void {
    for (const connection of this.#idle) connection.destroy(new Error('PostgreSQL does not answer.'));
    this.#idle.clear();
  }

  #takeIdle(): PostgresConnection | undefined {
    for (const connection of [...this.#idle].reverse()) {
      this.#idle.delete(connection);
      if (connection.isOpen) return connection;
    }
    return undefined;
  }

  #giveBack(connection: PostgresConnection): void {
    if (!connection.isOpen) return;
    const old = performance.now() - connection.openedAt > LIFETIME_MS;
    if (this.#ended || old) void connection.close();
    else this.#idle.add(connection);
  }

  async #turn(purpose: Purpose, timeoutMs: number): Promise<void> {
    if (this.#ended) throw metadataUnavailable(new Error('The connections to PostgreSQL are closed.'));
    if (this.#mayGo(purpose)) {
      this.#running[purpose]++;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const waiting: Waiting = {
        purpose,
        go: () => {
          clearTimeout(timer);
          resolve();
        },
      };
      this.#waiting.add(waiting);
      const timer = setTimeout(() => {
        this.#waiting.delete(waiting);
        reject(metadataUnavailable(new Error('All connections to PostgreSQL are busy.')));
      }, timeoutMs);
    });
  }

  #mayGo(purpose: Purpose): boolean {
    const { read, write } = this.#running;
    return read + write < this.#options.max && (purpose === 'read' || write < this.#options.maxWriting);
  }

  #letGo(): void {
    for (const waiting of this.#waiting) {
      if (!this.#mayGo(waiting.purpose)) continue;
      this.#waiting.delete(waiting);
      this.#running[waiting.purpose]++;
      waiting.go();
    }
    if (this.#running.read + this.#running.write === 0) this.#onDrained?.();
  }

  /** Lets those who have or wait for a connection finish, for a while. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    if (this.#running.read + this.#running.write > 0) {
      await new Promise<void>((resolve) => {
        this.#onDrained = resolve;
        setTimeout(resolve, DRAIN_MS).unref();
      });
    }
    for (const connection of this.#inUse) connection.destroy(new Error('The connections to PostgreSQL are closed.'));
    await Promise.all([...this.#idle].map((connection) => connection.close()));
  }
}
