/** Errors on the wire; what each code means is in error-meanings.ts. */
import * as z from 'zod';
import { type ErrorCode, statusByCode } from '../../core/errors.ts';
import { ENTRY, EXAMPLE_ENTRY } from './entry.ts';
import { BACKEND_TYPE, count, INSTANCE_ID, PATH, REQUEST_ID } from './scalars.ts';

const CODES = Object.keys(statusByCode) as [ErrorCode, ...ErrorCode[]];

export const ERROR = z
  .strictObject({
    code: z.enum(CODES),
    message: z.string().min(1).meta({ description: 'What was wrong and what to do.' }),
    request_id: REQUEST_ID,
    path: PATH.optional().meta({ description: 'The entry that it is about.' }),
    field: z.string().optional().meta({ description: 'The header field that the body does not agree with.' }),
    instance_id: INSTANCE_ID.optional().meta({ description: 'The instance that it is about.' }),
    url: z.string().optional().meta({ description: 'Where to ask instead.' }),
    files_left: count().optional().meta({ description: 'Files that could not be moved; repeat the request.' }),
  })
  .meta({
    id: 'Error',
    description: 'The answer to every request that fails.',
    examples: [
      {
        ...{ code: 'FILE_NOT_FOUND', message: 'There is no file or directory at /docs/report.txt.' },
        ...{ request_id: '01a1fa8a-77b4-7c55-9d3e-0f2a6c9b1d10', path: '/docs/report.txt' },
      },
    ],
  });

export const CONFLICT = z
  .strictObject({
    error: z.enum(['Resource exists on another server', 'Resource already exists']),
    existing_path: PATH,
    instance_id: INSTANCE_ID.meta({ description: 'The instance that has it.' }),
    backend_type: BACKEND_TYPE,
    suggestion: z.string().min(1).meta({ description: 'What to do instead.' }),
    update_url: z.string().optional().meta({ description: 'For a PUT; there when both are files.' }),
    code: z.literal('FILE_ALREADY_EXISTS'),
    message: z.string().min(1),
    request_id: REQUEST_ID,
    existing: ENTRY,
  })
  .meta({
    id: 'Conflict',
    description: 'Something is there already, here or at another instance.',
    examples: [
      {
        error: 'Resource exists on another server',
        existing_path: '/docs/report.txt',
        instance_id: 'callfs-localfs-1',
        backend_type: 'localfs',
        suggestion: 'File already exists on another server. Use PUT to update it.',
        update_url: 'https://server-a:8443/v1/files/docs/report.txt',
        code: 'FILE_ALREADY_EXISTS',
        message: '/docs/report.txt exists already.',
        request_id: '01a1fa8a-77b4-7c55-9d3e-0f2a6c9b1d10',
        existing: EXAMPLE_ENTRY,
      },
    ],
  });

export type ConflictJson = z.infer<typeof CONFLICT>;
