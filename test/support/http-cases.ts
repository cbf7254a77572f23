/**
 * RFC 9110, case by case: conditions (section 13) and ranges (section 14) on every method. Each case is one request on a
 * fresh entry and what must come back, wherever it is asked. In header fields `{etag}`, `{modified}`, `{earlier}` and
 * `{later}` stand for what the entry has, and for times before and after its last change.
 */

/** What is at the path before the request. */
export type Given = 'file' | 'empty' | 'directory' | 'nothing';

export interface HttpCase {
  readonly name: string;
  readonly method: string;
  readonly given: Given;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly status: number;
  /** Fields of the answer; undefined: must not be there. */
  readonly answered?: Readonly<Record<string, RegExp | undefined>>;
  /** The answer's body, when it is not that of an error or an entry. */
  readonly text?: string;
  /** Parts of a multipart body. */
  readonly parts?: number;
  /** The answer says on which server the entry is, so it is another one elsewhere. */
  readonly saysWhere?: true;
}

/** The content of every given file. */
export const CONTENT = '0123456789';

const OTHER = '"other"';
const LONG_AGO = 'Sun, 06 Nov 1994 08:49:37 GMT';
const PATCH = { body: '{"mode":"0640"}' };

type Fields = Readonly<Record<string, string>>;
type Row = readonly [name: string, headers: Fields, status: number];

const NO_VALIDATORS = { etag: undefined, 'last-modified': undefined };
const NOT_MODIFIED = {
  etag: /^"[^"]+"$/,
  'last-modified': / GMT$/,
  'content-length': undefined,
  'content-type': undefined,
};

/** Conditions on reading a file: the order of section 13.2.2, and what is ignored. */
const READS: readonly Row[] = [
  ['If-Match with its tag', { 'if-match': '{etag}' }, 200],
  ['If-Match *', { 'if-match': '*' }, 200],
  ['If-Match with a list', { 'if-match': `${OTHER}, {etag}` }, 200],
  ['If-Match with another tag', { 'if-match': OTHER }, 412],
  ['If-Match with the weak form of its tag', { 'if-match': 'W/{etag}' }, 412],
  ['If-Match with what is no tag', { 'if-match': 'other' }, 412],
  ['If-None-Match with its tag', { 'if-none-match': '{etag}' }, 304],
  ['If-None-Match with the weak form of its tag', { 'if-none-match': 'W/{etag}' }, 304],
  ['If-None-Match *', { 'if-none-match': '*' }, 304],
  ['If-None-Match with a list', { 'if-none-match': `${OTHER},W/"x", {etag}` }, 304],
  ['If-None-Match with other tags', { 'if-none-match': `${OTHER}, "more"` }, 200],
  ['If-Modified-Since its last change', { 'if-modified-since': '{modified}' }, 304],
  ['If-Modified-Since later', { 'if-modified-since': '{later}' }, 304],
  ['If-Modified-Since earlier', { 'if-modified-since': '{earlier}' }, 200],
  ['If-Modified-Since in the form of RFC 850', { 'if-modified-since': 'Sunday, 06-Nov-94 08:49:37 GMT' }, 200],
  ['If-Modified-Since with no date', { 'if-modified-since': 'yesterday' }, 200],
  ['If-Unmodified-Since its last change', { 'if-unmodified-since': '{modified}' }, 200],
  ['If-Unmodified-Since earlier', { 'if-unmodified-since': '{earlier}' }, 412],
  ['If-Unmodified-Since in the form of asctime', { 'if-unmodified-since': 'Sun Nov  6 08:49:37 1994' }, 412],
  ['If-Unmodified-Since with no date', { 'if-unmodified-since': 'yesterday' }, 200],
  ['If-Match before If-Unmodified-Since', { 'if-match': '{etag}', 'if-unmodified-since': LONG_AGO }, 200],
  ['If-Match before If-None-Match', { 'if-match': OTHER, 'if-none-match': '{etag}' }, 412],
  ['If-Match, then If-None-Match', { 'if-match': '{etag}', 'if-none-match': '{etag}' }, 304],
  ['If-Unmodified-Since before If-None-Match', { 'if-unmodified-since': LONG_AGO, 'if-none-match': '{etag}' }, 412],
  ['If-None-Match before If-Modified-Since', { 'if-none-match': OTHER, 'if-modified-since': '{later}' }, 200],
  ['If-None-Match, not If-Modified-Since', { 'if-none-match': '{etag}', 'if-modified-since': LONG_AGO }, 304],
];

