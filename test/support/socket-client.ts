/** Transfers over WebSockets, as clients do them. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import { ALICE_KEY } from './cluster.ts';
import { patternBlocks } from './pattern.ts';

const FRAME_BYTES = 64 * 1024;

export interface SocketOptions {
  readonly key?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A refused handshake. */
export interface Refusal {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly json: Record<string, unknown>;
}

export interface Closed {
  readonly code: number;
  readonly reason: string;
  /** Text messages since the connection was opened. */
  readonly texts: readonly string[];
  /** Of all binary messages. */
  readonly sha256: string;
  readonly frames: readonly number[];
}

export class SocketClient implements Disposable {
  readonly socket: WebSocket;
  readonly #closed: Promise<Closed>;
  /** The header fields of the 101, or what was answered instead of it. */
  readonly opened: Promise<IncomingMessage['headers'] | Refusal>;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    this.opened = opening(socket);
    this.opened.catch(() => {});
    this.#closed = collecting(socket);
  }

  static open(url: string, target: string, { key = ALICE_KEY, headers = {} }: SocketOptions = {}): SocketClient {
    const authorization: Record<string, string> = key === null ? {} : { authorization: `Bearer ${key}` };
    const socket = new WebSocket(url.replace('http', 'ws') + target, {
      headers: { ...authorization, ...headers },
      perMessageDeflate: true,
    });
    return new SocketClient(socket);
  }

  /** Resolves when the kernel has the message. */
  send(data: string | Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.socket.send(data, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** Sends pattern content in frames of 64 KiB. @returns its hash */
  async sendPattern(sizeBytes: number): Promise<string> {
    const hash = createHash('sha256');
    for (const block of patternBlocks(sizeBytes, hash)) {
      for (let at = 0; at < block.length; at += FRAME_BYTES) await this.send(block.subarray(at, at + FRAME_BYTES));
    }
    return hash.digest('hex');
  }

  /** Resolves when the connection is closed. */
  closed(): Promise<Closed> {
    return this.#closed;
  }

  [Symbol.dispose](): void {
    this.socket.terminate();
  }
}

export const isRefusal = (opened: IncomingMessage['headers'] | Refusal): opened is Refusal =>
  typeof opened.status === 'number';

async function opening(socket: WebSocket): Promise<IncomingMessage['headers'] | Refusal> {
  const refused = once(socket, 'unexpected-response') as Promise<[unknown, IncomingMessage]>;
  refused.catch(() => {});
  const upgraded = once(socket, 'upgrade') as Promise<[IncomingMessage]>;
  const first = await Promise.race([refused, upgraded]);
  if (first.length === 1) return first[0].headers;
  const [, answer] = first;
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk);
  socket.emit('close', 1006, Buffer.alloc(0));
  return { status: answer.statusCode ?? 0, headers: answer.headers, json: JSON.parse(String(Buffer.concat(chunks))) };
}

function collecting(socket: WebSocket): Promise<Closed> {
  const texts: string[] = [];
  const frames: number[] = [];
  const hash = createHash('sha256');
  socket.on('message', (data: Buffer, isBinary) => {
    if (!isBinary) texts.push(data.toString());
    else {
      frames.push(data.length);
      hash.update(data);
    }
  });
  socket.on('error', () => {});
  return new Promise((resolve) => {
    socket.once('close', (code, reason) =>
      resolve({ code, reason: reason.toString(), texts, sha256: hash.digest('hex'), frames }),
    );
  });
}

/** One masked frame of a client (RFC 6455 section 5.2). @param opcode with the FIN bit, e.g. 0x82 */
export function frame(opcode: number, payload: Buffer): Buffer {
  const mask = Buffer.from([1, 2, 3, 4]);
  const length = Buffer.alloc(payload.length < 126 ? 1 : 3);
  if (payload.length < 126) length.writeUInt8(0x80 | payload.length);
  else {
    length.writeUInt8(0x80 | 126);
    length.writeUInt16BE(payload.length, 1);
  }
  const masked = Buffer.from(payload.map((byte, index) => byte ^ (mask[index % 4] ?? 0)));
  return Buffer.concat([Buffer.from([opcode]), length, mask, masked]);
}
