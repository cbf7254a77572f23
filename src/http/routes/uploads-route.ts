/** Resumable uploads (tus 1.0) on `/v1/uploads` and `/v1/uploads/{id}`. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CallFSError } from '../../core/errors.ts';
import type { User } from '../../core/permissions.ts';
import { ROOT_PATH } from '../../core/virtual-path.ts';
import { judgeUpload } from '../../engine/begin-upload.ts';
import type { Elsewhere } from '../../engine/engine-context.ts';
import { placeElsewhere } from '../../engine/place-new-entry.ts';
import { getUpload } from '../../engine/upload-context.ts';
import type { Turn } from '../../engine/upload-locks.ts';
import { authenticate } from '../caller.ts';
import { ClientUpload } from '../client-upload.ts';
import { entryHeaders } from '../entry-representation.ts';
import type { HttpServices } from '../http-services.ts';
import { routeToOwner } from '../owner-route.ts';
import { UPLOADS } from '../request-target.ts';
import { tellStillWorking } from '../still-working.ts';
import { exchangeTus, type TusAnswer } from '../uploads/tus-exchange.ts';
import { UploadBody } from '../uploads/upload-body.ts';
import { CHECKSUM_ALGORITHMS, parseChecksum } from '../uploads/upload-checksum.ts';
import { assertPiece, isComplete, PARTIAL, PIECE_TYPE, stateOf, UploadExchange } from '../uploads/upload-exchange.ts';
import { parseTarget } from '../uploads/upload-metadata.ts';
import { bytesOfParts, findParts, lengthOf, removeParts, type UploadParts } from '../uploads/upload-parts.ts';
import { clientBody } from './create-entry-route.ts';

const TUS_VERSION = '1.0.0';
/** How long a question for the offset waits for a request that is about to end. */
const PATIENCE_MS = 3000;

/** What OPTIONS tells of the protocol. @param maxBytes undefined: no limit */
export function uploadOptions(maxBytes: number | undefined): Readonly<Record<string, string>> {
  return {
    'tus-resumable': TUS_VERSION,
    'tus-version': TUS_VERSION,
    'tus-extension':
      'creation,creation-with-upload,creation-defer-length,termination,checksum,expiration,concatenation',
    'tus-checksum-algorithm': CHECKSUM_ALGORITHMS.join(','),
    ...(maxBytes === undefined ? {} : { 'tus-max-size': String(maxBytes) }),
  };
}

/** One request, and who sends it. */
interface Visit {
  readonly services: HttpServices;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly user: User;
  readonly upload: ClientUpload;
}

interface Answered {
  readonly kind: 'answer';
  readonly answer: TusAnswer;
}

/** @throws CallFSError AUTHENTICATION_FAILED; PRECONDITION_FAILED for another version of the protocol */
function receive(services: HttpServices, request: FastifyRequest, reply: FastifyReply): Visit {
  reply.header('tus-resumable', TUS_VERSION);
  const user = authenticate(services, request);
  if (request.headers['tus-resumable'] !== TUS_VERSION) {
    throw new CallFSError('PRECONDITION_FAILED', `Send the header field Tus-Resumable: ${TUS_VERSION}.`, {
      headers: { 'tus-version': TUS_VERSION },
    });
  }
  return { services, request, reply, user, upload: new ClientUpload(request.raw, reply.raw) };
}

export async function postUpload(
  services: HttpServices,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const visit = receive(services, request, reply);
  const { uploads } = services;
  const concat = textOf(request, 'upload-concat');
  const metadata = textOf(request, 'upload-metadata') ?? '';
  const target = concat === PARTIAL ? undefined : parseTarget(metadata);
  const parts = await findParts(uploads, visit.user, concat);
  const run = async (staysHere: boolean): Promise<Answered | Elsewhere> => {
    const forwarded = staysHere || request.state.peer !== undefined;
    const { instanceId } = parts ?? uploads;
    if (instanceId !== uploads.instanceId) return { kind: 'elsewhere', entry: undefined, instanceId };
    // Where the parts are there the whole must be.
    const elsewhere = target
      ? await judgeUpload(uploads, visit.user, target, forwarded || parts !== undefined)
      : await placeElsewhere(uploads, forwarded);
    return elsewhere ?? { kind: 'answer', answer: await create(visit, { metadata, concat, parts }) };
  };
  return await send(visit, { run, resource: UPLOADS, mayMove: parts === undefined });
}

