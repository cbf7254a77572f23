/** `/v1/jobs`: work that goes on after its client was answered. Every instance knows all jobs. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CallFSError, permissionDenied } from '../../core/errors.ts';
import type { JobRecord } from '../../metadata/job-store.ts';
import { authenticate } from '../caller.ts';
import type { HttpServices } from '../http-services.ts';
import { jobJson, sendJob } from '../job-representation.ts';
import { parseCount } from '../request-target.ts';
import type { JobsListJson } from '../schemas/job.ts';

export const DEFAULT_LIMIT = 100;
export const MAX_LIMIT = 1000;
/** Seconds after which it makes sense to look again. */
const LOOK_AGAIN_SECONDS = '1';

export async function listJobs(
  services: HttpServices,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const user = authenticate(services, request);
  const limit = parseCount(request.query, 'limit', 1, MAX_LIMIT) ?? DEFAULT_LIMIT;
  const jobs = await services.jobs.listOwn(user.name, limit);
  return reply.send({ jobs: jobs.map(jobJson) } satisfies JobsListJson);
}

export async function getJob(
  services: HttpServices,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const job = await findOwnJob(services, request);
  if (job.state === 'running') reply.header('retry-after', LOOK_AGAIN_SECONDS);
  return sendJob(reply, 200, job);
}

/** Ends a job that runs, forgets one that does not. */
export async function deleteJob(
  services: HttpServices,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const job = await findOwnJob(services, request);
  if ((await services.jobs.end(job)) === 'forgotten') return reply.code(204).send();
  return sendJob(reply, 202, { ...job, isCancelRequested: true });
}

async function findOwnJob(services: HttpServices, request: FastifyRequest): Promise<JobRecord> {
  const user = authenticate(services, request);
  const { id } = request.params as { readonly id: string };
  const job = await services.jobs.find(id);
  if (!job) throw new CallFSError('NOT_FOUND', 'There is no such job; finished ones are forgotten after a day.');
  if (job.owner !== user.name && !user.admin) throw permissionDenied('Only its owner may look at a job.');
  return job;
}