/** Conditions on changing a file that is there; `200` stands for the method's success. */
const CHANGES: readonly Row[] = [
  ['If-Match with its tag', { 'if-match': '{etag}' }, 200],
  ['If-Match *', { 'if-match': '*' }, 200],
  ['If-Match with another tag', { 'if-match': OTHER }, 412],
  ['If-Match with the weak form of its tag', { 'if-match': 'W/{etag}' }, 412],
  ['If-None-Match *', { 'if-none-match': '*' }, 412],
  ['If-None-Match with the weak form of its tag', { 'if-none-match': 'W/{etag}' }, 412],
  ['If-None-Match with another tag', { 'if-none-match': OTHER }, 200],
  ['If-Unmodified-Since earlier', { 'if-unmodified-since': '{earlier}' }, 412],
  ['If-Unmodified-Since its last change', { 'if-unmodified-since': '{modified}' }, 200],
  ['If-Modified-Since, which only reads look at', { 'if-modified-since': '{later}' }, 200],
  ['If-Match before If-Unmodified-Since', { 'if-match': '{etag}', 'if-unmodified-since': LONG_AGO }, 200],
  ['If-Match, then If-None-Match', { 'if-match': '{etag}', 'if-none-match': '*' }, 412],
];

const onFile = (method: string, rows: readonly Row[], success: number, more: Partial<HttpCase> = {}): HttpCase[] =>
  rows.map(([name, headers, status]) => ({
    name: `${method} of a file, ${name}`,
    method,
    given: 'file',
    headers,
    status: status === 200 ? success : status,
    ...(status === 304 ? { answered: NOT_MODIFIED } : {}),
    ...(status === 200 && method === 'GET' ? { text: CONTENT } : {}),
    ...more,
  }));

const on =
  (method: string, given: Given, more: Partial<HttpCase> = {}) =>
  ([name, headers, status]: Row): HttpCase => ({
    name: `${method} of ${given}, ${name}`,
    method,
    given,
    headers,
    status,
    ...more,
  });

