/**
 * The OpenAPI document tells the truth: every operation is called at the owner and at another instance, and each request and
 * each answer, errors too, is compared with what is described.
 */
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { renameSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { call } from './support/client.ts';
import { ADMIN_KEY, ALICE_KEY, BOB_KEY, startCluster, type TestCluster } from './support/cluster.ts';
import { DescribedClient } from './support/described-client.ts';
import { RawConnection } from './support/raw-connection.ts';
import { isRefusal, SocketClient } from './support/socket-client.ts';
import { waitFor } from './support/wait-for.ts';

const FILES = '/v1/files/{path}';
const DIRECTORIES = '/v1/directories/{path}';
const LINKS = '/v1/links/generate';
const DOWNLOADS = '/download/{token}';
const SOCKETS = '/v1/files/ws/{path}';
const JOBS = '/v1/jobs';
const JOB = '/v1/jobs/{id}';
const UPLOADS = '/v1/uploads';
const UPLOAD = '/v1/uploads/{id}';

const CONTENT = 'the content of a file';
const MAX_UPLOAD_BYTES = 256 * 1024;
const TOO_LARGE = Buffer.alloc(MAX_UPLOAD_BYTES + 1);
const OTHER_TAG = '"other"';
/** Of so many files a copy takes a while. */
const TREE_FILES = 60;

let cluster: TestCluster;
let client: DescribedClient;
let owner: string;
const asked = (): readonly string[] => cluster.instances.map(({ url }) => url);

before(async () => {
  const server = { max_upload_size: MAX_UPLOAD_BYTES, cors_origins: ['https://app.example.org'] };
  cluster = await startCluster({ instances: 2, config: { server }, keepLog: false });
  owner = cluster.at(0).url;
  const document = await call('GET', owner, '/openapi.json', { key: null });
  assert.equal(document.status, 200);
  client = new DescribedClient(document.json());
});
after(() => cluster[Symbol.asyncDispose]());

/** Asks, and wants a status. */
async function expect(
  status: number,
  [method, url, path]: readonly [method: string, url: string, path: string],
  options: Parameters<DescribedClient['call']>[3] = {},
) {
  const answer = await client.call(method, url, path, options);
  assert.equal(answer.status, status, `${method} ${path} ${JSON.stringify(options.params)}: ${answer.text}`);
  return answer;
}

/** Runs once for each instance that is asked; what is there before lies on the first. */
function everywhere(name: string, run: (url: string, at: number) => Promise<void>): void {
  test(name, async () => {
    for (const [at, url] of asked().entries()) await run(url, at);
  });
}

const file = (path: string) => ({ params: { path } });
const put = (path: string, headers: Record<string, string> = {}) =>
  expect(201, ['PUT', owner, FILES], { ...file(path), headers, body: CONTENT });

/** Where the user bob may not look, and a file that stands in the way. */
async function refusals(
  calls: readonly (readonly [method: string, url: string, route: string])[],
  extra: object = {},
): Promise<void> {
  for (const one of calls) {
    await expect(400, one, { ...file('bad/%ff'), ...extra });
    await expect(401, one, { ...file('any'), key: null, ...extra });
    await expect(403, one, { ...file('closed/in.txt'), key: BOB_KEY, ...extra });
  }
}

suite('files', () => {
  before(async () => {
    await put('plain.txt', { 'x-callfs-mode': '0640', 'x-callfs-backend': 'localfs' });
    await put('closed/in.txt');
    const body = JSON.stringify({ mode: '0700' });
    await expect(200, ['PATCH', owner, FILES], { ...file('closed'), body });
  });

  everywhere('are read', async (url) => {
    const get = ['GET', url, FILES] as const;
    const whole = await expect(200, get, { ...file('plain.txt'), headers: { 'want-repr-digest': 'sha-256=10' } });
    assert.equal(whole.text, CONTENT);
    assert(whole.headers['repr-digest']);
    const { etag = '' } = whole.headers as Record<string, string>;
    await expect(206, get, { ...file('plain.txt'), headers: { range: 'bytes=0-2', 'if-range': etag } });
    await expect(206, get, { ...file('plain.txt'), headers: { range: 'bytes=0-2,5-6' } });
    await expect(416, get, { ...file('plain.txt'), headers: { range: 'bytes=100-' } });
    for (const method of ['GET', 'HEAD']) {
      const one = [method, url, FILES] as const;
      await expect(304, one, { ...file('plain.txt'), headers: { 'if-none-match': etag } });
      await expect(412, one, { ...file('plain.txt'), headers: { 'if-match': OTHER_TAG } });
      await expect(200, one, { ...file('plain.txt'), headers: { origin: 'https://app.example.org' } });
      await expect(200, one, file(''));
      await expect(404, one, file('missing'));
      await refusals([one]);
    }
  });

  everywhere('are created and replaced', async (url, at) => {
    const md5 = hash('md5', CONTENT, 'base64');
    const digest = `sha-256=:${hash('sha256', CONTENT, 'base64')}:`;
    const headers = { 'content-md5': md5, 'content-digest': digest, 'repr-digest': digest, 'x-callfs-mode': '0600' };
    await expect(201, ['POST', url, FILES], { ...file(`new/${at}.txt`), body: CONTENT, headers });
    await expect(409, ['POST', url, FILES], { ...file('plain.txt'), body: CONTENT });
    await expect(409, ['POST', url, FILES], { ...file('plain.txt/below'), body: CONTENT });
    await expect(201, ['POST', url, FILES], file(`made-${at}/`));
    await expect(200, ['POST', url, FILES], file(`made-${at}/`));
    await expect(201, ['PUT', url, FILES], { ...file(`put-${at}.txt`), body: CONTENT });
    await expect(200, ['PUT', url, FILES], { ...file('plain.txt'), body: CONTENT });
    await expect(409, ['PUT', url, FILES], { ...file('plain.txt/below'), body: CONTENT });
    await expect(400, ['PUT', url, FILES], { ...file('closed'), body: CONTENT });
    for (const method of ['POST', 'PUT']) {
      const one = [method, url, FILES] as const;
      await expect(412, one, { ...file('absent'), body: CONTENT, headers: { 'if-match': OTHER_TAG } });
      await expect(413, one, { ...file('large'), body: TOO_LARGE });
      const wrong = { 'content-md5': md5 };
      await expect(400, one, { ...file('wrong'), body: 'something else', headers: wrong });
      const mode = { 'x-callfs-mode': '7777' };
      await expect(400, one, { ...file('wrong'), body: CONTENT, headers: mode, isWrong: true });
      const tape = { 'x-callfs-backend': 'tape' };
      await expect(400, one, { ...file('wrong'), body: CONTENT, headers: tape, isWrong: true });
      await expect(400, one, { ...file('wrong'), body: CONTENT, headers: { 'x-callfs-backend': 's3' } });
      await refusals([one], { body: CONTENT });
    }
  });

  everywhere('are changed', async (url, at) => {
    const patch = ['PATCH', url, FILES] as const;
    const change = (path: string, body: object, more: object = {}) => ({
      ...file(path),
      body: JSON.stringify(body),
      ...more,
    });
    await put(`changing-${at}.txt`);
    await expect(200, patch, change(`changing-${at}.txt`, { name: `named-${at}.txt` }));
    const destination = { destination: `/deep/er/moved-${at}.txt`, create_parents: true };
    await expect(200, patch, change(`named-${at}.txt`, destination));
    const path = `deep/er/moved-${at}.txt`;
    await expect(200, patch, change(path, { destination: `/copied-${at}.txt`, copy: true }));
    await expect(200, patch, change(path, { instance: `callfs-${2 - at}` }));
    await expect(200, patch, change(path, { mode: '0600', group: 'staff' }));
    await expect(202, patch, change(path, { name: `job-${at}.txt` }, { headers: { prefer: 'respond-async' } }));
    await expect(409, patch, change('plain.txt', { destination: `/copied-${at}.txt` }));
    await expect(412, patch, change('plain.txt', { mode: '0600' }, { headers: { 'if-match': OTHER_TAG } }));
    await expect(404, patch, change('missing', { mode: '0600' }));
    await expect(413, patch, change('plain.txt', { mode: '0600', owner: 'x'.repeat(70_000) }, { isWrong: true }));
    for (const wrong of [
      {},
      { name: '' },
      { name: 'a/b' },
      { destination: 'relative' },
      { copy: true },
      { overwrite: true },
      { mode: '0999' },
      { mode: 640 },
      { backend: 'tape' },
      { destination: '/x', more: 1 },
    ]) {
      await expect(400, patch, change('plain.txt', wrong, { isWrong: true }));
    }
    await refusals([patch], { body: '{"mode":"0600"}' });
  });

  everywhere('are removed', async (url, at) => {
    const remove = ['DELETE', url, FILES] as const;
    for (const name of ['a', 'b', 'c']) await put(`tree-${at}/${name}`);
    await expect(409, remove, file(`tree-${at}`));
    await expect(412, remove, { ...file(`tree-${at}/a`), headers: { 'if-match': OTHER_TAG } });
    await expect(204, remove, file(`tree-${at}/a`));
    await expect(404, remove, file(`tree-${at}/a`));
    const headers = { prefer: 'respond-async' };
    await expect(202, remove, { ...file(`tree-${at}`), query: { recursive: 'true' }, headers });
    await expect(400, remove, { ...file(`tree-${at}`), query: { recursive: 'perhaps' }, isWrong: true });
    await refusals([remove]);
  });
});

suite('the rest', () => {
  everywhere('directories are listed', async (url) => {
    for (const method of ['GET', 'HEAD']) {
      const list = [method, url, DIRECTORIES] as const;
      const query = { recursive: 'true', max_depth: '5', limit: '2' };
      const page = await expect(200, list, { ...file(''), query });
      const cursor = method === 'GET' ? String(page.json().next_cursor) : 'WyJhIl0';
      await expect(200, list, { ...file(''), query: { ...query, cursor } });
      const headers = { accept: 'application/x-ndjson' };
      await expect(200, list, { ...file(''), headers });
      await expect(200, list, { ...file(''), headers, query: { limit: '1' } });
      for (const wrong of [{ limit: '0' }, { limit: '10001' }, { max_depth: '-1' }, { recursive: 'x' }]) {
        await expect(400, list, { ...file(''), query: wrong, isWrong: true });
      }
      await expect(400, list, file('plain.txt'));
      await expect(404, list, file('missing'));
      await refusals([list]);
    }
  });

  everywhere('links are made and used', async (url) => {
    const make = ['POST', url, LINKS] as const;
    const wanted = (path: string, seconds = 60) => JSON.stringify({ path, expiry_seconds: seconds });
    const link = await expect(201, make, { body: wanted('/plain.txt') });
    const token = { params: { token: String(link.json().token) }, key: null };
    const wrong = { params: { token: 'unknown' }, key: null };
    await expect(200, ['HEAD', url, DOWNLOADS], token);
    await expect(200, ['GET', url, DOWNLOADS], token);
    for (const method of ['HEAD', 'GET']) {
      await expect(410, [method, url, DOWNLOADS], token);
      await expect(404, [method, url, DOWNLOADS], wrong);
      await Promise.all(Array.from({ length: 20 }, () => client.call(method, url, DOWNLOADS, wrong)));
      assert(client.seen(`${method} ${DOWNLOADS}`, 429).has(url), method);
      await waitFor('the limit to be over', async () => {
        const answer = await client.call(method, url, DOWNLOADS, wrong);
        return answer.status === 404;
      });
    }
    for (const [path, seconds] of [
      ['relative', 60],
      ['/plain.txt', 0],
      ['/plain.txt', 86_401],
    ] as const) {
      await expect(400, make, { body: wanted(path, seconds), isWrong: true });
    }
    await expect(400, make, { body: wanted('/closed') });
    await expect(401, make, { body: wanted('/plain.txt'), key: null });
    await expect(403, make, { body: wanted('/closed/in.txt'), key: BOB_KEY });
    await expect(404, make, { body: wanted('/missing') });
    await expect(413, make, { body: wanted(`/${'x/'.repeat(3000)}`) });
    const many = { length: 120 };
    await Promise.all(Array.from(many, () => client.call(...make, { body: wanted('/missing') })));
    assert(client.seen(`POST ${LINKS}`, 429).has(url));
  });

  everywhere('work goes on as a job', async (url) => {
    await Promise.all(Array.from({ length: TREE_FILES }, (_, at) => put(`big-${url.slice(-3)}/${at}`)));
    const path = `big-${url.slice(-3)}`;
    const headers = { prefer: 'respond-async' };
    const params = await waitFor('a job that is still running when it is ended', async () => {
      const body = JSON.stringify({ destination: `/copy-of-${path}-${performance.now()}`, copy: true });
      const begun = await expect(202, ['PATCH', url, FILES], { ...file(path), body, headers });
      const id = { id: String(begun.json().id) };
      const ended = await client.call('DELETE', url, JOB, { params: id });
      return ended.status === 202 ? id : undefined;
    });
    await expect(403, ['GET', url, JOB], { params, key: BOB_KEY });
    await expect(403, ['DELETE', url, JOB], { params, key: BOB_KEY });
    await waitFor('the job to end', async () => {
      const { state } = (await expect(200, ['GET', url, JOB], { params })).json();
      return state !== 'running';
    });
    await expect(204, ['DELETE', url, JOB], { params });
    const failing = { body: JSON.stringify({ destination: '/plain.txt', copy: true }), headers };
    await client.call('PATCH', url, FILES, { ...file('plain.txt'), ...failing });
    for (const method of ['GET', 'DELETE']) {
      await expect(404, [method, url, JOB], { params });
      await expect(401, [method, url, JOB], { params, key: null });
    }
    await expect(200, ['GET', url, JOBS], { query: { limit: '5' } });
    await expect(200, ['GET', url, JOBS], { key: BOB_KEY });
    await expect(400, ['GET', url, JOBS], { query: { limit: '0' }, isWrong: true });
    await expect(401, ['GET', url, JOBS], { key: null });
  });

  everywhere('files go over WebSockets', async (url, at) => {
    await put(`ws-${at}.txt`);
    const open = (target: string, options = {}) => openSocket(url, target, options);
    assert.equal(await open(`/v1/files/ws/ws-${at}.txt?mode=download`), 101);
    assert.equal(await open(`/v1/files/ws/ws-${at}.txt`), 400);
    assert.equal(await open('/v1/files/ws/any?mode=download', { key: null }), 401);
    assert.equal(await open('/v1/files/ws/closed/in.txt?mode=download', { key: BOB_KEY }), 403);
    assert.equal(await open('/v1/files/ws/missing?mode=download'), 404);
    assert.equal(await open('/v1/files/ws/plain.txt/below?mode=upload'), 409);
    const headers = { 'if-match': OTHER_TAG };
    assert.equal(await open('/v1/files/ws/plain.txt?mode=upload', { headers }), 412);
    await expect(201, ['PUT', owner, FILES], { ...file(`ws/plain-${at}.txt`), body: CONTENT });
    await expect(200, ['GET', url, SOCKETS], file(`plain-${at}.txt`));
  });

  everywhere('uploads are resumed', async (url, at) => {
    const version = TUS;
    const begin = ['POST', url, UPLOADS] as const;
    const params = await beginUpload(url, wanted(`/uploaded-${at}.txt`));
    const elsewhere = cluster.at(at + 1).url;
    const head = { params, headers: version };
    await expect(200, ['HEAD', elsewhere, UPLOAD], head);
    const piece = (offset: number, more = {}) => ({
      params,
      headers: { ...version, 'upload-offset': String(offset), ...more },
      body: CONTENT.slice(offset),
    });
    const patch = ['PATCH', elsewhere, UPLOAD] as const;
    const override = ['POST', elsewhere, UPLOAD] as const;
    const meaning = (method: string) => ({ 'x-http-method-override': method });
    for (const [one, more] of [
      [patch, {}],
      [override, meaning('PATCH')],
    ] as const) {
      await expect(409, one, piece(3, more));
      const md5 = `md5 ${hash('md5', 'something else', 'base64')}`;
      await expect(460, one, piece(0, { ...more, 'upload-checksum': md5 }));
      await expect(415, one, { ...piece(0, { ...more, 'content-type': 'text/plain' }), isWrong: true });
      const other = piece(0, { ...more, 'tus-resumable': '0.2.0' });
      await expect(412, one, { ...other, isWrong: true });
      await expect(400, one, piece(0, { ...more, 'upload-checksum': 'crc0 AAAA' }));
    }
    await expect(204, override, {
      params,
      headers: { ...version, ...meaning('PATCH'), 'upload-offset': '0' },
      body: CONTENT.slice(0, 4),
    });
    await expect(200, override, { params, headers: { ...version, ...meaning('HEAD') } });
    await expect(405, override, { params, headers: { ...version, ...meaning('PUT') } });
    await expect(204, patch, piece(4));
    await expect(200, ['GET', url, FILES], file(`uploaded-${at}.txt`));
    const given = await beginUpload(url, wanted('/given-up'));
    await expect(204, ['DELETE', elsewhere, UPLOAD], { params: given, headers: version });
    for (const method of ['HEAD', 'PATCH', 'DELETE', 'POST']) {
      const one = [method, elsewhere, UPLOAD] as const;
      const offset = ['PATCH', 'POST'].includes(method) ? { 'upload-offset': '0' } : {};
      const more = method === 'POST' ? meaning('PATCH') : {};
      const body = method === 'PATCH' || method === 'POST' ? { body: CONTENT } : {};
      const headers = { ...version, ...offset, ...more };
      await expect(404, one, { params: given, headers, ...body });
      await expect(401, one, { params: given, headers, key: null, ...body });
    }
    for (const method of ['HEAD', 'DELETE']) {
      await expect(412, [method, elsewhere, UPLOAD], { params, headers: { 'tus-resumable': '2' }, isWrong: true });
    }
    await continueRefused(url);
    await expect(404, begin, {
      headers: { ...version, 'upload-concat': 'final;/v1/uploads/none', ...metadataOf('/x') },
    });
    const checksum = { 'upload-checksum': `md5 ${hash('md5', 'something else', 'base64')}` };
    await expect(460, begin, { headers: { ...wanted('/first').headers, ...checksum }, body: CONTENT });
    await expect(401, begin, { ...wanted('/any'), key: null });
    await expect(403, begin, { ...wanted('/closed/new.txt'), key: BOB_KEY });
    await expect(409, begin, wanted('/plain.txt'));
    await expect(400, begin, wanted('relative'));
    await expect(412, begin, { headers: { ...wanted('/any').headers, 'tus-resumable': '2' }, isWrong: true });
    await expect(413, begin, { headers: { ...wanted('/any').headers, 'upload-length': String(TOO_LARGE.length) } });
  });

  everywhere('operators ask', async (url) => {
    for (const method of ['GET', 'HEAD']) {
      for (const path of ['/health', '/ready', '/docs', '/docs/style.css', '/openapi.json']) {
        const { headers } = await expect(200, [method, url, path], { key: null });
        if (headers.etag === undefined) continue;
        const tag = { 'if-none-match': String(headers.etag) };
        await expect(304, [method, url, path], { key: null, headers: tag });
        await expect(412, [method, url, path], { key: null, headers: { 'if-match': OTHER_TAG } });
      }
      await expect(200, [method, url, '/metrics']);
      await expect(401, [method, url, '/metrics'], { key: null });
      await expect(200, [method, url, '/v1/cluster'], { key: ADMIN_KEY });
      await expect(403, [method, url, '/v1/cluster'], { key: ALICE_KEY });
      await expect(401, [method, url, '/v1/cluster'], { key: null });
    }
  });

  everywhere('OPTIONS is answered everywhere', async (url) => {
    const preflight = { origin: 'https://app.example.org', 'access-control-request-method': 'PUT' };
    for (const operation of client.operations.keys()) {
      const [method, path = ''] = operation.split(' ');
      const options = { key: null, params: { path: 'any', token: 'any', id: 'any' } };
      if (method !== 'OPTIONS') continue;
      const { headers } = await expect(204, ['OPTIONS', url, path], options);
      await expect(204, ['OPTIONS', url, path], { ...options, headers: preflight });
      if (path === SOCKETS) continue;
      const described = [...client.operations.keys()].filter((one) => one.endsWith(` ${path}`));
      const allowed = String(headers.allow).split(', ');
      assert.deepEqual(new Set(allowed), new Set(described.map((one) => one.split(' ')[0])), path);
    }
  });

  everywhere('what is no request is refused everywhere', async (url) => {
    for (const operation of client.operations.keys()) {
      const [method = '', path = ''] = operation.split(' ');
      for (const [status, headers] of [
        [400, { Host: 'another' }],
        [431, { 'X-Large': 'x'.repeat(40_000) }],
      ] as const) {
        using connection = await RawConnection.open(url);
        const isSocket = operation === `GET ${SOCKETS}`;
        const asked = isSocket ? { connection: 'Upgrade', upgrade: 'websocket', ...headers } : headers;
        connection.sendHead(method, path.replaceAll(/\{\w+\}/g, 'any'), asked);
        const answer = await connection.answer(method);
        assert.equal(answer.status, status, operation);
        client.check(method, url, path, answer);
      }
    }
  });

  test('an instance that cannot serve says so, and one that is gone is missed', async () => {
    const other = cluster.at(1).url;
    const { dataRoot } = cluster.at(0);
    renameSync(dataRoot, `${dataRoot}-away`);
    for (const method of ['GET', 'HEAD']) {
      await waitFor('the instance to notice', async () => {
        const { status } = await client.call(method, owner, '/ready', { key: null });
        return status === 503;
      });
    }
    renameSync(`${dataRoot}-away`, dataRoot);
    const link = await expect(201, ['POST', other, LINKS], { body: '{"path":"/plain.txt","expiry_seconds":60}' });
    const params = await beginUpload(owner, wanted('/interrupted'));
    await cluster.at(0).kill();
    for (const method of ['GET', 'HEAD']) await expect(502, [method, other, FILES], file('plain.txt'));
    await expect(502, ['PUT', other, FILES], { ...file('plain.txt'), body: CONTENT });
    await expect(502, ['DELETE', other, FILES], file('plain.txt'));
    await expect(502, ['PATCH', other, FILES], { ...file('plain.txt'), body: '{"mode":"0600"}' });
    assert.equal(await openSocket(other, '/v1/files/ws/plain.txt?mode=download'), 502);
    await expect(502, ['GET', other, DOWNLOADS], { params: { token: String(link.json().token) }, key: null });
    const piece = { params, headers: { ...TUS, 'upload-offset': '0' }, body: CONTENT };
    await expect(502, ['PATCH', other, UPLOAD], piece);
    const override = { ...piece.headers, 'x-http-method-override': 'PATCH' };
    await expect(502, ['POST', other, UPLOAD], { ...piece, headers: override });
    for (const method of ['HEAD', 'DELETE']) await expect(502, [method, other, UPLOAD], { params, headers: TUS });
  });
});

/** What a handshake is answered with. */
async function openSocket(url: string, target: string, options = {}): Promise<number> {
  using socket = SocketClient.open(url, target, options);
  const opened = await socket.opened;
  const answer = isRefusal(opened)
    ? { status: opened.status, headers: opened.headers, body: Buffer.from(JSON.stringify(opened.json)) }
    : { status: 101, headers: handshakeless(opened), body: Buffer.alloc(0) };
  client.check('GET', url, SOCKETS, answer as Parameters<DescribedClient['check']>[3]);
  return answer.status;
}

const TUS = { 'tus-resumable': '1.0.0' };
const metadataOf = (path: string) => ({ 'upload-metadata': `path ${Buffer.from(path).toString('base64')}` });

/** An upload of the content to a path. */
const wanted = (path: string) => ({
  headers: { ...TUS, ...metadataOf(path), 'upload-length': String(CONTENT.length) },
});

async function beginUpload(url: string, options: object): Promise<{ readonly id: string }> {
  const { headers } = await expect(201, ['POST', url, UPLOADS], options);
  return { id: String(headers.location).split('/').at(-1) ?? '' };
}

/** What a piece is refused with that says something new of the whole. */
async function continueRefused(url: string): Promise<void> {
  const key = BOB_KEY;
  const headers = { ...TUS, ...metadataOf('/any'), 'upload-defer-length': '1' };
  const params = await beginUpload(url, { headers, key });
  for (const [method, more] of [
    ['PATCH', {}],
    ['POST', { 'x-http-method-override': 'PATCH' }],
  ] as const) {
    const one = [method, url, UPLOAD] as const;
    const piece = { ...TUS, ...more, 'upload-offset': '0' };
    const tooLarge = { ...piece, 'upload-length': String(TOO_LARGE.length) };
    await expect(413, one, { params, key, headers: tooLarge, body: CONTENT });
    const closed = { ...piece, ...metadataOf('/closed/new.txt') };
    await expect(403, one, { params, key, headers: closed, body: CONTENT });
  }
}

/** A 101 answers the handshake with fields of the protocol that it begins. */
function handshakeless(headers: object): object {
  const rest = Object.entries(headers).filter(([name]) => name !== 'upgrade' && name !== 'sec-websocket-accept');
  return Object.fromEntries(rest);
}

/** It needs an instance that is gone. */
const ONCE = new Set(['502']);

/** What these tests do not bring about, and where it is. */
const NOT_PROVOKED: Readonly<Record<string, string>> = {
  408: 'before there is a request: http-hygiene',
  421: 'only instances that do not forward: cluster-basics',
  423: 'needs two at once: uploads',
  500: 'a bug',
  503: 'needs a store that is gone: postgres-failover',
  504: 'needs a frozen instance: fault-frozen-owner',
  507: 'needs a full disk: fault-disk',
  'POST /v1/files/{path} 502': 'needs an instance that is being drained: node-drain',
  'POST /v1/uploads 502': 'needs parts of an upload at an instance that is gone',
  'HEAD /v1/uploads/{id} 403': 'needs an upload whose last byte came when nobody could commit it',
  'HEAD /v1/uploads/{id} 409': 'the same',
  'POST /v1/uploads 410': 'a day later',
  'HEAD /v1/uploads/{id} 410': 'a day later',
  'PATCH /v1/uploads/{id} 410': 'a day later',
  'POST /v1/uploads/{id} 410': 'a day later',
  'DELETE /v1/uploads/{id} 410': 'a day later',
  508: 'needs a wrong configuration: cluster-basics',
};

test('every operation was called at both instances, and every described answer was seen', () => {
  const missing: string[] = [];
  for (const [operation, statuses] of client.operations) {
    for (const status of statuses) {
      const at = client.seen(operation, status);
      const wanted = status in NOT_PROVOKED || `${operation} ${status}` in NOT_PROVOKED ? 0 : ONCE.has(status) ? 1 : 2;
      if (at.size < wanted) missing.push(`${operation} ${status} at ${at.size} instances`);
    }
  }
  assert.deepEqual(missing, []);
});
