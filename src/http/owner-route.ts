/**
 * Every request for an entry runs here, wherever the entry lives: the use case decides whose it is, and what is
 * another instance's goes there. The one place that decides between answering, forwarding and 421.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Forwarder } from '../cluster/forward.ts';
import { CallFSError } from '../core/errors.ts';
import { encodePath, type VirtualPath } from '../core/virtual-path.ts';
import type { Elsewhere } from '../engine/engine-context.ts';
import { Failover } from './failover.ts';
import type { HttpServices } from './http-services.ts';
import {
  type Attempt,
  type AttemptOutcome,
  attempt,
  type FailedAttempt,
  type ForwardBody,
  type OwnerExchange,
} from './owner-attempt.ts';
import { FILES } from './request-target.ts';

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
  /** @see FailoverOptions.isFenced; undefined: no */
  readonly isFenced?: boolean | undefined;
}

/** @returns what the use case gave, or undefined when a peer's answer has gone to the client */
export async function routeToOwner<O extends { readonly kind: string }>(
  services: HttpServices,
  request: FastifyRequest,
  reply: FastifyReply,
  { path, resource, run, bodyFor, exchange, isFenced = false }: OwnerRoute<O>,
): Promise<Exclude<O, Elsewhere> | undefined> {
  const { state } = request;
  const failover = new Failover(services, request, { path, method: exchange?.method ?? request.method, isFenced });
  let staysHere = false;
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const outcome = await run(staysHere);
    if (!isElsewhere(outcome)) {
      state.route = 'local';
      return outcome as Exclude<O, Elsewhere>;
    }
    const { instanceId } = outcome;
    state.owner = instanceId;
    if (await failover.takesOverForPeer(outcome)) continue;
    const forwarder = await assertMayForward(services, request, instanceId, { path, resource });
    state.route = 'peer';
    const body = bodyFor(outcome);
    const ask = (id: string, others: Omit<Attempt, 'instanceId' | 'exchange'>): Promise<AttemptOutcome> =>
      attempt(forwarder, request, reply, { instanceId: id, exchange, ...others });
    const asked = await ask(instanceId, { body, watch: await failover.watch(outcome) });
    if (asked.kind === 'answered') return undefined;
    if (asked.kind === 'failed') {
      if (body && !body.canRepeat()) throw asked.error;
      // An instance that was only chosen, and has not got the body, is not needed.
      if (outcome.entry === undefined) staysHere = mayStayHere(asked, body);
      else {
        const askOther = (id: string) => ask(id, { body: bodyFor(outcome), watch: undefined });
        if ((await failover.overcome(outcome, asked, askOther)) === 'answered') return undefined;
      }
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

/** @throws CallFSError the failure, when it is not sure that the instance has done nothing */
function mayStayHere({ error }: FailedAttempt, body: ForwardBody | undefined): boolean {
  if (error.code !== 'PROXY_ERROR' || !body) throw error;
  return true;
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