interface Creation {
  readonly metadata: string;
  readonly concat: string | undefined;
  readonly parts: UploadParts | undefined;
}

async function create(visit: Visit, { metadata, concat, parts }: Creation): Promise<TusAnswer> {
  const { services, request, user, upload } = visit;
  const { uploads } = services;
  const check = parseChecksum(request.headers['upload-checksum']);
  const id = uploads.ids.next();
  const exchange = new UploadExchange({
    ...{ context: uploads, user, id, metadata, concat, check },
    takesLong: () => tellStillWorking(request, visit.reply, services.idleTimeoutMs),
  });
  const begin = async (turn: Turn): Promise<TusAnswer> => {
    if (!parts) return await converse(visit, exchange, { id, method: 'POST', turn, open: () => upload.relay() });
    const total = String(await lengthOf(uploads, parts));
    const headers = { 'upload-length': total, 'content-length': total, 'content-type': PIECE_TYPE };
    const open = () => bytesOfParts(uploads, parts);
    const answer = await converse(visit, exchange, { id, method: 'POST', turn, open, headers });
    await removeParts(uploads, parts);
    return answer;
  };
  try {
    return await uploads.locks.alone(id, begin);
  } catch (error) {
    // Its client was not told where it is. What cannot be removed now expires.
    await exchange.remove().catch(() => {});
    throw error;
  }
}

export async function continueUpload(
  services: HttpServices,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const visit = receive(services, request, reply);
  const { uploads } = services;
  const { id } = request.params as { readonly id: string };
  const method = methodOf(request);
  const run = async (): Promise<Answered | Elsewhere> => {
    const { instanceId } = await getUpload(uploads, visit.user, id);
    if (instanceId !== uploads.instanceId) return { kind: 'elsewhere', entry: undefined, instanceId };
    return { kind: 'answer', answer: await (method === 'HEAD' ? look(visit, id) : change(visit, id, method)) };
  };
  return await send(visit, { run, resource: `${UPLOADS}/${id}`, mayMove: false });
}

/** For clients that can send nothing but POST. @throws CallFSError METHOD_NOT_ALLOWED */
function methodOf(request: FastifyRequest): 'HEAD' | 'PATCH' | 'DELETE' {
  const { method } = request;
  const meant = method === 'POST' ? textOf(request, 'x-http-method-override')?.toUpperCase() : method;
  if (meant === 'HEAD' || meant === 'PATCH' || meant === 'DELETE') return meant;
  const allow = 'HEAD, PATCH, DELETE, OPTIONS';
  throw new CallFSError('METHOD_NOT_ALLOWED', `${meant ?? method} is not possible here; ${allow} is.`, {
    headers: { allow },
  });
}

function exchangeOf({ services, request, reply, user }: Visit, id: string): UploadExchange {
  return new UploadExchange({
    ...{ context: services.uploads, user, id, metadata: '', concat: undefined },
    check: parseChecksum(request.headers['upload-checksum']),
    takesLong: () => tellStillWorking(request, reply, services.idleTimeoutMs),
  });
}

async function look(visit: Visit, id: string): Promise<TusAnswer> {
  const { uploads } = visit.services;
  await uploads.locks.untilFree(id, PATIENCE_MS);
  const exchange = exchangeOf(visit, id);
  const record = await exchange.record();
  const isWhole = !record.finished && record.concat !== PARTIAL && isComplete(await stateOf(uploads, record));
  // Its process died, or its commit was refused: who is told that everything has arrived takes it for done.
  if (isWhole) await uploads.locks.alone(id, () => exchange.finish());
  const answer = await exchangeTus({ ...tusRequest(visit, id), method: 'HEAD' }, exchange);
  count(visit, exchange);
  return await withRecord(exchange, answer);
}

