/** An HTTP/2 client whose streams the test can treat badly. */
import { once } from 'node:events';
import * as http2 from 'node:http2';
import { duplexPair } from 'node:stream';
import { connect, type TLSSocket } from 'node:tls';
import { ALICE_KEY } from './cluster.ts';

export interface H2Answer {
  readonly status: number;
  readonly headers: http2.IncomingHttpHeaders;
  readonly text: string;
  readonly bytes: number;
  /** Of RST_STREAM, 0 without. */
  readonly resetCode: number;
}

export class H2Client implements Disposable {
  readonly session: http2.ClientHttp2Session;
  readonly #socket: TLSSocket;

  private constructor(session: http2.ClientHttp2Session, socket: TLSSocket) {
    this.session = session;
    this.#socket = socket;
    session.on('error', () => {});
  }

  /** @param ca PEM */
  static async open(url: string, ca: string): Promise<H2Client> {
    const { hostname: host, port } = new URL(url);
    const socket = connect({ host, port: Number(port), ca, ALPNProtocols: ['h2'] });
    // In between, so that frames of the test's own can be sent, too.
    const [near, far] = duplexPair();
    far.pipe(socket).pipe(far);
    for (const end of [near, far, socket]) end.on('error', () => {});
    socket.once('close', () => near.destroy());
    const session = http2.connect(url, { createConnection: () => near });
    await once(session, 'connect');
    return new H2Client(session, socket);
  }

  /** A stream of which only the head is sent; the test sends, ends or breaks off the rest. */
  start(method: string, path: string, headers: http2.OutgoingHttpHeaders = {}): http2.ClientHttp2Stream {
    const fields = { ':method': method, ':path': path, authorization: `Bearer ${ALICE_KEY}`, ...headers };
    const stream = this.session.request(fields, { endStream: false });
    stream.on('error', () => {});
    return stream;
  }

  async call(method: string, path: string, body?: string | Buffer, headers: http2.OutgoingHttpHeaders = {}) {
    const stream = this.start(method, path, headers);
    stream.end(body);
    return await answerOf(stream);
  }

  /** Sends RST_STREAM and nothing else; Node's own `close` ends the body first, as if it were complete. */
  reset(stream: http2.ClientHttp2Stream, code: number): void {
    const frame = Buffer.from([0, 0, 4, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    frame.writeUInt32BE(stream.id ?? 0, 5);
    frame.writeUInt32BE(code, 9);
    this.#socket.write(frame);
  }

  [Symbol.dispose](): void {
    this.session.destroy();
    this.#socket.destroy();
  }

  cutConnection(): void {
    this.#socket.destroy();
  }
}

/** The whole answer; rejects when the stream closes without one. */
export async function answerOf(stream: http2.ClientHttp2Stream): Promise<H2Answer> {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  const closed = once(stream, 'close');
  let headers: http2.IncomingHttpHeaders = {};
  stream.on('response', (fields) => {
    headers = fields;
  });
  await closed;
  const status = Number(headers[':status'] ?? 0);
  if (status === 0) throw new Error(`closed without an answer, code ${stream.rstCode}`);
  const body = Buffer.concat(chunks);
  return { status, headers, text: body.toString('utf8'), bytes: body.length, resetCode: stream.rstCode };
}
