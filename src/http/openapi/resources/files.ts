/** `/v1/files/{path}`, described. */
import * as z from 'zod';
import { FILES } from '../../request-target.ts';
import { CHANGE } from '../../schemas/change.ts';
import { ENTRIES } from '../../schemas/entry.ts';
import { CONTENT_FIELDS, CREATED_FIELDS, ENTRY_FIELDS, PARTIAL_FIELDS } from '../answer-fields.ts';
import { headOf, type Operation, type Resource } from '../operation.ts';
import { ACCEPTED, BYTES, ENTRY_CONTENT, FLAG, OWNED, PATH_PARAMETER } from '../parts.ts';
import { READ_FIELDS, STAT_FIELDS, UPLOAD_FIELDS, WORK_FIELDS } from '../request-fields.ts';

const FILE_OR_LISTING = {
  'application/json': {
    schema: z
      .union([ENTRIES, z.unknown().meta({ title: 'a file of this type' })])
      .meta({ description: 'Of a directory its entries; of a file its bytes, whatever they are.' }),
  },
  ...BYTES,
};

const NOT_MODIFIED = { description: 'A condition says that the client has it already.', fields: ENTRY_FIELDS };

const GET: Operation = {
  id: 'readFile',
  summary: 'Read a file, or list a directory',
  description:
    'The bytes of a file, whole or in ranges, with the type that its uploader declared. Of a directory: a JSON array of the entries in it. `X-CallFS-Type` tells which it is.',
  fields: READ_FIELDS,
  answers: {
    200: { description: 'The whole file, or the listing.', fields: CONTENT_FIELDS, content: FILE_OR_LISTING },
    206: {
      description: 'The ranges that were asked for; several come as `multipart/byteranges`.',
      fields: PARTIAL_FIELDS,
      content: BYTES,
    },
    304: NOT_MODIFIED,
  },
  errors: [...OWNED, 'FILE_NOT_FOUND', 'PRECONDITION_FAILED', 'RANGE_NOT_SATISFIABLE'],
  curl: '"$CALLFS/v1/files/docs/report.txt"',
};

const HEAD = headOf(GET, {
  id: 'statFile',
  summary: 'Look at a file or a directory',
  description: 'The header fields of GET, asked of the owner. Ranges are ignored.',
  fields: STAT_FIELDS,
  answers: { 200: { description: 'It is there.', fields: CONTENT_FIELDS }, 304: NOT_MODIFIED },
  errors: GET.errors.filter((code) => code !== 'RANGE_NOT_SATISFIABLE'),
  curl: '-I "$CALLFS/v1/files/docs/report.txt"',
});

const UPLOAD = {
  description: 'The bytes, whatever `Content-Type` says, with a declared length or chunked.',
  required: false,
  content: BYTES,
};

const WRITING = [
  ...OWNED,
  'NOT_A_DIRECTORY',
  'PRECONDITION_FAILED',
  'PAYLOAD_TOO_LARGE',
  'INSUFFICIENT_STORAGE',
] as const;

const POST: Operation = {
  id: 'createEntry',
  summary: 'Create a file or a directory',
  description:
    'A file, on the instance that is asked, or with a slash at the end of the path a directory. Missing parents are made. Of many who create the same path at once, one succeeds.',
  fields: UPLOAD_FIELDS,
  body: UPLOAD,
  answers: {
    200: { description: 'This instance made the directory before.', fields: ENTRY_FIELDS, content: ENTRY_CONTENT },
    201: { description: 'Created, and durable.', fields: CREATED_FIELDS, content: ENTRY_CONTENT },
  },
  errors: [...WRITING, 'FILE_ALREADY_EXISTS'],
  curl: '--data-binary @report.txt "$CALLFS/v1/files/docs/report.txt"',
};

const PUT: Operation = {
  id: 'writeFile',
  summary: 'Replace a file, or create it',
  description:
    'Replaces the content wherever the file lives; readers see the whole old or the whole new one. What is missing is created on the instance that is asked.\n\nWith `If-None-Match: *` it only creates, with `If-Match` it replaces only what was read before.',
  fields: UPLOAD_FIELDS,
  body: UPLOAD,
  answers: {
    200: { description: 'Replaced, and durable.', fields: ENTRY_FIELDS, content: ENTRY_CONTENT },
    201: { description: 'Created, and durable.', fields: CREATED_FIELDS, content: ENTRY_CONTENT },
  },
  errors: [...WRITING, 'IS_A_DIRECTORY'],
  curl: '-T report.txt "$CALLFS/v1/files/docs/report.txt"',
};

const PATCH: Operation = {
  id: 'changeEntry',
  summary: 'Rename, move, copy, change attributes',
  description:
    'Directories move with everything below them, in one step for every reader, whichever instances hold the files. With `instance` the bytes go to another instance while the file stays readable and writable.\n\nLong work is announced by `102 Processing` every second, or goes on as a job with `Prefer: respond-async`.',
  fields: WORK_FIELDS,
  body: {
    description: 'At most 64 KiB.',
    required: true,
    content: {
      'application/json': {
        schema: CHANGE,
        examples: {
          rename: { value: { name: 'new-name.txt' } },
          move: { value: { destination: '/other/place.txt', create_parents: true } },
          copy: { value: { destination: '/docs/copy.txt', copy: true } },
          relocate: { summary: 'bring the bytes to another instance', value: { instance: 'callfs-localfs-2' } },
          attributes: { value: { mode: '0640', group: 'staff' } },
        },
      },
    },
  },
  answers: {
    200: { description: 'The entry as it is now.', fields: ENTRY_FIELDS, content: ENTRY_CONTENT },
    202: ACCEPTED,
  },
  errors: [...WRITING, 'FILE_NOT_FOUND', 'FILE_ALREADY_EXISTS', 'DIRECTORY_NOT_EMPTY'],
  curl: `-X PATCH -d '{"name": "final.txt"}' "$CALLFS/v1/files/docs/report.txt"`,
};

const DELETE: Operation = {
  id: 'removeEntry',
  summary: 'Remove a file or a directory',
  description: 'A directory must be empty, unless the whole tree shall go.',
  query: z.object({
    recursive: FLAG.optional().meta({ description: '`true`: also everything below.' }),
  }),
  fields: WORK_FIELDS,
  answers: { 202: ACCEPTED, 204: { description: 'It is gone, everywhere.' } },
  errors: [...OWNED, 'FILE_NOT_FOUND', 'DIRECTORY_NOT_EMPTY', 'PRECONDITION_FAILED'],
  curl: '-X DELETE "$CALLFS/v1/files/docs/final.txt"',
};

export const FILE_RESOURCE: Resource = {
  path: `${FILES}/{path}`,
  tag: 'Files',
  parameters: PATH_PARAMETER,
  operations: { get: GET, head: HEAD, post: POST, put: PUT, patch: PATCH, delete: DELETE },
};
