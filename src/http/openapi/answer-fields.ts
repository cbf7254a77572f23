/** Header fields of answers, described once each. */
import * as z from 'zod';
import { BACKEND_TYPE, count, ETAG, INSTANCE_ID, REQUEST_ID, SHOWN_MODE, TIME } from '../schemas/scalars.ts';

/** A field that the document describes under its name, in one place. */
export function answerField<S extends z.ZodType>(name: string, description: string, schema: S): S {
  return schema.meta({ description, header: { id: name } });
}

const text = () => z.string().min(1);

export const CONTENT_LENGTH = answerField('Content-Length', 'Bytes of the body.', count().optional());
export const LOCATION = answerField('Location', 'Where what was made can be found.', text());
export const ALLOW = answerField('Allow', 'The methods that the resource has.', text());
export const RETRY_AFTER = answerField('Retry-After', 'Seconds to wait before the request is repeated.', count());
export const WWW_AUTHENTICATE = answerField('WWW-Authenticate', 'How to say who asks.', z.literal('Bearer'));
export const CACHE_CONTROL = answerField('Cache-Control', 'Whether the answer may be kept.', text());
export const CONTENT_RANGE = answerField('Content-Range', 'Which bytes, and of how many.', text());

const security = (name: string) => answerField(name, 'Security: what a browser may do with the answer.', text());

/** Of every answer, whatever its status. */
export const EVERYWHERE = z.object({
  'X-Request-ID': answerField(
    'X-Request-ID',
    'Names the request; the same id is in the log of every instance.',
    REQUEST_ID,
  ),
  'X-Content-Type-Options': security('X-Content-Type-Options'),
  'X-Frame-Options': security('X-Frame-Options'),
  'Referrer-Policy': security('Referrer-Policy'),
  'Content-Security-Policy': security('Content-Security-Policy'),
  'Permissions-Policy': security('Permissions-Policy'),
  'Cross-Origin-Opener-Policy': security('Cross-Origin-Opener-Policy'),
  'Cross-Origin-Embedder-Policy': security('Cross-Origin-Embedder-Policy'),
  'Strict-Transport-Security': answerField('Strict-Transport-Security', 'Only over TLS.', text().optional()),
  'Access-Control-Allow-Origin': answerField(
    'Access-Control-Allow-Origin',
    'Whose web pages may read the answer, see `server.cors_origins`.',
    text().optional(),
  ),
  'Access-Control-Expose-Headers': answerField(
    'Access-Control-Expose-Headers',
    'The header fields that those pages may read.',
    text().optional(),
  ),
  Vary: answerField('Vary', 'Fields of the request on which the answer depends.', text().optional()),
  'Content-Length': CONTENT_LENGTH,
});

/** Of answers about an entry. */
export const ENTRY_FIELDS = z.object({
  'X-CallFS-Type': answerField('X-CallFS-Type', '`file` or `directory`.', z.enum(['file', 'directory'])),
  'X-CallFS-Size': answerField('X-CallFS-Size', 'Bytes of the file; 0 for directories.', count()),
  'X-CallFS-Mode': answerField('X-CallFS-Mode', 'Permission bits and the sticky bit, octal.', SHOWN_MODE),
  'X-CallFS-UID': answerField('X-CallFS-UID', 'Numeric id of the owner; only shown.', count()),
  'X-CallFS-GID': answerField('X-CallFS-GID', 'Numeric id of the group; only shown.', count()),
  'X-CallFS-Owner': answerField('X-CallFS-Owner', 'Name of the user to whom it belongs.', text()),
  'X-CallFS-MTime': answerField('X-CallFS-MTime', 'Last change: RFC 3339, UTC, whole seconds.', TIME),
  'X-CallFS-Instance-ID': answerField('X-CallFS-Instance-ID', 'The instance that owns it.', INSTANCE_ID),
  'X-CallFS-Backend-Type': answerField('X-CallFS-Backend-Type', 'Where its owner keeps the bytes.', BACKEND_TYPE),
  ETag: answerField('ETag', 'Strong, new for every new content; files only.', ETAG.optional()),
  'Last-Modified': answerField('Last-Modified', 'The same time as `X-CallFS-MTime`; files only.', text().optional()),
  'Accept-Ranges': answerField(
    'Accept-Ranges',
    '`bytes`: parts can be had. `none`: they cannot. Files only.',
    z.enum(['bytes', 'none']).optional(),
  ),
});

const REPR_DIGEST = answerField(
  'Repr-Digest',
  'SHA-256 of the whole file, when the client wants it.',
  text().optional(),
);

export const CONTENT_FIELDS = ENTRY_FIELDS.extend({ 'Repr-Digest': REPR_DIGEST });
export const PARTIAL_FIELDS = CONTENT_FIELDS.extend({ 'Content-Range': CONTENT_RANGE.optional() });
export const CREATED_FIELDS = ENTRY_FIELDS.extend({ Location: LOCATION });

export const LISTING_FIELDS = ENTRY_FIELDS.extend({
  'X-CallFS-Recursive': answerField('X-CallFS-Recursive', 'What was asked for.', z.enum(['true', 'false'])),
  'X-CallFS-Count': answerField(
    'X-CallFS-Count',
    'Entries in this answer; not with a stream of all.',
    count().optional(),
  ),
  'X-CallFS-Paths-Version': answerField(
    'X-CallFS-Paths-Version',
    'Grows whenever an entry anywhere is renamed or moved: pages with different ones may not fit together.',
    count().optional(),
  ),
  'X-CallFS-Next-Cursor': answerField('X-CallFS-Next-Cursor', 'For the next page of lines.', text().optional()),
});

export const ACCEPTED_FIELDS = z.object({
  Location: LOCATION,
  'Preference-Applied': answerField('Preference-Applied', 'Which preference was followed.', z.literal('respond-async')),
});

/** A file by a link: for one, once, as a whole. */
export const DOWNLOAD_FIELDS = z.object({
  'Content-Disposition': answerField('Content-Disposition', 'The name under which to save it.', text()),
  'Cache-Control': CACHE_CONTROL,
  'Accept-Ranges': ENTRY_FIELDS.shape['Accept-Ranges'],
  'Last-Modified': ENTRY_FIELDS.shape['Last-Modified'],
  ETag: ENTRY_FIELDS.shape.ETag,
});

/** Of what CallFS itself has to read: this documentation. */
export const PAGE_FIELDS = z.object({ ETag: ENTRY_FIELDS.shape.ETag, 'Cache-Control': CACHE_CONTROL });

export const OPTIONS_FIELDS = z.object({
  Allow: ALLOW,
  'Access-Control-Allow-Methods': answerField('Access-Control-Allow-Methods', 'To a preflight.', text().optional()),
  'Access-Control-Allow-Headers': answerField('Access-Control-Allow-Headers', 'To a preflight.', text().optional()),
  'Access-Control-Max-Age': answerField('Access-Control-Max-Age', 'To a preflight: seconds.', count().optional()),
});