const CONDITIONS: readonly HttpCase[] = [
  ...onFile('GET', READS, 200),
  ...onFile('HEAD', READS, 200),
  ...onFile('PUT', CHANGES, 200, { body: 'new' }),
  ...onFile('DELETE', CHANGES, 204),
  ...onFile('PATCH', CHANGES, 200, PATCH),
  on('GET', 'nothing')(['If-Match *', { 'if-match': '*' }, 404]),
  on('GET', 'nothing')(['If-None-Match *', { 'if-none-match': '*' }, 404]),
  on('HEAD', 'nothing')(['If-Match *', { 'if-match': '*' }, 404]),
  on('DELETE', 'nothing')(['If-Match *', { 'if-match': '*' }, 404]),
  on('PATCH', 'nothing', PATCH)(['If-Match *', { 'if-match': '*' }, 404]),
  on('PUT', 'nothing', { body: 'new' })(['If-Match *', { 'if-match': '*' }, 412]),
  on('PUT', 'nothing', { body: 'new' })(['If-Match with a tag', { 'if-match': OTHER }, 412]),
  on('PUT', 'nothing', { body: 'new' })(['If-None-Match *', { 'if-none-match': '*' }, 201]),
  on('PUT', 'nothing', { body: 'new' })(['If-None-Match with a tag', { 'if-none-match': OTHER }, 201]),
  on('PUT', 'nothing', { body: 'new' })(['If-Unmodified-Since', { 'if-unmodified-since': LONG_AGO }, 201]),
  on('POST', 'nothing', { body: 'new' })(['If-Match *', { 'if-match': '*' }, 412]),
  on('POST', 'nothing', { body: 'new' })(['If-None-Match *', { 'if-none-match': '*' }, 201]),
  on('POST', 'file', { body: 'new', saysWhere: true })(['without a condition', {}, 409]),
  on('POST', 'file', { body: 'new', saysWhere: true })(['If-None-Match *', { 'if-none-match': '*' }, 409]),
  on('GET', 'directory')(['If-Match *', { 'if-match': '*' }, 200]),
  on('GET', 'directory')(['If-Match with a tag', { 'if-match': OTHER }, 412]),
  on('GET', 'directory')(['If-None-Match *', { 'if-none-match': '*' }, 304]),
  on('GET', 'directory')(['If-None-Match with a tag', { 'if-none-match': OTHER }, 200]),
  on('GET', 'directory', { answered: NO_VALIDATORS })(['If-Modified-Since', { 'if-modified-since': '{later}' }, 200]),
  on('HEAD', 'directory')(['If-Match with a tag', { 'if-match': OTHER }, 412]),
  on('DELETE', 'directory')(['If-Match with a tag', { 'if-match': OTHER }, 412]),
  on('DELETE', 'directory')(['If-Match *', { 'if-match': '*' }, 204]),
  on('PUT', 'directory', { body: 'new' })(['If-Match *', { 'if-match': '*' }, 400]),
];

const part = (range: string, contentRange: string, text: string, more: Fields = {}): HttpCase => ({
  name: `GET of a file, ${JSON.stringify({ range, ...more })}: a part`,
  method: 'GET',
  given: 'file',
  headers: { range, ...more },
  status: 206,
  answered: {
    'content-range': new RegExp(`^bytes ${contentRange}/10$`),
    'content-length': new RegExp(`^${text.length}$`),
    etag: /^"/,
    'last-modified': / GMT$/,
  },
  text,
});

const whole = (range: string, more: Fields = {}): HttpCase => ({
  name: `GET of a file, ${JSON.stringify({ range, ...more }).slice(0, 80)}: all of it`,
  method: 'GET',
  given: 'file',
  headers: { range, ...more },
  status: 200,
  answered: { 'content-range': undefined, 'accept-ranges': /^bytes$/ },
  text: CONTENT,
});

const refused = (given: 'file' | 'empty', range: string): HttpCase => ({
  name: `GET of ${given}, ${range}: not satisfiable`,
  method: 'GET',
  given,
  headers: { range },
  status: 416,
  answered: { 'content-range': given === 'file' ? /^bytes \*\/10$/ : /^bytes \*\/0$/, 'content-type': /json/ },
});

const several = (range: string, count: number): HttpCase => ({
  name: `GET of a file, ${range}: ${count} parts`,
  method: 'GET',
  given: 'file',
  headers: { range },
  status: 206,
  answered: { 'content-type': /^multipart\/byteranges; boundary=\S+$/, 'content-range': undefined },
  parts: count,
});

