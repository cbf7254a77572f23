/** What the descriptions of several resources have in common. */
import * as z from 'zod';
import type { ErrorCode } from '../../core/errors.ts';
import { ENTRY } from '../schemas/entry.ts';
import { JOB } from '../schemas/job.ts';
import { ACCEPTED_FIELDS } from './answer-fields.ts';
import type { Answer } from './operation.ts';

/** What can happen to whatever has to look at the store. */
export const STORED: readonly ErrorCode[] = ['METADATA_UNAVAILABLE'];

/** What can happen to a request about an entry. */
export const NAMED: readonly ErrorCode[] = [...STORED, 'INVALID_PATH', 'PERMISSION_DENIED'];

/** What can happen to a request that needs the owner of a file. */
export const FROM_OWNER: readonly ErrorCode[] = [
  'MISDIRECTED_REQUEST',
  'PROXY_ERROR',
  'BACKEND_UNAVAILABLE',
  'PEER_TIMEOUT',
  'ROUTING_LOOP',
];

export const OWNED: readonly ErrorCode[] = [...NAMED, ...FROM_OWNER];

export const PATH_PARAMETER = z.object({
  path: z.string().meta({
    description:
      'Path in the namespace, each segment percent-encoded; slashes stay slashes. With a slash at its end it means a directory; empty: the root directory.',
    param: { id: 'path', example: 'docs/report.txt' },
  }),
});

export const ENTRY_CONTENT = { 'application/json': { schema: ENTRY } };

/** Bytes as they are. */
export const BYTES = { '*/*': { schema: {} } };

export const ACCEPTED: Answer = {
  description: 'With `Prefer: respond-async`: it goes on as a job.',
  fields: ACCEPTED_FIELDS,
  content: { 'application/json': { schema: JOB } },
};

export const FLAG = z.enum(['true', 'false', '']);
