/** GET on `/v1/files/ws/{path}?mode=download|upload` that becomes a WebSocket: the bytes of GET and PUT in messages. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ClientGone } from '../../cluster/exchange.ts';
import { CallFSError } from '../../core/errors.ts';
import { encodePath } from '../../core/virtual-path.ts';
import { readFile } from '../../engine/read-file.ts';
import { type FileRequest, parseFileRequest, parseUploadRequest } from '../file-request.ts';
import { observe } from '../hooks.ts';
import type { HttpServices } from '../http-services.ts';
import type { OwnerExchange } from '../owner-attempt.ts';
import { routeToOwner } from '../owner-route.ts';
import { describeError, isClientGone } from '../render-error.ts';
import { FILES, queryValue, SOCKETS } from '../request-target.ts';
import { ForwardedAnswer } from '../response-sink.ts';
import { FrameSink } from '../sockets/frames.ts';
import { DivertedAnswer, FramedAnswer, Verdict } from '../sockets/owner-answers.ts';
import { SocketUpload } from '../sockets/socket-upload.ts';
import { CLOSE, type TransferSocket } from '../sockets/transfer-socket.ts';
import { assertHandshake, upgrade } from '../sockets/upgrade.ts';
import { routeWrite } from './write-file-route.ts';

export async function openSocket(
  services: HttpServices,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  // First of all: who is asking?
  const parsed = parseFileRequest(services, request, SOCKETS);
  const mode = queryValue(request.query, 'mode');
  if (mode !== 'download' && mode !== 'upload') {
    throw new CallFSError('BAD_REQUEST', 'The query parameter mode must be download or upload.');
  }
  assertHandshake(request);
  const opening = new Opening(() => upgrade(request, reply, services.idleTimeoutMs));
  try {
    if (mode === 'download') await download(services, request, reply, parsed, opening);
    else await upload(services, request, reply, opening);
  } catch (error) {
    if (!opening.socket) throw error;
    await fail(services, request, opening.socket, error);
  }
  // What became a WebSocket has no HTTP answer whose end could be seen.
  if (opening.socket) observe(services, request, reply);
  return reply;
}

/** The WebSocket that the request becomes, once. */
class Opening {
  readonly #upgrade: () => TransferSocket;
  socket: TransferSocket | undefined;

  constructor(upgrade: () => TransferSocket) {
    this.#upgrade = upgrade;
  }

  readonly open = (): TransferSocket => {
    this.socket = this.#upgrade();
    return this.socket;
  };
}

async function download(
  services: HttpServices,
  request: FastifyRequest,
  reply: FastifyReply,
  parsed: FileRequest,
  opening: Opening,
): Promise<void> {
  const { state } = request;
  const { path } = parsed;
  const abandon = new AbortController();
  const frames = (): FrameSink => {
    const socket = opening.open();
    // What the client sends is dropped, but that it closes is noticed.
    socket.resume();
    return new FrameSink(socket, state);
  };
  let framed: FramedAnswer | undefined;
  const answer = new DivertedAnswer((status) => {
    if (status !== 200) return new ForwardedAnswer(reply, state);
    framed = new FramedAnswer(frames(), () => abandon.abort());
    return framed;
  });
  const exchange = { ...asked('GET', request, path), signal: abandon.signal, answer };
  const run = () => readFile(services.engine, parsed);
  const found = await routeToOwner(services, request, reply, { path, run, bodyFor: () => undefined, exchange });
  if (found?.kind === 'directory') throw new CallFSError('BAD_REQUEST', `${path} is a directory; GET lists it.`);
  if (found) {
    state.owner = found.entry.instanceId;
    services.metrics.fileOperations.inc({ operation: 'read', backend_type: found.entry.backendType });
    await using reader = found.reader;
    const sink = frames();
    await reader.copyTo(sink, 0, reader.sizeBytes);
    await sink.flush();
  }
  await framed?.flush();
  opening.socket?.conclude(CLOSE.done, '');
  state.concluded = true;
}

async function upload(
  services: HttpServices,
  request: FastifyRequest,
  reply: FastifyReply,
  opening: Opening,
): Promise<void> {
  const { state } = request;
  const bytes = new SocketUpload(opening.open);
  const parsed = { ...parseUploadRequest(services, request, reply, SOCKETS), upload: bytes };
  const verdict = new Verdict();
  const answer = new DivertedAnswer(() => (bytes.isOpened ? verdict : new ForwardedAnswer(reply, state)));
  const signal = new AbortController().signal;
  const exchange = { ...asked('PUT', request, parsed.path), signal, answer };
  const written = await routeWrite(services, request, reply, parsed, exchange);
  if (!opening.socket) return;
  state.concluded = true;
  if (!written && verdict.status >= 300) return refuse(opening.socket, verdict.status, verdict.text);
  // The file is there, whether or not the client waits to be told.
  await opening.socket.deliver(`ok:${bytes.receivedBytes}`).catch(() => {});
  opening.socket.conclude(CLOSE.done, `ok:${bytes.receivedBytes}`);
}

/** What the owner needs to know of a request that is another one there. */
const SENT_ON: readonly string[] = ['authorization', 'user-agent'];
const SENT_ON_WITH_UPLOADS: readonly string[] = [
  ...SENT_ON,
  'content-type',
  'x-callfs-mode',
  'x-callfs-backend',
  'if-match',
  'if-none-match',
  'if-modified-since',
  'if-unmodified-since',
];

function asked(
  method: 'GET' | 'PUT',
  { headers }: FastifyRequest,
  path: FileRequest['path'],
): Pick<OwnerExchange, 'method' | 'target' | 'headers'> {
  const names = method === 'PUT' ? SENT_ON_WITH_UPLOADS : SENT_ON;
  const sentOn = Object.fromEntries(names.map((name) => [name, headers[name]]));
  return { method, target: `${FILES}${encodePath(path)}`, headers: sentOn };
}

async function fail(
  services: HttpServices,
  request: FastifyRequest,
  socket: TransferSocket,
  error: unknown,
): Promise<void> {
  if (isClientGone(error) || error instanceof ClientGone) {
    request.state.cause ??= error;
    socket.terminate();
    return;
  }
  const { known, body } = await describeError(services, error, request.state);
  await refuse(socket, known.status, body);
}

/** Tells what an HTTP answer would have told, then closes. */
async function refuse(socket: TransferSocket, status: number, body: string): Promise<void> {
  await socket.deliver(`error:${body}`).catch(() => {});
  const refusal = status === 413 ? CLOSE.tooLarge : CLOSE.refused;
  socket.conclude(status >= 500 ? CLOSE.failed : refusal, '');
}
