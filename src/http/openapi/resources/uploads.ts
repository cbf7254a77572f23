/** Resumable uploads (tus 1.0) on `/v1/uploads`, described. */
import * as z from 'zod';
import { UPLOADS } from '../../request-target.ts';
import { count } from '../../schemas/scalars.ts';
import { CHECKSUM_ALGORITHMS } from '../../uploads/upload-checksum.ts';
import { PIECE_TYPE } from '../../uploads/upload-exchange.ts';
import { answerField, CACHE_CONTROL, ENTRY_FIELDS, LOCATION } from '../answer-fields.ts';
import type { Operation, Resource } from '../operation.ts';
import { FROM_OWNER, STORED } from '../parts.ts';
import { requestField } from '../request-fields.ts';

const text = () => z.string().min(1);
const VERSION = z.literal('1.0.0');

const TUS_FIELDS = z.object({
  'Tus-Resumable': answerField('Tus-Resumable', 'The version of the protocol.', VERSION.optional()),
  'Tus-Version': answerField('Tus-Version', 'The version of the protocol that is spoken.', VERSION.optional()),
});

const OPTIONS_FIELDS = z.object({
  'Tus-Extension': answerField('Tus-Extension', 'What can be done beside the core of the protocol.', text()),
  'Tus-Checksum-Algorithm': answerField('Tus-Checksum-Algorithm', 'Checksums that are compared.', text()),
  'Tus-Max-Size': answerField('Tus-Max-Size', '`server.max_upload_size`, in bytes.', count().optional()),
});

/** How an upload stands; and when it is complete, the file that it has become. */
const STATE_FIELDS = ENTRY_FIELDS.partial().extend({
  'Upload-Offset': answerField('Upload-Offset', 'Bytes that have arrived, and are kept.', count().optional()),
  'Upload-Length': answerField('Upload-Length', 'Bytes of the whole.', count().optional()),
  'Upload-Defer-Length': answerField('Upload-Defer-Length', 'How long it is will be told later.', text().optional()),
  'Upload-Expires': answerField('Upload-Expires', 'When it is thrown away unless it goes on.', text().optional()),
  'Upload-Metadata': answerField('Upload-Metadata', 'As it was given.', text().optional()),
  'Upload-Concat': answerField('Upload-Concat', 'As it was given.', text().optional()),
  'Cache-Control': CACHE_CONTROL.optional(),
});

const TUS_RESUMABLE = requestField('Tus-Resumable', 'The version of the protocol.', VERSION).unwrap();
const METADATA = requestField(
  'Upload-Metadata',
  'Keys with values in base64: `path` (absolute), `filetype`, `mode`, `overwrite` (`true`: replaces what is there), `if-match`, `backend`.',
  text(),
  'path L2RvY3MvcmVwb3J0LnR4dA==,filetype dGV4dC9wbGFpbg==',
);
const CHECKSUM = requestField(
  'Upload-Checksum',
  `Of this piece: ${CHECKSUM_ALGORITHMS.join(', ')}, a space, and the checksum in base64.`,
  text(),
  'md5 XUFAKrxLKna5cZ2REBfFkg==',
);
const LENGTH = requestField('Upload-Length', 'Bytes of the whole.', count(), 15);

const PIECE = { [PIECE_TYPE]: { schema: {} } };
const CONTINUING = [
  ...STORED,
  ...FROM_OWNER,
  'NOT_FOUND',
  'UPLOAD_GONE',
  'UPLOAD_LOCKED',
  'PRECONDITION_FAILED',
] as const;
/** When the last byte has come the upload is committed as any other write. */
const COMMITTING = [
  'PERMISSION_DENIED',
  'INVALID_PATH',
  'IS_A_DIRECTORY',
  'FILE_ALREADY_EXISTS',
  'NOT_A_DIRECTORY',
  'INSUFFICIENT_STORAGE',
] as const;

const TAKING_BYTES = ['PAYLOAD_TOO_LARGE', 'CHECKSUM_MISMATCH'] as const;

