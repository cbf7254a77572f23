/**
 * Every request for an entry runs here, wherever the entry lives: the use case decides whose it is, and what is
 * another instance's goes there. The one place that decides between answering, forwarding and 421.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type AnswerSink, ClientGone, type ExchangeBody } from '../cluster/exchange.ts';
import type { Forwarder, ForwardRequest } from '../cluster/forward.ts';
import { CallFSError } from '../core/errors.ts';
import { encodePath, type VirtualPath } from '../core/virtual-path.ts';
import type { Elsewhere } from '../engine/engine-context.ts';
import type { HttpServices } from './http-services.ts';
import { targetOf } from './request-state.ts';
import { FILES, originForm } from './request-target.ts';
import { ForwardedAnswer } from './response-sink.ts';

/** The first try, and one after each fresh look-up. Owners do not change often enough to be missed every time. */
const MAX_TRIES = 10;

type ElsewhereOf<O> = Extract<O, Elsewhere>;

export interface OwnerRoute<O> {
  readonly path: VirtualPath;
  /** The path of its URL, when it is none of the namespace. */
  readonly resource?: string;
  /** The use case, here. @param staysHere an instance that was chosen to do it instead cannot be reached */
  readonly run: (staysHere: boolean) => Promise<O>;
  /** The body for the owner; asked for again after each `run`. */
  readonly bodyFor: (elsewhere: ElsewhereOf<O>) => ForwardBody | undefined;
  /** Undefined: the owner is asked what the client has asked, and the client gets what it answers. */
  readonly exchange?: OwnerExchange | undefined;
}

/** What is asked of the owner, and who gets its answer, when neither is the client's own. */
export interface OwnerExchange extends Pick<ForwardRequest, 'method' | 'target' | 'headers' | 'signal'> {
  readonly answer: AnswerSink;
}

export interface ForwardBody extends ExchangeBody {
  /** Whether another try can send the same bytes. */
  readonly canRepeat: () => boolean;
}

/** @returns what the use case gave, or undefined when a peer's answer has gone to the client */
export async function routeToOwner<O extends { readonly kind: string }>(
  services: HttpServices,
  request: FastifyRequest,
  reply: FastifyReply,
  { path, resource, run, bodyFor, exchange }: OwnerRoute<O>,
): Promise<Exclude<O, Elsewhere> | undefined> {
  const { state } = request;
  let staysHere = false;
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const outcome = await run(staysHere);
    if (!isElsewhere(outcome)) {
      state.route = 'local';
      return outcome as Exclude<O, Elsewhere>;
    }
    const { instanceId } = outcome;
    state.owner = instanceId;
    const forwarder = await assertMayForward(services, request, instanceId, { path, resource });
    state.route = 'peer';
    const body = bodyFor(outcome);
    try {
      const forwarded = await forward(forwarder, request, reply, { instanceId, body, exchange });
      if (forwarded.kind === 'answered') return undefined;
    } catch (error) {
      // An instance that was only chosen, and has not got the body, is not needed.
      if (outcome.entry !== undefined || !isUnreachable(error) || !body?.canRepeat()) throw error;
      staysHere = true;
    }
    if (body && !body.canRepeat()) break;
  }
  throw new CallFSError('METADATA_UNAVAILABLE', 'The file changed its owner while it was being written; try again.', {
    headers: { 'retry-after': '1' },
  });
}

function isElsewhere<O extends { readonly kind: string }>(outcome: O): outcome is ElsewhereOf<O> {
  return outcome.kind === 'elsewhere';
}

function isUnreachable(error: unknown): boolean {
  return error instanceof CallFSError && error.code === 'PROXY_ERROR';
}

interface Destination {
  readonly instanceId: string;
  readonly body: ForwardBody | undefined;
  readonly exchange: OwnerExchange | undefined;
}

async function forward(
  forwarder: Forwarder,
  request: FastifyRequest,
  reply: FastifyReply,
  { instanceId, body, exchange }: Destination,
) {
  // It may have left while the use case asked the store; nothing would tell that again.
  if (reply.raw.destroyed) throw new ClientGone('the client is gone');
  const client = new AbortController();
  const onClose = (): void => client.abort();
  reply.raw.once('close', onClose);
  const { method, headers, state } = request;
  const own = { method, target: originForm(targetOf(request)), headers, answer: new ForwardedAnswer(reply, state) };
  const { answer, ...asked } = exchange ?? own;
  const signal = exchange ? AbortSignal.any([client.signal, exchange.signal]) : client.signal;
  try {
    return await forwarder.forward(instanceId, { ...asked, requestId: state.requestId, body, signal }, answer);
  } finally {
    reply.raw.off('close', onClose);
  }
}

/** @throws CallFSError MISDIRECTED_REQUEST for what was forwarded already, or when this instance does not forward */
async function assertMayForward(
  { forwarder, peers }: HttpServices,
  { state }: FastifyRequest,
  instanceId: string,
  { path, resource }: { readonly path: VirtualPath; readonly resource: string | undefined },
): Promise<Forwarder> {
  if (forwarder && state.peer === undefined) return forwarder;
  const endpoint = await peers.findPublicUrl(instanceId);
  const url = endpoint === undefined ? {} : { url: `${endpoint}${resource ?? `${FILES}${encodePath(path)}`}` };
  throw new CallFSError('MISDIRECTED_REQUEST', `${resource ?? path} belongs to instance ${instanceId}; ask that one.`, {
    details: { instance_id: instanceId, ...url },
  });
}
