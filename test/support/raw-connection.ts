/** A connection whose bytes the test chooses: for what HTTP clients would refuse, normalise or never do. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import * as net from 'node:net';
import { connectSecurely } from './tls.ts';
import { waitFor } from './wait-for.ts';

export interface RawAnswer {
  readonly status: number;
  /** Names in lower case; the last of several. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly text: string;
  /** The body as JSON. */
  json(): Record<string, unknown>;
}

const PATIENCE_MS = 20_000;

export class RawConnection implements Disposable {
  readonly #socket: net.Socket;
  readonly #host: string;
  #received: Buffer = Buffer.alloc(0);
  #ended = false;
  /** Status codes of the interim answers so far, e.g. 100. */
  readonly interim: number[] = [];

  private constructor(socket: net.Socket, host: string) {
    this.#socket = socket;
    this.#host = host;
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#ended = true;
    });
  }

  static async open(url: string): Promise<RawConnection> {
    const { hostname, port, host } = new URL(url);
    const isSecure = url.startsWith('https:');
    const socket = isSecure ? connectSecurely(url) : net.connect({ host: hostname, port: Number(port) });
    await once(socket, isSecure ? 'secureConnect' : 'connect');
    return new RawConnection(socket, host);
  }

  /** @param data characters are bytes (latin1) */
  send(data: string | Buffer): boolean {
    return this.#socket.write(typeof data === 'string' ? Buffer.from(data, 'latin1') : data);
  }

  /** Sends a request's head. `Host` is added; nothing else is. */
  sendHead(method: string, target: string, headers: Readonly<Record<string, string>> = {}): void {
    const fields = Object.entries({ host: this.#host, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
    this.send(`${method} ${target} HTTP/1.1\r\n${fields.join('')}\r\n`);
  }

  /** Resolves when the server asks for the body (100 Continue). */
  async continued(): Promise<void> {
    await waitFor('100 Continue', () => this.#received.includes('HTTP/1.1 100 '));
  }

  /** Sends no more. */
  end(): void {
    this.#socket.end();
  }

  get isClosed(): boolean {
    return this.#ended;
  }

  /** Bytes that came and belong to no answer yet. */
  get unread(): number {
    return this.#received.length;
  }

  /** The next final answer. */
  async answer(method = 'GET'): Promise<RawAnswer> {
    const giveUpAt = performance.now() + PATIENCE_MS;
    for (;;) {
      const parsed = parseAnswer(this.#received, method === 'HEAD', this.#ended);
      if (parsed) {
        this.#received = this.#received.subarray(parsed.length);
        if (parsed.answer.status >= 200) return parsed.answer;
        this.interim.push(parsed.answer.status);
        continue;
      }
      if (this.#ended) throw new Error(`The connection was closed without an answer to ${method}.`);
      if (performance.now() > giveUpAt) throw new Error(`No answer to ${method} in ${PATIENCE_MS} ms.`);
      await this.#news();
    }
  }

  #news(): Promise<void> {
    return new Promise((resolve) => {
      const settle = (): void => {
        clearTimeout(timer);
        this.#socket.off('data', settle).off('close', settle);
        resolve();
      };
      const timer = setTimeout(settle, 1000);
      this.#socket.on('data', settle).on('close', settle);
    });
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

/** One request on a connection of its own, its target sent as it is. */
export async function rawCall(
  method: string,
  url: string,
  target: string,
  { headers = {}, body }: { headers?: Readonly<Record<string, string>>; body?: string | Buffer } = {},
): Promise<RawAnswer> {
  using connection = await RawConnection.open(url);
  const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body, 'latin1')) };
  connection.sendHead(method, target, { connection: 'close', ...length, ...headers });
  if (body !== undefined) connection.send(body);
  return await connection.answer(method);
}

function parseAnswer(
  received: Buffer,
  isHead: boolean,
  ended: boolean,
): { answer: RawAnswer; length: number } | undefined {
  const headEnd = received.indexOf('\r\n\r\n');
  if (headEnd < 0) return undefined;
  const [statusLine = '', ...lines] = received.subarray(0, headEnd).toString('latin1').split('\r\n');
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(statusLine)?.[1]);
  assert(status, `not an answer: ${statusLine}`);
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  );
  const start = headEnd + 4;
  const bodiless = isHead || status < 200 || status === 204 || status === 304;
  const found = bodiless ? { body: Buffer.alloc(0), end: start } : parseBody(received, start, headers, ended);
  if (!found) return undefined;
  const { body, end } = found;
  const text = body.toString('utf8');
  return { answer: { status, headers, body, text, json: () => JSON.parse(text) }, length: end };
}

function parseBody(
  received: Buffer,
  start: number,
  headers: Readonly<Record<string, string>>,
  ended: boolean,
): { body: Buffer; end: number } | undefined {
  if (headers['transfer-encoding'] === 'chunked') return parseChunks(received, start);
  const length = headers['content-length'];
  if (length === undefined) return ended ? { body: received.subarray(start), end: received.length } : undefined;
  const end = start + Number(length);
  return received.length < end ? undefined : { body: received.subarray(start, end), end };
}

function parseChunks(received: Buffer, start: number): { body: Buffer; end: number } | undefined {
  const chunks: Buffer[] = [];
  for (let at = start; ; ) {
    const lineEnd = received.indexOf('\r\n', at);
    if (lineEnd < 0) return undefined;
    const size = Number.parseInt(received.subarray(at, lineEnd).toString('latin1'), 16);
    const end = lineEnd + 2 + size + 2;
    if (received.length < end) return undefined;
    if (size === 0) return { body: Buffer.concat(chunks), end };
    chunks.push(received.subarray(lineEnd + 2, end - 2));
    at = end;
  }
}
