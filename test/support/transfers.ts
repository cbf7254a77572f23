/** Large transfers: streamed up, hashed down, at a chosen pace, left in the middle. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import * as net from 'node:net';
import { Readable } from 'node:stream';
import { request } from 'undici';
import { ALICE_KEY } from './cluster.ts';
import { patternBlocks } from './pattern.ts';
import { connectSecurely } from './tls.ts';

export interface Transferred {
  readonly status: number;
  readonly sha256: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

const authorization = `Bearer ${ALICE_KEY}`;
const PATIENCE = { headersTimeout: 300_000, bodyTimeout: 300_000 };

/** PUTs pattern content, made while it is sent. */
export async function uploadPattern(url: string, path: string, sizeBytes: number): Promise<Transferred> {
  const hash = createHash('sha256');
  const answer = await request(url + path, {
    method: 'PUT',
    headers: { authorization, 'content-length': String(sizeBytes) },
    body: Readable.from(patternBlocks(sizeBytes, hash), { objectMode: true, highWaterMark: 2 }),
    ...PATIENCE,
  });
  const text = await answer.body.text();
  return { status: answer.statusCode, sha256: hash.digest('hex'), headers: answer.headers, text };
}

/** GETs a file and keeps nothing but its hash. */
export async function downloadHash(url: string, path: string): Promise<Transferred> {
  const answer = await request(url + path, { method: 'GET', headers: { authorization }, ...PATIENCE });
  const hash = createHash('sha256');
  for await (const chunk of answer.body) hash.update(chunk);
  return { status: answer.statusCode, sha256: hash.digest('hex'), headers: answer.headers, text: '' };
}

/** A GET whose client reads only what it is told to. */
export class SlowReader implements Disposable {
  readonly #socket: net.Socket;
  readonly #hash = createHash('sha256');
  /** Bytes of the body so far. */
  receivedBytes = 0;
  #head = '';
  #closed = false;

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#closed = true;
    });
  }

  static async open(url: string, path: string): Promise<SlowReader> {
    const { hostname, port, host } = new URL(url);
    const isSecure = url.startsWith('https:');
    const socket = isSecure ? connectSecurely(url) : net.connect({ host: hostname, port: Number(port) });
    const reader = new SlowReader(socket);
    socket.write(`GET ${path} HTTP/1.1\r\nhost: ${host}\r\nauthorization: ${authorization}\r\n\r\n`);
    await once(socket, 'readable');
    const first = socket.read() as Buffer;
    const end = first.indexOf('\r\n\r\n') + 4;
    reader.#head = first.subarray(0, end).toString('latin1');
    reader.#take(first.subarray(end));
    return reader;
  }

  get status(): number {
    return Number(this.#head.split(' ')[1]);
  }

  get contentLength(): number {
    return Number(/\r\ncontent-length: (\d+)/i.exec(this.#head)?.[1]);
  }

  #take(bytes: Buffer): void {
    this.receivedBytes += bytes.length;
    this.#hash.update(bytes);
  }

  #news(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#socket.once('readable', resolve).once('close', resolve);
    return promise.finally(() => this.#socket.off('readable', resolve).off('close', resolve));
  }

  /** Reads to the end at a pace. @returns the hash of everything, when everything came */
  async readAll(bytesPerSecond: number): Promise<string> {
    const startedAt = performance.now();
    while (this.receivedBytes < this.contentLength && !this.#closed) {
      const chunk = this.#socket.read() as Buffer | null;
      if (chunk === null) {
        await this.#news();
        continue;
      }
      this.#take(chunk);
      const aheadMs = (this.receivedBytes / bytesPerSecond) * 1000 - (performance.now() - startedAt);
      if (aheadMs > 0) await new Promise((resolve) => setTimeout(resolve, aheadMs));
    }
    if (this.receivedBytes < this.contentLength) throw new Error(`cut after ${this.receivedBytes} bytes`);
    return this.#hash.digest('hex');
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}
