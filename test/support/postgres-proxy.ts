/** Stands between clients and a PostgreSQL server: counts what is asked, and breaks connections at the worst moment. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** What happens to the next COMMIT. */
export type CommitFate =
  /** It is not passed on, and the connection is cut. */
  | 'cut-before'
  /** It is passed on; when the server answers the connection is cut instead. */
  | 'cut-after'
  /** It is passed on, and the connection to the client is cut at once. */
  | 'cut-client';

const COMMIT = Buffer.from('COMMIT\0');

export class PostgresProxy implements AsyncDisposable {
  /** Statements executed since the proxy was started. */
  statements = 0;
  /** How often a client said something and waited for the answer. */
  roundTrips = 0;
  /** Fates of the next COMMITs, in order; then they are passed on. */
  readonly fates: CommitFate[] = [];
  /** Called once, when the next COMMIT has been passed on. */
  onCommit: (() => void) | undefined;
  /** All connections are cut when this many more statements have been asked for. */
  cutIn = Number.POSITIVE_INFINITY;
  /** While true connections are cut as soon as they are made. */
  refusing = false;
  readonly #server: Server;
  readonly #target: number;
  readonly #sockets = new Set<Socket>();

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer((client) => this.#serve(client));
  }

  static async start(target: number): Promise<PostgresProxy> {
    const proxy = new PostgresProxy(target);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The same connection string, by way of the proxy. */
  through(dsn: string): string {
    return dsn.replace(`:${this.#target}/`, `:${this.port}/`);
  }

  /** Cuts all connections. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #serve(client: Socket): void {
    if (this.refusing) {
      client.destroy();
      return;
    }
    const server = connect(this.#target, '127.0.0.1');
    let asking = false;
    let answerEnds = false;
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#sockets.delete(socket);
        (socket === client ? server : client).destroy();
      });
    }
    const count = statementCounter();
    client.on('data', (said: Buffer) => {
      if (!asking) this.roundTrips++;
      asking = true;
      const statements = count(said);
      this.statements += statements;
      this.cutIn -= statements;
      if (this.cutIn <= 0) {
        this.cutIn = Number.POSITIVE_INFINITY;
        this.cut();
        return;
      }
      const fate = said.includes(COMMIT) ? this.fates.shift() : undefined;
      if (fate === 'cut-before') {
        client.destroy();
        return;
      }
      answerEnds = fate === 'cut-after';
      server.write(said);
      if (this.onCommit && said.includes(COMMIT)) {
        const tell = this.onCommit;
        this.onCommit = undefined;
        tell();
      }
      // The server must have read it before it sees the end of the connection.
      if (fate === 'cut-client') client.resetAndDestroy();
    });
    server.on('data', (said: Buffer) => {
      asking = false;
      if (answerEnds) client.destroy();
      else client.write(said);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.cut();
    await closed;
  }
}

const EXECUTE = 'E'.charCodeAt(0);
const QUERY = 'Q'.charCodeAt(0);

/** Counts statements in what one client says: messages of one byte for the type and four for the length, behind a first one without type. */
function statementCounter(): (said: Buffer) => number {
  let rest: Buffer = Buffer.alloc(0);
  let started = false;
  return (said) => {
    let statements = 0;
    rest = Buffer.concat([rest, said]);
    for (;;) {
      const header = started ? 1 : 0;
      if (rest.length < header + 4) return statements;
      const end = header + rest.readUInt32BE(header);
      if (rest.length < end) return statements;
      if (started && (rest[0] === EXECUTE || rest[0] === QUERY)) statements++;
      started = true;
      rest = rest.subarray(end);
    }
  };
}
