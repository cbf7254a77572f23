/** Resumable uploads as a client with nothing but HTTP makes them. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import * as net from 'node:net';
import { type Answer, call } from './client.ts';
import { ALICE_KEY, type TestInstance } from './cluster.ts';
import { RawConnection } from './raw-connection.ts';
import { connectSecurely } from './tls.ts';

const VERSION = { 'tus-resumable': '1.0.0' };
export const PIECE_TYPE = 'application/offset+octet-stream';

export interface TusOptions {
  readonly key?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

export function tus(method: string, at: TestInstance, target: string, options: TusOptions = {}): Promise<Answer> {
  return call(method, at.url, target, { ...options, headers: { ...VERSION, ...options.headers } });
}

/** `Upload-Metadata`. */
export function metadataOf(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name} ${Buffer.from(value).toString('base64')}`)
    .join(',');
}

/** Begins an upload. @returns its URL, without the host */
export async function begin(
  at: TestInstance,
  path: string,
  lengthBytes: number,
  values: Readonly<Record<string, string>> = {},
  key?: string,
): Promise<string> {
  const headers = { 'upload-length': String(lengthBytes), 'upload-metadata': metadataOf({ path, ...values }) };
  const answer = await tus('POST', at, '/v1/uploads', { headers, ...(key === undefined ? {} : { key }) });
  assert.equal(answer.status, 201, answer.text);
  return String(answer.headers.location);
}

export function patch(
  at: TestInstance,
  url: string,
  offset: number,
  body: string | Buffer,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const own = { 'upload-offset': String(offset), 'content-type': PIECE_TYPE };
  return tus('PATCH', at, url, { headers: { ...own, ...headers }, body });
}

/** What HEAD tells. */
export async function offsetAt(at: TestInstance, url: string): Promise<number> {
  const { status, headers } = await tus('HEAD', at, url);
  assert.equal(status, 200);
  return Number(headers['upload-offset']);
}

/** A PATCH whose body the test sends as it likes; the server has asked for it already. */
export async function openPatch(
  at: TestInstance,
  url: string,
  { offset, length, headers = {} }: { offset: number; length: number; headers?: Readonly<Record<string, string>> },
): Promise<RawConnection> {
  const connection = await RawConnection.open(at.url);
  connection.sendHead('PATCH', url, {
    authorization: `Bearer ${ALICE_KEY}`,
    ...VERSION,
    'upload-offset': String(offset),
    'content-type': PIECE_TYPE,
    'content-length': String(length),
    ...headers,
    expect: '100-continue',
  });
  await connection.continued();
  return connection;
}

export interface CutPiece {
  readonly offset: number;
  /** Of the body that is promised. */
  readonly length: number;
  /** So much is sent, then the connection is closed. */
  readonly cutAfter: number;
  readonly blocks: Iterable<Buffer>;
  /** Not closed but reset, as when a cable is pulled. */
  readonly reset?: boolean;
}

/** Sends the first part of a PATCH and cuts the connection. @returns the bytes that the system took for sending */
export async function cutPatch(at: TestInstance, url: string, piece: CutPiece): Promise<number> {
  const { hostname, port, host } = new URL(at.url);
  const isSecure = at.url.startsWith('https:');
  const socket = isSecure ? connectSecurely(at.url) : net.connect({ host: hostname, port: Number(port) });
  socket.on('error', () => {}).resume();
  await once(socket, isSecure ? 'secureConnect' : 'connect');
  const fields = {
    ...{ host, authorization: `Bearer ${ALICE_KEY}`, ...VERSION, 'content-type': PIECE_TYPE },
    ...{ 'upload-offset': String(piece.offset), 'content-length': String(piece.length) },
  };
  const head = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  const write = (bytes: Buffer): Promise<boolean> =>
    new Promise((resolve) => {
      socket.write(bytes, (error) => resolve(!error));
    });
  let sent = 0;
  await write(Buffer.from(`PATCH ${url} HTTP/1.1\r\n${head.join('')}\r\n`));
  for (const block of piece.blocks) {
    const bytes = block.subarray(0, piece.cutAfter - sent);
    if (bytes.length === 0 || !(await write(bytes))) break;
    sent += bytes.length;
  }
  if (piece.reset && socket instanceof net.Socket) socket.resetAndDestroy();
  else socket.destroy();
  return sent;
}
