/** `/v1/jobs`, described. */
import * as z from 'zod';
import { JOBS } from '../../request-target.ts';
import { DEFAULT_LIMIT, MAX_LIMIT } from '../../routes/jobs-route.ts';
import { JOB, JOBS_LIST } from '../../schemas/job.ts';
import { RETRY_AFTER } from '../answer-fields.ts';
import type { Resource } from '../operation.ts';
import { STORED } from '../parts.ts';

export const JOBS_RESOURCE: Resource = {
  path: JOBS,
  tag: 'Jobs',
  operations: {
    get: {
      id: 'listJobs',
      summary: 'Your jobs',
      description: 'The newest first. Finished ones are kept for a day.',
      query: z.object({
        limit: z
          .int()
          .min(1)
          .max(MAX_LIMIT)
          .optional()
          .meta({ description: `Jobs in this answer; default ${DEFAULT_LIMIT}.` }),
      }),
      answers: { 200: { description: 'Jobs.', content: { 'application/json': { schema: JOBS_LIST } } } },
      errors: STORED,
      curl: '"$CALLFS/v1/jobs"',
    },
  },
};

const ONE_JOB = { 'application/json': { schema: JOB } };
const JOB_ERRORS = [...STORED, 'PERMISSION_DENIED', 'NOT_FOUND'] as const;

export const JOB_RESOURCE: Resource = {
  path: `${JOBS}/{id}`,
  tag: 'Jobs',
  parameters: z.object({ id: z.string().min(1).meta({ description: 'As the answer 202 gave it.' }) }),
  operations: {
    get: {
      id: 'readJob',
      summary: 'How far a job has come',
      description: 'At any instance; for its owner and administrators.',
      answers: {
        200: {
          description: 'The job. While it runs, `Retry-After` says when to look again.',
          fields: z.object({ 'Retry-After': RETRY_AFTER.optional() }),
          content: ONE_JOB,
        },
      },
      errors: JOB_ERRORS,
      curl: '"$CALLFS/v1/jobs/$JOB"',
    },
    delete: {
      id: 'endJob',
      summary: 'End a job, or forget it',
      description: 'What was done stays done.',
      answers: {
        202: { description: 'It runs, and was asked to end.', content: ONE_JOB },
        204: { description: 'It had ended, and is forgotten.' },
      },
      errors: JOB_ERRORS,
      curl: '-X DELETE "$CALLFS/v1/jobs/$JOB"',
    },
  },
};