const BEGIN: Operation = {
  id: 'beginUpload',
  summary: 'Begin a resumable upload',
  description:
    'Of tus 1.0, for example with tus-js-client. The body may bring the first piece. What is complete becomes visible as one file, as with POST on `/v1/files/{path}`.',
  fields: z.object({
    'Tus-Resumable': TUS_RESUMABLE,
    'Upload-Length': LENGTH,
    'Upload-Defer-Length': requestField('Upload-Defer-Length', 'The length will be told later.', z.literal('1')),
    'Upload-Metadata': METADATA,
    'Upload-Concat': requestField(
      'Upload-Concat',
      '`partial`, or `final;` and the URLs of the parts to put together.',
      text(),
      'partial',
    ),
    'Upload-Checksum': CHECKSUM,
  }),
  body: { description: 'Nothing, or the first piece.', required: false, content: PIECE },
  answers: {
    201: { description: 'Begun; `Location` is where it goes on.', fields: STATE_FIELDS.extend({ Location: LOCATION }) },
  },
  errors: [...CONTINUING, ...COMMITTING, ...TAKING_BYTES],
  curl: '-i -X POST -H "Tus-Resumable: 1.0.0" -H "Upload-Length: 15" -H "Upload-Metadata: path L2RvY3MvdXBsb2FkLnR4dA==" "$CALLFS/v1/uploads"',
};

const CONTINUE: Operation = {
  id: 'continueUpload',
  summary: 'Send the next piece',
  description:
    'From the offset that HEAD tells. What arrived before a connection broke is kept. With the last byte the file is there, and the answer has its header fields; when that is refused, the upload stays until it expires, and another PATCH may bring other `Upload-Metadata`.',
  fields: z.object({
    'Tus-Resumable': TUS_RESUMABLE,
    'Upload-Offset': requestField('Upload-Offset', 'Where the piece begins.', count(), 0).unwrap(),
    'Upload-Length': LENGTH,
    'Upload-Metadata': METADATA,
    'Upload-Checksum': CHECKSUM,
  }),
  body: { description: 'The piece.', required: false, content: PIECE },
  answers: { 204: { description: 'It is there, and durable.', fields: STATE_FIELDS } },
  errors: [...CONTINUING, ...COMMITTING, ...TAKING_BYTES, 'UPLOAD_OFFSET_CONFLICT', 'UNSUPPORTED_MEDIA_TYPE'],
  curl: '-i -X PATCH -H "Tus-Resumable: 1.0.0" -H "Upload-Offset: 0" -H "Content-Type: application/offset+octet-stream" --data-binary @report.txt "$CALLFS/v1/uploads/$UPLOAD"',
};

export const UPLOADS_RESOURCE: Resource = {
  path: UPLOADS,
  tag: 'Resumable uploads',
  fields: TUS_FIELDS,
  optionsFields: OPTIONS_FIELDS,
  operations: { post: BEGIN },
};

const VERSION_ONLY = z.object({ 'Tus-Resumable': TUS_RESUMABLE });

export const UPLOAD_RESOURCE: Resource = {
  path: `${UPLOADS}/{id}`,
  tag: 'Resumable uploads',
  fields: TUS_FIELDS,
  optionsFields: OPTIONS_FIELDS,
  parameters: z.object({ id: z.string().min(1).meta({ description: 'As `Location` gave it.' }) }),
  operations: {
    head: {
      id: 'readUpload',
      summary: 'How much has arrived',
      description: 'At any instance; for who began it, and administrators.',
      fields: VERSION_ONLY,
      answers: { 200: { description: 'It goes on at `Upload-Offset`.', fields: STATE_FIELDS } },
      errors: [...CONTINUING, ...COMMITTING],
      curl: '-I -H "Tus-Resumable: 1.0.0" "$CALLFS/v1/uploads/$UPLOAD"',
    },
    patch: CONTINUE,
    delete: {
      id: 'endUpload',
      summary: 'Give an upload up',
      fields: VERSION_ONLY,
      answers: { 204: { description: 'It is gone.', fields: STATE_FIELDS } },
      errors: CONTINUING,
      curl: '-X DELETE -H "Tus-Resumable: 1.0.0" "$CALLFS/v1/uploads/$UPLOAD"',
    },
    post: {
      ...CONTINUE,
      id: 'overrideUpload',
      summary: 'HEAD, PATCH or DELETE, by POST',
      description: 'For clients that can send nothing else; `X-HTTP-Method-Override` says which is meant.',
      fields: CONTINUE.fields?.partial({ 'Upload-Offset': true }).extend({
        'X-HTTP-Method-Override': requestField('X-HTTP-Method-Override', 'The method that is meant.', text(), 'PATCH'),
      }),
      answers: {
        200: { description: 'As to HEAD.', fields: STATE_FIELDS },
        204: { description: 'As to PATCH or DELETE.', fields: STATE_FIELDS },
      },
      errors: [...CONTINUE.errors, 'METHOD_NOT_ALLOWED'],
      curl: '-i -X POST -H "X-HTTP-Method-Override: PATCH" -H "Tus-Resumable: 1.0.0" -H "Upload-Offset: 0" -H "Content-Type: application/offset+octet-stream" --data-binary @report.txt "$CALLFS/v1/uploads/$UPLOAD"',
    },
  },
};
