/** Header fields of requests, described once each. `Authorization`, `Accept` and `Content-Type` are not parameters. */
import * as z from 'zod';
import { BACKEND_TYPE, MODE } from '../schemas/scalars.ts';

export function requestField<S extends z.ZodType>(
  name: string,
  description: string,
  schema: S,
  example?: string | number,
) {
  return schema.optional().meta({ description, param: { id: name, ...(example === undefined ? {} : { example }) } });
}

const text = () => z.string().min(1);
const DATE = 'Wed, 14 Jan 2026 10:30:00 GMT';
const TAG = '"01a1fa8a-3c2e-7d11-a3f0-6b7c1e0d9f42"';
const DIGEST = 'sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:';

/** RFC 9110 section 13. */
export const CONDITIONS = z.object({
  'If-Match': requestField(
    'If-Match',
    'Only if the content has one of these tags; `*`: only if something is there.',
    text(),
    TAG,
  ),
  'If-None-Match': requestField(
    'If-None-Match',
    'Only if it has none of these tags; `*`: only if nothing is there.',
    text(),
    TAG,
  ),
  'If-Modified-Since': requestField('If-Modified-Since', 'GET and HEAD: only if it changed later.', text(), DATE),
  'If-Unmodified-Since': requestField('If-Unmodified-Since', 'Only if it did not change later.', text(), DATE),
});

const WANT_REPR_DIGEST = requestField(
  'Want-Repr-Digest',
  'Asks for the SHA-256 of the whole file (RFC 9530); a preference from 1 to 10.',
  text(),
  'sha-256=10',
);

export const STAT_FIELDS = CONDITIONS.extend({ 'Want-Repr-Digest': WANT_REPR_DIGEST });

/** RFC 9110 section 14. */
export const READ_FIELDS = STAT_FIELDS.extend({
  Range: requestField('Range', 'Only these bytes: one range or several, open or from the end.', text(), 'bytes=0-1023'),
  'If-Range': requestField(
    'If-Range',
    'The range only if this is still its tag or date; else the whole file.',
    text(),
    TAG,
  ),
});

export const UPLOAD_FIELDS = CONDITIONS.extend({
  'X-CallFS-Mode': requestField(
    'X-CallFS-Mode',
    'The mode of what is created; default 0644, directories 0755.',
    MODE,
    '0640',
  ),
  'X-CallFS-Backend': requestField(
    'X-CallFS-Backend',
    "Where the file's bytes shall be kept; otherwise where they are, or where its instance keeps new files.",
    BACKEND_TYPE,
    's3',
  ),
  'Content-Digest': requestField(
    'Content-Digest',
    'SHA-256 or SHA-512 of the body (RFC 9530), compared.',
    text(),
    DIGEST,
  ),
  'Repr-Digest': requestField('Repr-Digest', 'The same.', text(), DIGEST),
  'Content-MD5': requestField(
    'Content-MD5',
    'MD5 of the body (RFC 1864), compared.',
    z.string().regex(/^[A-Za-z0-9+/]{22}==$/),
    'XUFAKrxLKna5cZ2REBfFkg==',
  ),
  Expect: requestField('Expect', 'Send the body only when it is wanted.', z.literal('100-continue')),
});

const PREFER = requestField(
  'Prefer',
  '`respond-async`: answer 202 at once and go on as a job (RFC 7240).',
  text(),
  'respond-async',
);

export const WORK_FIELDS = CONDITIONS.extend({ Prefer: PREFER });

/** RFC 6455 section 4.1. */
export const HANDSHAKE_FIELDS = UPLOAD_FIELDS.pick({
  'If-Match': true,
  'If-None-Match': true,
  'If-Modified-Since': true,
  'If-Unmodified-Since': true,
  'X-CallFS-Mode': true,
  'X-CallFS-Backend': true,
}).extend({
  Upgrade: requestField('Upgrade', 'Without it this is the file `/ws/{path}`.', text(), 'websocket'),
  'Sec-WebSocket-Version': requestField('Sec-WebSocket-Version', 'The version of RFC 6455.', z.literal('13')),
  'Sec-WebSocket-Key': requestField(
    'Sec-WebSocket-Key',
    '16 random bytes in base64.',
    text(),
    'dGhlIHNhbXBsZSBub25jZQ==',
  ),
});

/** What a browser says before it lets a page of another origin ask. */
export const PREFLIGHT_FIELDS = z.object({
  Origin: requestField('Origin', 'The origin of the web page that wants to ask.', text(), 'https://app.example.org'),
  'Access-Control-Request-Method': requestField('Access-Control-Request-Method', 'What it wants to do.', text(), 'PUT'),
  'Access-Control-Request-Headers': requestField(
    'Access-Control-Request-Headers',
    'Header fields that it wants to send.',
    text(),
    'authorization',
  ),
});

export const CACHE_FIELDS = CONDITIONS.pick({ 'If-None-Match': true, 'If-Match': true });
