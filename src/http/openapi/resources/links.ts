/** Single-use links, described. */
import * as z from 'zod';
import { DOWNLOADS, LINKS } from '../../request-target.ts';
import { LINK, LINK_REQUEST } from '../../schemas/link.ts';
import { CACHE_CONTROL, DOWNLOAD_FIELDS } from '../answer-fields.ts';
import { headOf, type Operation, type Resource } from '../operation.ts';
import { BYTES, FROM_OWNER, NAMED, STORED } from '../parts.ts';

export const LINK_RESOURCE: Resource = {
  path: LINKS,
  tag: 'Single-use links',
  operations: {
    post: {
      id: 'generateLink',
      summary: 'Make a link to a file',
      description: 'For somebody without a key, who can use it once. Only who may read the file can make one.',
      body: {
        description: 'At most 4,096 bytes.',
        required: true,
        content: { 'application/json': { schema: LINK_REQUEST } },
      },
      answers: {
        201: {
          description: 'The link.',
          fields: z.object({ 'Cache-Control': CACHE_CONTROL }),
          content: { 'application/json': { schema: LINK } },
        },
      },
      errors: [...NAMED, 'FILE_NOT_FOUND', 'PAYLOAD_TOO_LARGE', 'RATE_LIMIT_EXCEEDED'],
      curl: `-d '{"path": "/docs/report.txt", "expiry_seconds": 3600}' "$CALLFS/v1/links/generate"`,
    },
  },
};

const DOWNLOAD: Operation = {
  id: 'useLink',
  summary: 'Get the file of a link, once',
  description:
    'Of all who use a link at once, wherever they do, one gets the file. What fails before the first byte leaves the link as it is. Ranges and conditions are ignored.',
  isOpen: true,
  answers: {
    200: { description: 'The whole file; the link is used up.', fields: DOWNLOAD_FIELDS, content: BYTES },
  },
  errors: [...STORED, ...FROM_OWNER, 'NOT_FOUND', 'LINK_GONE', 'RATE_LIMIT_EXCEEDED'],
  curl: '-o copy.txt "$CALLFS/download/$TOKEN"',
};

export const DOWNLOAD_RESOURCE: Resource = {
  path: `${DOWNLOADS}/{token}`,
  tag: 'Single-use links',
  parameters: z.object({
    token: z.string().min(1).meta({ description: 'As the link has it. It is a secret as long as it lives.' }),
  }),
  operations: {
    get: DOWNLOAD,
    head: headOf(DOWNLOAD, {
      id: 'lookAtLink',
      description: 'Uses nothing up.',
      curl: '-I "$CALLFS/download/$TOKEN"',
      errors: [...STORED, 'NOT_FOUND', 'LINK_GONE', 'RATE_LIMIT_EXCEEDED'],
    }),
  },
};
