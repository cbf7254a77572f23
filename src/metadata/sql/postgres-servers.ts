/** The servers of one database, of which one accepts writes: opens connections to it, and finds the next when it is gone. */
import { type OpenConnection, PostgresConnection, type SessionSettings } from './postgres-connection.ts';
import type { PostgresAddress } from './postgres-dsn.ts';
import { ConnectionLost, messageOf } from './postgres-errors.ts';

const CONNECT_TIMEOUT_MS = 900;
/** How long a server that accepts writes waits for the others to say that it has been replaced. */
const OTHERS_MS = 200;

interface Candidate {
  readonly address: PostgresAddress;
  /** Grows with every promotion of a standby. */
  readonly timeline: number;
}

export class PostgresServers {
  readonly #addresses: readonly PostgresAddress[];
  readonly #session: SessionSettings;
  #current: PostgresAddress | undefined;
  #search: Promise<PostgresAddress> | undefined;
  #unreachableSince: number | undefined;

  constructor(addresses: readonly PostgresAddress[], session: SessionSettings) {
    this.#addresses = addresses;
    this.#session = session;
    if (addresses.length === 1) this.#current = addresses[0];
  }

  /** On the clock of `performance.now()`; undefined: the last attempt to connect succeeded. */
  get unreachableSince(): number | undefined {
    return this.#unreachableSince;
  }

  /** A connection to the server that accepts writes; rejects with ConnectionLost. */
  async connect(onNotify?: () => void): Promise<PostgresConnection> {
    try {
      const connection = await this.#connect(onNotify ? { onNotify } : {});
      this.#unreachableSince = undefined;
      return connection;
    } catch (error) {
      // A listener has no share in the work: its failures, say for want of a connection slot, do not make an outage.
      if (!onNotify) this.#unreachableSince ??= performance.now();
      throw error;
    }
  }

  async #connect(options: Pick<OpenConnection, 'onNotify'>): Promise<PostgresConnection> {
    const known = this.#current;
    if (known) {
      try {
        return await this.#open(known, options);
      } catch (error) {
        if (this.#addresses.length === 1) throw error;
        if (this.#current === known) this.#current = undefined;
      }
    }
    return this.#open(await this.#find(), options);
  }

  #open(address: PostgresAddress, options: Pick<OpenConnection, 'onNotify'> = {}): Promise<PostgresConnection> {
    return PostgresConnection.open({ ...this.#session, ...options, address, timeoutMs: CONNECT_TIMEOUT_MS });
  }

  /** Many ask at the same time; one search answers them all. */
  async #find(): Promise<PostgresAddress> {
    this.#search ??= this.#look().finally(() => {
      this.#search = undefined;
    });
    this.#current = await this.#search;
    return this.#current;
  }

  /** All servers are asked at once, so that one that is silent costs no time. A replaced primary has an older timeline. */
  async #look(): Promise<PostgresAddress> {
    const found: Candidate[] = [];
    const refusals: string[] = [];
    const first = Promise.withResolvers<void>();
    const all = this.#addresses.map(async (address) => {
      try {
        found.push({ address, timeline: await this.#timelineOf(address) });
        first.resolve();
      } catch (error) {
        refusals.push(`${address.host}:${address.port}: ${messageOf(error)}`);
      }
    });
    const everyone = Promise.all(all);
    await Promise.race([first.promise.then(() => waitAtMost(everyone, OTHERS_MS)), everyone]);
    const [best] = found.toSorted((one, other) => other.timeline - one.timeline || this.#compare(one, other));
    if (!best) throw new ConnectionLost(new Error(`no server accepts writes (${refusals.join('; ')})`));
    return best.address;
  }

  #compare(one: Candidate, other: Candidate): number {
    return this.#addresses.indexOf(one.address) - this.#addresses.indexOf(other.address);
  }

  async #timelineOf(address: PostgresAddress): Promise<number> {
    const connection = await this.#open(address);
    try {
      const sql = 'SELECT pg_walfile_name(pg_current_wal_lsn()) AS segment';
      const [row] = await connection.script(sql, CONNECT_TIMEOUT_MS);
      return Number.parseInt(String(row?.segment).slice(0, 8), 16);
    } finally {
      void connection.close();
    }
  }
}

async function waitAtMost(work: Promise<unknown>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}
