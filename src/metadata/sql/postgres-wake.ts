/**
 * Tells other instances at once that a commit left work for them. Notifications are sent apart from the commits, which
 * PostgreSQL would otherwise put in a row one behind the other; one that is lost costs the time until they look by themselves.
 */
import { setTimeout } from 'node:timers/promises';
import type { PostgresConnection } from './postgres-connection.ts';

export const CHANNEL = 'callfs_outbox';

/** Sends notifications, one at a time: those wanted meanwhile become one. */
export class WakeSender {
  readonly #send: () => Promise<unknown>;
  #wanted = false;
  #sending = false;

  constructor(send: () => Promise<unknown>) {
    this.#send = send;
  }

  wake(): void {
    this.#wanted = true;
    if (!this.#sending) void this.#run();
  }

  async #run(): Promise<void> {
    this.#sending = true;
    while (this.#wanted) {
      this.#wanted = false;
      await this.#send().catch(() => {});
    }
    this.#sending = false;
  }
}

const PING_EVERY_MS = 15_000;
const ANSWER_MS = 2000;
const RECONNECT_MS = 250;

/** Listens on a connection of its own, and on another when that is lost. */
export class WakeListener implements AsyncDisposable {
  readonly #connect: (onNotify: () => void) => Promise<PostgresConnection>;
  readonly #wake: () => void;
  #stopped = false;
  /** Ends the pause there is. */
  #pause = new AbortController();
  #running: Promise<void> | undefined;

  private constructor(connect: (onNotify: () => void) => Promise<PostgresConnection>, wake: () => void) {
    this.#connect = connect;
    this.#wake = wake;
  }

  /** Resolves when it listens, or when the first attempt has failed; it goes on trying. */
  static async start(
    connect: (onNotify: () => void) => Promise<PostgresConnection>,
    wake: () => void,
  ): Promise<WakeListener> {
    const listener = new WakeListener(connect, wake);
    const tried = Promise.withResolvers<void>();
    listener.#running = listener.#run(tried.resolve);
    await tried.promise;
    return listener;
  }

  async #run(onTried: () => void): Promise<void> {
    while (!this.#stopped) {
      try {
        const connection = await this.#connect(this.#wake);
        await this.#listenOn(connection, onTried);
      } catch {
        // Whoever needs the store reports that it is away.
      }
      onTried();
      await this.#rest(RECONNECT_MS * (1 + Math.random()));
    }
  }

  async #listenOn(connection: PostgresConnection, onListening: () => void): Promise<void> {
    try {
      await connection.script(`LISTEN ${CHANNEL}`, ANSWER_MS);
      onListening();
      // Nobody was told what came while nobody listened.
      this.#wake();
      void connection.closed.then(() => this.#pause.abort());
      while (connection.isOpen && !this.#stopped) {
        await this.#rest(PING_EVERY_MS);
        if (connection.isOpen && !this.#stopped) await connection.script('SELECT 1', ANSWER_MS);
      }
    } finally {
      if (connection.isOpen) await connection.close();
    }
  }

  async #rest(ms: number): Promise<void> {
    if (this.#stopped) return;
    this.#pause = new AbortController();
    await setTimeout(ms, undefined, { signal: this.#pause.signal, ref: false }).catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    this.#pause.abort();
    await this.#running;
  }
}
