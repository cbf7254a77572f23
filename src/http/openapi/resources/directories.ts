/** `/v1/directories/{path}`, described. */
import * as z from 'zod';
import { DIRECTORIES } from '../../request-target.ts';
import { DEFAULT_LIMIT, DEFAULT_MAX_DEPTH, MAX_DEPTH, MAX_LIMIT } from '../../routes/list-directory-route.ts';
import { EXAMPLE_ENTRY } from '../../schemas/entry.ts';
import { LISTING } from '../../schemas/listing.ts';
import { LISTING_FIELDS } from '../answer-fields.ts';
import { headOf, type Operation, type Resource } from '../operation.ts';
import { FLAG, NAMED, PATH_PARAMETER } from '../parts.ts';

const QUERY = z.object({
  recursive: FLAG.optional().meta({
    description: '`true`: also what lies below, each directory right before its content.',
  }),
  max_depth: z
    .int()
    .min(0)
    .max(MAX_DEPTH)
    .optional()
    .meta({ description: `Levels below the children to descend to; default ${DEFAULT_MAX_DEPTH}.` }),
  limit: z
    .int()
    .min(1)
    .max(MAX_LIMIT)
    .optional()
    .meta({ description: `Entries in this answer; default ${DEFAULT_LIMIT}, as lines all of them.` }),
  cursor: z.string().optional().meta({ description: 'The `next_cursor` of the answer before.' }),
});

const GET: Operation = {
  id: 'listDirectory',
  summary: 'List a directory, or a whole tree',
  description:
    'In pages, or with `Accept: application/x-ndjson` one entry a line: all of them, streamed. Directories below that may not be read are listed, but not descended into.',
  query: QUERY,
  answers: {
    200: {
      description: 'The entries.',
      fields: LISTING_FIELDS,
      content: {
        'application/json': { schema: LISTING },
        'application/x-ndjson': {
          schema: { type: 'string', description: 'One entry a line.' },
          example: `${JSON.stringify(EXAMPLE_ENTRY)}\n`,
        },
      },
    },
  },
  errors: [...NAMED, 'FILE_NOT_FOUND'],
  curl: '"$CALLFS/v1/directories/docs?recursive=true"',
};

export const DIRECTORY_RESOURCE: Resource = {
  path: `${DIRECTORIES}/{path}`,
  tag: 'Directories',
  parameters: PATH_PARAMETER,
  operations: {
    get: GET,
    head: headOf(GET, { id: 'statDirectory', curl: '-I "$CALLFS/v1/directories/docs"' }),
  },
};
