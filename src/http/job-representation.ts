/** Jobs as clients see them. */
import type { FastifyReply } from 'fastify';
import type { JobRecord } from '../metadata/job-store.ts';
import { wholeSeconds } from './entry-representation.ts';
import { JOBS } from './request-target.ts';
import type { JobJson } from './schemas/job.ts';

export function jobJson(job: JobRecord): JobJson {
  const { id, kind, state, path, progress, startedAtMs, finishedAtMs, isCancelRequested } = job;
  const { filesDone, filesTotal, bytesDone, bytesTotal } = progress;
  return {
    id,
    kind,
    state,
    path,
    progress: { files_done: filesDone, files_total: filesTotal, bytes_done: bytesDone, bytes_total: bytesTotal },
    started_at: wholeSeconds(startedAtMs),
    finished_at: finishedAtMs === undefined ? null : wholeSeconds(finishedAtMs),
    ...(state === 'running' && isCancelRequested ? { cancelling: true } : {}),
    ...outcomeJson(job),
  };
}

function outcomeJson({ state, outcome }: JobRecord): Pick<JobJson, 'error' | 'result'> {
  if (outcome === undefined) return {};
  const parsed: unknown = JSON.parse(outcome);
  return state === 'failed' ? { error: parsed as JobJson['error'] } : { result: parsed as JobJson['result'] };
}

export function sendJob(reply: FastifyReply, status: number, job: JobRecord): FastifyReply {
  const body = JSON.stringify(jobJson(job));
  reply.request.state.bytes = Buffer.byteLength(body);
  return reply.code(status).type('application/json; charset=utf-8').send(body);
}

/** The answer to who does not wait (RFC 7240 section 4.1, RFC 9110 section 15.3.3). */
export function sendAccepted(reply: FastifyReply, job: JobRecord): FastifyReply {
  reply.headers({ location: `${JOBS}/${job.id}`, 'preference-applied': 'respond-async' });
  return sendJob(reply, 202, job);
}