const RANGES: readonly HttpCase[] = [
  part('bytes=0-3', '0-3', '0123'),
  part('bytes=9-9', '9-9', '9'),
  part('bytes=4-', '4-9', '456789'),
  part('bytes=-3', '7-9', '789'),
  part('bytes=-300', '0-9', CONTENT),
  part('bytes=8-99999999999999999999', '8-9', '89'),
  part('bytes=0-0,50-60', '0-0', '0'),
  part('BYTES=1-2', '1-2', '12'),
  part('bytes= , 1-2 ,', '1-2', '12'),
  several('bytes=0-1,4-5', 2),
  several('bytes=8-,0-0', 2),
  several('bytes=0-0,2-2,-1', 3),
  refused('file', 'bytes=10-'),
  refused('file', 'bytes=99999999999999999999-'),
  refused('file', 'bytes=-0'),
  refused('file', 'bytes=10-12,20-'),
  refused('empty', 'bytes=0-'),
  refused('empty', 'bytes=0-0'),
  whole('bytes=5-4'),
  whole('bytes=a-b'),
  whole('bytes=-'),
  whole('bytes=1'),
  whole('bytes=0-1;2-3'),
  whole('bytes=0x1-2'),
  whole('lines=0-3'),
  whole('0-3'),
  whole('bytes=0-5,3-8'),
  whole('bytes=0-,0-'),
  whole(`bytes=${Array.from({ length: 40 }, (_, index) => `${index}-${index}`).join(',')}`),
  part('bytes=0-3', '0-3', '0123', { 'if-range': '{etag}' }),
  part('bytes=0-3', '0-3', '0123', { 'if-range': '{modified}' }),
  part('bytes=0-3', '0-3', '0123', { 'if-match': '{etag}' }),
  part('bytes=0-3', '0-3', '0123', { 'if-none-match': OTHER }),
  whole('bytes=0-3', { 'if-range': OTHER }),
  whole('bytes=0-3', { 'if-range': 'W/{etag}' }),
  whole('bytes=0-3', { 'if-range': '{earlier}' }),
  whole('bytes=0-3', { 'if-range': '{later}' }),
  whole('bytes=0-3', { 'if-range': '*' }),
  whole('bytes=50-', { 'if-range': OTHER }),
  on('GET', 'file')(['If-None-Match before Range', { range: 'bytes=0-3', 'if-none-match': '{etag}' }, 304]),
  on('GET', 'file')(['If-Match before Range', { range: 'bytes=50-', 'if-match': OTHER }, 412]),
  on('GET', 'file')(['If-Range without Range', { 'if-range': OTHER }, 200]),
  on('HEAD', 'file', { answered: { 'content-length': /^10$/, 'content-range': undefined } })([
    'Range, which only GET knows',
    { range: 'bytes=0-3' },
    200,
  ]),
  on('HEAD', 'file')(['a Range that is not in it', { range: 'bytes=50-' }, 200]),
  on('GET', 'directory', { answered: { 'content-range': undefined } })(['Range', { range: 'bytes=0-0' }, 200]),
  on('GET', 'nothing')(['Range', { range: 'bytes=0-0' }, 404]),
  on('PUT', 'file', { body: 'new' })(['Range, which means nothing', { range: 'bytes=0-0' }, 200]),
  on('PUT', 'file', { body: 'new' })(['Content-Range', { 'content-range': 'bytes 0-2/10' }, 400]),
  on('PUT', 'nothing', { body: 'new' })(['Content-Range', { 'content-range': 'bytes 0-2/10' }, 400]),
  on('POST', 'nothing', { body: 'new' })(['Content-Range', { 'content-range': 'bytes 0-2/10' }, 400]),
];

const METHODS: readonly HttpCase[] = [
  on('GET', 'file', { text: CONTENT })(['plain', {}, 200]),
  on('HEAD', 'file', { answered: { 'content-length': /^10$/ } })(['plain', {}, 200]),
  on('GET', 'empty', { text: '', answered: { 'content-length': /^0$/ } })(['plain', {}, 200]),
  on('HEAD', 'nothing', { answered: { 'content-type': /json/ } })(['plain', {}, 404]),
  on('OPTIONS', 'file', { answered: { allow: /GET.*HEAD.*POST.*PUT.*PATCH.*DELETE/ }, text: '' })(['plain', {}, 204]),
  on('TRACE', 'file', { answered: { allow: /GET/ } })(['with a secret', { 'x-secret': 'never-echo' }, 405]),
  on('PROPFIND', 'file', { answered: { allow: /GET/ } })(['plain', {}, 405]),
];

export const HTTP_CASES: readonly HttpCase[] = [...METHODS, ...CONDITIONS, ...RANGES];