async function change(visit: Visit, id: string, method: 'PATCH' | 'DELETE'): Promise<TusAnswer> {
  const { services, request, upload } = visit;
  if (method === 'PATCH') assertPiece(request.headers['content-type']);
  const exchange = exchangeOf(visit, id);
  return await services.uploads.locks.alone(id, async (turn) => {
    if (method === 'PATCH') await retarget(visit, exchange);
    return await converse(visit, exchange, { id, method, turn, open: () => upload.relay() });
  });
}

/** A PATCH may say anew what shall become of the upload, for example when there was something in its way. */
async function retarget({ services, request }: Visit, exchange: UploadExchange): Promise<void> {
  const metadata = textOf(request, 'upload-metadata');
  const record = await exchange.record();
  if (metadata === undefined || record.concat === PARTIAL || record.finished) return;
  const { uploads } = services;
  const user = uploads.findUser(record.userName);
  if (user) await judgeUpload(uploads, user, parseTarget(metadata), true);
  await uploads.store.uploads.change({ id: record.id, expiresAtMs: record.expiresAtMs, metadata });
}

interface Conversation {
  readonly id: string;
  readonly method: string;
  readonly turn: Turn;
  readonly open: () => AsyncIterable<Uint8Array>;
  readonly headers?: Readonly<Record<string, string>>;
}

async function converse(
  visit: Visit,
  exchange: UploadExchange,
  { id, method, turn, open, headers }: Conversation,
): Promise<TusAnswer> {
  const body = new UploadBody(open, turn, () => performance.now());
  try {
    const asked = tusRequest(visit, id);
    const request = { ...asked, headers: { ...asked.headers, ...headers }, method };
    const answer = await exchangeTus({ ...request, body: method === 'DELETE' ? undefined : body.bytes() }, exchange);
    if (body.failure !== undefined) throw body.failure;
    count(visit, exchange);
    return method === 'DELETE' ? answer : await withRecord(exchange, answer);
  } finally {
    await exchange.settled;
  }
}

function tusRequest({ services, request }: Visit, id: string) {
  return { id, headers: request.headers, body: undefined, maxBytes: services.engine.maxUploadBytes ?? 0 };
}

function count({ services, request }: Visit, { finished }: UploadExchange): void {
  if (finished?.kind !== 'file') return;
  const { entry, created } = finished;
  request.state.owner = entry.instanceId;
  services.metrics.fileOperations.inc({ operation: created ? 'create' : 'replace', backend_type: entry.backendType });
}

/** What the library does not know of the upload. */
async function withRecord(exchange: UploadExchange, answer: TusAnswer): Promise<TusAnswer> {
  const { metadata, concat, finished, expiresAtMs } = await exchange.record();
  const file = exchange.finished?.kind === 'file' ? exchange.finished.entry : undefined;
  const more: Record<string, string> = file ? entryHeaders(file) : {};
  if (metadata !== '') more['upload-metadata'] = metadata;
  if (concat !== undefined) more['upload-concat'] = concat;
  if (!finished) more['upload-expires'] = new Date(expiresAtMs).toUTCString();
  return { ...answer, headers: { ...answer.headers, ...more } };
}

interface Sending {
  readonly run: (staysHere: boolean) => Promise<Answered | Elsewhere>;
  readonly resource: string;
  /** It may begin here as well when the chosen instance cannot be reached. */
  readonly mayMove: boolean;
}

async function send(visit: Visit, { run, resource, mayMove }: Sending): Promise<FastifyReply> {
  const { services, request, reply, upload } = visit;
  request.state.owner = services.engine.instanceId;
  const hasBody = request.method === 'POST' || request.method === 'PATCH';
  const body = clientBody(upload);
  const outcome = await routeToOwner(services, request, reply, {
    ...{ path: ROOT_PATH, resource, run },
    bodyFor: () => (hasBody ? { ...body, canRepeat: () => mayMove && body.canRepeat() } : undefined),
  });
  if (!outcome) return reply;
  const { status, headers } = outcome.answer;
  return reply.code(status).headers(headers).send();
}

function textOf({ headers }: FastifyRequest, name: string): string | undefined {
  const value = headers[name];
  return value === undefined ? undefined : String(value);
}
