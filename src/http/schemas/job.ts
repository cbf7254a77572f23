/** Jobs: work that goes on after its client was answered. */
import * as z from 'zod';
import type { JobKind, JobState } from '../../metadata/job-store.ts';
import { ENTRY } from './entry.ts';
import { CONFLICT, ERROR } from './error.ts';
import { count, PATH, TIME } from './scalars.ts';

const KINDS = ['copy', 'move', 'remove'] as const satisfies readonly JobKind[];
const STATES = ['running', 'done', 'failed', 'cancelled'] as const satisfies readonly JobState[];

const EXAMPLE_JOB = {
  id: '01a1fa8b-0d4f-7a21-b6c8-52f1d7e39a04',
  kind: 'copy',
  state: 'running',
  path: '/docs',
  progress: { files_done: 12, files_total: 40, bytes_done: 1_048_576, bytes_total: 9_437_184 },
  started_at: '2026-01-14T10:30:00Z',
  finished_at: null,
};

export const JOB = z
  .strictObject({
    id: z.string().min(1),
    kind: z.enum(KINDS),
    state: z.enum(STATES),
    path: PATH.meta({ description: 'What it works on, as it was asked for.' }),
    progress: z
      .strictObject({ files_done: count(), files_total: count(), bytes_done: count(), bytes_total: count() })
      .meta({ description: 'Totals are 0 as long as they are not known.' }),
    started_at: TIME,
    finished_at: TIME.nullable().meta({ description: 'Null: it runs.' }),
    cancelling: z.literal(true).optional().meta({ description: 'It was asked to end, and still runs.' }),
    result: z
      .union([ENTRY, z.strictObject({ removed: count().meta({ description: 'Entries.' }) })])
      .optional()
      .meta({ description: 'What the request would have been answered; there when it is done.' }),
    error: z
      .union([ERROR, CONFLICT])
      .optional()
      .meta({ description: 'What the request would have been answered; there when it failed.' }),
  })
  .meta({ id: 'Job', examples: [EXAMPLE_JOB] });

export type JobJson = z.infer<typeof JOB>;

export const JOBS_LIST = z
  .strictObject({ jobs: z.array(JOB).meta({ description: 'The newest first.' }) })
  .meta({ id: 'Jobs', examples: [{ jobs: [EXAMPLE_JOB] }] });

export type JobsListJson = z.infer<typeof JOBS_LIST>;
