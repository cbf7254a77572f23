/** Work that may take long: done while the client waits, which is told now and then, or as a job when it prefers that. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ClientGone } from '../cluster/exchange.ts';
import { CallFSError } from '../core/errors.ts';
import type { User } from '../core/permissions.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import type { Elsewhere } from '../engine/engine-context.ts';
import { noProgress, type Work } from '../engine/work.ts';
import type { JobKind, JobRecord } from '../metadata/job-store.ts';
import type { HttpServices } from './http-services.ts';
import { type OwnerRoute, routeToOwner } from './owner-route.ts';
import { prefersAsync } from './prefer.ts';
import { describeError } from './render-error.ts';
import { tellStillWorking } from './still-working.ts';
import { workHands } from './work-hands.ts';

export interface LongWork<O extends { readonly kind: string }> {
  readonly kind: JobKind;
  readonly user: User;
  readonly path: VirtualPath;
  /** Rejects when the work would be refused as things are now. */
  readonly plan: () => Promise<{ readonly kind: 'plan' } | Elsewhere>;
  readonly run: (work: Work) => Promise<O | Elsewhere>;
  /** What came of it, as a job shows it. */
  readonly toJson: (outcome: O) => object;
  readonly bodyFor: OwnerRoute<O>['bodyFor'];
  readonly isFenced?: OwnerRoute<O>['isFenced'];
}

export interface Accepted {
  readonly kind: 'accepted';
  readonly job: JobRecord;
}

/** @returns undefined: a peer's answer has gone to the client */
export async function runWork<O extends { readonly kind: string }>(
  services: HttpServices,
  request: FastifyRequest,
  reply: FastifyReply,
  work: LongWork<O>,
): Promise<O | Accepted | undefined> {
  const { path, bodyFor, isFenced } = work;
  const isAsync = prefersAsync(request.headers.prefer);
  using _told = tellStillWorking(request, reply, services.idleTimeoutMs);
  using client = untilClientLeaves(reply);
  const run = (): Promise<O | Accepted | Elsewhere> =>
    isAsync ? accept(services, request, work) : work.run(workOf(services, request, work.user, client.signal));
  return (await routeToOwner<O | Accepted | Elsewhere>(services, request, reply, {
    path,
    run,
    isFenced,
    bodyFor: bodyFor as OwnerRoute<O | Accepted | Elsewhere>['bodyFor'],
  })) as O | Accepted | undefined;
}

function workOf(services: HttpServices, request: FastifyRequest, user: User, signal: AbortSignal): Work {
  const { authorization } = request.headers;
  const hands = workHands(services, { user, authorization, requestId: request.state.requestId, signal });
  return { signal, progress: noProgress(), hands };
}

async function accept<O extends { readonly kind: string }>(
  services: HttpServices,
  request: FastifyRequest,
  { kind, user, path, plan, run, toJson }: LongWork<O>,
): Promise<Accepted | Elsewhere> {
  const planned = await plan();
  if (planned.kind === 'elsewhere') return planned;
  const { state } = request;
  const job = await services.jobs.begin({
    kind,
    owner: user.name,
    path,
    async run({ signal, progress }) {
      const outcome = await run({ ...workOf(services, request, user, signal), progress });
      if (outcome.kind === 'elsewhere') throw wentElsewhere(path);
      return toJson(outcome as O);
    },
    async describeError(error) {
      const { body } = await describeError(services, error, state);
      return JSON.parse(body) as object;
    },
  });
  return { kind: 'accepted', job };
}

function wentElsewhere(path: VirtualPath): CallFSError {
  return new CallFSError('MISDIRECTED_REQUEST', `${path} went to another instance meanwhile; repeat the request.`);
}

interface Client extends Disposable {
  readonly signal: AbortSignal;
}

/** What nobody waits for ends. */
export function untilClientLeaves({ raw }: FastifyReply): Client {
  const gone = new AbortController();
  const onClose = (): void => gone.abort(new ClientGone('the client is gone'));
  raw.once('close', onClose);
  if (raw.destroyed) onClose();
  return { signal: gone.signal, [Symbol.dispose]: () => void raw.off('close', onClose) };
}
