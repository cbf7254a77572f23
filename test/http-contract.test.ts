/** What every answer looks like: headers, errors, conflicts, bodies. At the owner and through a peer alike. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { PeerSigner } from '../src/cluster/peer-signature.ts';
import { stagedFiles } from './support/at-rest.ts';
import { type Answer, call } from './support/client.ts';
import { ALICE_KEY, BOB_KEY, startCluster, type TestCluster, type TestInstance } from './support/cluster.ts';
import { type RawAnswer, RawConnection, rawCall } from './support/raw-connection.ts';
import { ONLY_ON_DISKS } from './support/test-bucket.ts';
import { TLS_BY_DEFAULT } from './support/tls.ts';
import { waitFor } from './support/wait-for.ts';

const MAX_UPLOAD = 1_000_000;
const AS_ALICE = { authorization: `Bearer ${ALICE_KEY}` };
const SECURITY_HEADERS = {
  'x-content-type-options': /^nosniff$/,
  'x-frame-options': /^DENY$/,
  'referrer-policy': /./,
  'content-security-policy': /./,
  'permissions-policy': /./,
  'cross-origin-opener-policy': /^same-origin$/,
  'cross-origin-embedder-policy': /^require-corp$/,
  'x-request-id': /^[\w-]{8,}$/,
};

type AnyAnswer = Pick<Answer | RawAnswer, 'status' | 'headers' | 'text'> & { json(): Record<string, unknown> };

function assertGuarded({ headers, status }: AnyAnswer): void {
  for (const [name, value] of Object.entries(SECURITY_HEADERS)) {
    assert.match(String(headers[name] ?? ''), value, `${name} of a ${status}`);
  }
  assert.equal(headers['strict-transport-security'] !== undefined, TLS_BY_DEFAULT);
}

/** @param how to recognise a failure: status and code */
function assertError(answer: AnyAnswer, status: number, code: string): Record<string, unknown> {
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.headers['content-type'], 'application/json; charset=utf-8');
  const body = answer.json();
  assert.equal(body.code, code);
  assert.equal(body.request_id, answer.headers['x-request-id']);
  assert(typeof body.message === 'string' && body.message.length > 10);
  assertGuarded(answer);
  return body;
}

/** Everything but what differs from one request to the next. */
function comparable({ status, headers, body }: RawAnswer): object {
  const { date: _date, 'x-request-id': _requestId, ...rest } = headers;
  return { status, headers: rest, body: body.toString('latin1') };
}

suite('answers of /v1/files', () => {
  let cluster: TestCluster;
  let owner: TestInstance;
  let peer: TestInstance;
  before(async () => {
    cluster = await startCluster({ instances: 2, config: { server: { max_upload_size: MAX_UPLOAD } } });
    [owner, peer] = [cluster.at(0), cluster.at(1)];
  });
  after(() => cluster[Symbol.asyncDispose]());

  const both = (): readonly TestInstance[] => [owner, peer];

  /** A file of the first instance. */
  async function create(path: string, body = 'content', headers: Record<string, string> = {}): Promise<Answer> {
    const created = await call('POST', owner.url, `/v1/files/${path}`, { body, headers });
    assert.equal(created.status, 201, created.text);
    return created;
  }

  suite('headers', () => {
    test('of a file say everything about it, for POST, PUT, GET and HEAD', async () => {
      const posted = await create('headers/a.txt', 'eleven bytes', { 'x-callfs-mode': '0640' });
      const replaced = await call('PUT', peer.url, '/v1/files/headers/a.txt', { body: 'twelve bytes' });
      assert.equal(replaced.status, 200);
      const got = await call('GET', peer.url, '/v1/files/headers/a.txt');
      const head = await call('HEAD', peer.url, '/v1/files/headers/a.txt');
      for (const { headers } of [posted, replaced, got, head]) {
        const { 'x-callfs-type': type, 'x-callfs-size': size, 'x-callfs-mode': mode, ...rest } = headers;
        assert.deepEqual({ type, size, mode }, { type: 'file', size: '12', mode: '0640' });
        assert.equal(rest['x-callfs-uid'], '1000');
        assert.equal(rest['x-callfs-gid'], '1000');
        assert.equal(rest['x-callfs-owner'], 'alice');
        assert.match(String(rest['x-callfs-mtime']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
        assert.equal(rest['x-callfs-instance-id'], 'callfs-1');
        assert.equal(rest['x-callfs-backend-type'], 'localfs');
        assert.match(String(rest.etag), /^"[^"]+"$/);
        assert.equal(Date.parse(String(rest['last-modified'])), Date.parse(String(rest['x-callfs-mtime'])));
        assert.equal(rest['accept-ranges'], 'bytes');
      }
      for (const { headers } of [got, head]) {
        assert.equal(headers['content-length'], '12');
        assert.match(String(headers['content-type']), /^text\/plain/);
        assert.equal(headers.etag, replaced.headers.etag);
      }
      assert.notEqual(posted.headers.etag, replaced.headers.etag);
      assert.equal(head.text, '');
    });

    test('of a directory say what it is', async () => {
      await create('headers-dir/a.txt');
      for (const { url } of both()) {
        for (const method of ['GET', 'HEAD']) {
          const { status, headers } = await call(method, url, '/v1/files/headers-dir');
          assert.equal(status, 200);
          assert.equal(headers['x-callfs-type'], 'directory');
          assert.equal(headers['x-callfs-mode'], '0755');
          assert.equal(headers['x-callfs-owner'], 'alice');
          assert.equal(headers['x-callfs-instance-id'], 'callfs-1');
          assert.match(String(headers['x-callfs-mtime']), /Z$/);
        }
      }
    });

    test('are the same through a peer as at the owner, byte for byte, and so are bodies', async () => {
      const etag = String((await create('same/small.html', '<p>small</p>')).headers.etag);
      await create('same/large.bin', 'large'.repeat(100_000));
      await create('same/empty', '');
      const requests: [string, string, Record<string, string>?][] = [
        ['GET', 'small.html'],
        ['HEAD', 'small.html'],
        ['GET', 'large.bin'],
        ['HEAD', 'large.bin'],
        ['GET', 'empty'],
        ['HEAD', 'empty'],
        ['GET', 'small.html', { 'if-none-match': etag }],
        ['HEAD', 'small.html', { 'if-none-match': etag }],
        ['GET', ''],
        ['HEAD', ''],
        ['GET', '?x=y'],
      ];
      for (const [method, name, headers = {}] of requests) {
        const [here, there] = await Promise.all(
          both().map(({ url }) =>
            rawCall(method, url, `/v1/files/same/${name}`, { headers: { ...AS_ALICE, ...headers } }),
          ),
        );
        assert(here && there);
        assert.deepEqual(comparable(there), comparable(here), `${method} ${name}`);
        assertGuarded(there);
      }
    });

    test('of a replacement are the same through a peer as at the owner', async () => {
      await create('same/put.txt', 'x');
      const [here, there] = [
        await rawCall('PUT', owner.url, '/v1/files/same/put.txt', { headers: AS_ALICE, body: 'same size' }),
        await rawCall('PUT', peer.url, '/v1/files/same/put.txt', { headers: AS_ALICE, body: 'same size' }),
      ];
      const names = (answer: RawAnswer) => Object.keys(answer.headers).sort();
      assert.deepEqual(names(there), names(here));
      assert.deepEqual(Object.keys(there.json()), Object.keys(here.json()));
      for (const answer of [here, there]) {
        assert.equal(answer.status, 200);
        assert.equal(answer.json().etag, answer.headers.etag);
        assertGuarded(answer);
      }
    });

    test('of errors that the owner finds are the same through a peer', async () => {
      const created = await create('same/refused.txt', 'x', { 'x-callfs-mode': '0600' });
      const requests: [string, Record<string, string>, number][] = [
        ['GET', { authorization: `Bearer ${BOB_KEY}` }, 403],
        ['PUT', { authorization: `Bearer ${BOB_KEY}` }, 403],
        ['DELETE', { authorization: `Bearer ${BOB_KEY}` }, 403],
        ['GET', { ...AS_ALICE, 'if-match': '"other"' }, 412],
        ['HEAD', { ...AS_ALICE, 'if-match': '"other"' }, 412],
        ['PUT', { ...AS_ALICE, 'if-match': '"other"' }, 412],
        ['PUT', { ...AS_ALICE, 'if-none-match': String(created.headers.etag) }, 412],
        ['DELETE', { ...AS_ALICE, 'if-match': '"other"' }, 412],
        ['PUT', { ...AS_ALICE, 'x-callfs-backend': 's3' }, 400],
        ['PUT', { ...AS_ALICE, 'x-callfs-backend': 'tape' }, 400],
      ];
      for (const [method, headers, status] of requests) {
        const body = method === 'PUT' ? { body: 'y' } : {};
        const [here, there] = await Promise.all(
          both().map(({ url }) => rawCall(method, url, '/v1/files/same/refused.txt', { headers, ...body })),
        );
        assert(here && there);
        assert.equal(here.status, status);
        const strip = (answer: RawAnswer) => {
          const { body, ...rest } = comparable(answer) as { body: string };
          return { ...rest, body: body.replace(/"request_id":"[^"]+"/, '') };
        };
        assert.deepEqual(strip(there), strip(here), `${method} ${status}`);
      }
      assert.equal((await call('GET', peer.url, '/v1/files/same/refused.txt')).text, 'x');
    });
  });

  suite('a creation', () => {
    test('answers with the entry and where it is', async () => {
      const created = await create('made/caf%C3%A9%20%2B%231.txt', 'content');
      assert.equal(created.headers['content-type'], 'application/json; charset=utf-8');
      assertGuarded(created);
      const { mtime, etag, ...entry } = created.json();
      assert.deepEqual(entry, {
        name: 'café +#1.txt',
        path: '/made/café +#1.txt',
        type: 'file',
        size: 7,
        mode: '0644',
        owner: 'alice',
        group: 'staff',
        uid: 1000,
        gid: 1000,
        content_type: 'text/plain',
        instance_id: 'callfs-1',
        backend_type: 'localfs',
      });
      assert.equal(etag, created.headers.etag);
      assert.equal(mtime, created.headers['x-callfs-mtime']);
      const location = String(created.headers.location);
      assert.match(location, /^\/v1\/files\/made\//);
      assert.equal((await rawCall('GET', peer.url, location, { headers: AS_ALICE })).text, 'content');
    });

    test('by PUT answers 201 with a Location, a replacement answers 200', async () => {
      const created = await call('PUT', peer.url, '/v1/files/made/by-put', { body: '1' });
      assert.equal(created.status, 201);
      assert.equal(created.headers.location, '/v1/files/made/by-put');
      assert.equal(created.headers['x-callfs-instance-id'], 'callfs-2');
      assert.equal((await call('PUT', owner.url, '/v1/files/made/by-put', { body: '2' })).status, 200);
    });

    test('of a directory answers 201, then 200 at the same instance, and 409 elsewhere', async () => {
      const created = await call('POST', owner.url, '/v1/files/made/dir/');
      assert.equal(created.status, 201);
      assert.equal(created.headers.location, '/v1/files/made/dir/');
      assert.equal(created.json().type, 'directory');
      assert.equal(created.json().path, '/made/dir');
      assert.equal(created.headers['x-callfs-type'], 'directory');
      const again = await call('POST', owner.url, '/v1/files/made/dir/');
      assert.equal(again.status, 200);
      assert.equal(again.json().path, '/made/dir');
      assertError(await call('POST', peer.url, '/v1/files/made/dir/'), 409, 'FILE_ALREADY_EXISTS');
    });
  });

  suite('a conflict', () => {
    const cases = [
      ['file', 'file', 'File already exists on another server. Use PUT to update it.'],
      ['directory', 'directory', 'Directory already exists on another server. Use GET to access it.'],
      ['file', 'directory', 'Path exists as directory on another server, cannot create file'],
      ['directory', 'file', 'Path exists as file on another server, cannot create directory'],
    ] as const;
    for (const [wanted, existing, elsewhere] of cases) {
      test(`of a ${wanted} over a ${existing} says what to do instead, here and elsewhere`, async () => {
        const path = `conflicts/${wanted}-over-${existing}`;
        const suffix = (type: string): string => (type === 'directory' ? '/' : '');
        await call('POST', owner.url, `/v1/files/${path}${suffix(existing)}`, { body: '' });
        const target = `/v1/files/${path}${suffix(wanted)}`;
        const there = await call('POST', peer.url, target, { body: '' });
        const expected = {
          existing_path: `/${path}`,
          instance_id: 'callfs-1',
          backend_type: 'localfs',
          update_url: wanted === 'file' && existing === 'file' ? `${owner.url}/v1/files/${path}` : undefined,
          type: existing,
        };
        const pick = (body: Record<string, unknown>) => ({
          existing_path: body.existing_path,
          instance_id: body.instance_id,
          backend_type: body.backend_type,
          update_url: body.update_url,
          type: (body.existing as Record<string, unknown>).type,
        });
        const refused = assertError(there, 409, 'FILE_ALREADY_EXISTS');
        assert.equal(refused.error, 'Resource exists on another server');
        assert.equal(refused.suggestion, elsewhere);
        assert.deepEqual(pick(refused), expected);
        if (wanted === 'directory' && existing === 'directory') return;
        const here = assertError(await call('POST', owner.url, target, { body: '' }), 409, 'FILE_ALREADY_EXISTS');
        assert.equal(here.error, 'Resource already exists');
        assert.equal(here.suggestion, elsewhere.replace(' on another server', ''));
        assert.deepEqual(pick(here), expected);
      });
    }

    test('is found before the body is asked for, and counted', async () => {
      await create('conflicts/early');
      for (const { url } of both()) {
        using connection = await RawConnection.open(url);
        const headers = { ...AS_ALICE, 'content-length': '5', expect: '100-continue' };
        connection.sendHead('POST', '/v1/files/conflicts/early', headers);
        assertError(await connection.answer(), 409, 'FILE_ALREADY_EXISTS');
        assert.deepEqual(connection.interim, []);
      }
      const { text } = await call('GET', peer.url, '/metrics');
      assert.match(text, /^callfs_conflicts_total\{kind="[^"]+"\} [1-9]/m);
    });
  });

  suite('a trailing slash and directories', () => {
    test('a slash after the name of a file finds nothing', async () => {
      await create('slash/file');
      for (const { url } of both()) {
        for (const method of ['GET', 'DELETE']) {
          assertError(await call(method, url, '/v1/files/slash/file/'), 404, 'FILE_NOT_FOUND');
        }
        assert.equal((await call('HEAD', url, '/v1/files/slash/file/')).status, 404);
        assert.equal((await call('GET', url, '/v1/files/slash/file')).status, 200);
      }
    });

    test('a directory is found with and without the slash', async () => {
      await create('slash/dir/file');
      for (const { url } of both()) {
        const [without, withSlash] = [
          await call('GET', url, '/v1/files/slash/dir'),
          await call('GET', url, '/v1/files/slash/dir/'),
        ];
        assert.equal(without.status, 200);
        assert.equal(withSlash.text, without.text);
      }
    });

    test('PUT on a directory or with a slash is refused before the body', async () => {
      await create('slash/put/file');
      for (const { url } of both()) {
        for (const target of ['slash/put', 'slash/put/', 'slash/new/', '', 'slash/put/file/']) {
          using connection = await RawConnection.open(url);
          const headers = { ...AS_ALICE, 'content-length': '5', expect: '100-continue' };
          connection.sendHead('PUT', `/v1/files/${target}`, headers);
          assertError(await connection.answer(), 400, 'IS_A_DIRECTORY');
          assert.deepEqual(connection.interim, []);
        }
      }
      assert.equal((await call('GET', owner.url, '/v1/files/slash/new')).status, 404);
    });

    test('below a file nothing can be created and nothing is found', async () => {
      await create('slash/parent');
      for (const { url } of both()) {
        for (const target of ['slash/parent/x', 'slash/parent/x/y/z']) {
          assertError(await call('POST', url, `/v1/files/${target}`, { body: '' }), 409, 'NOT_A_DIRECTORY');
          assertError(await call('PUT', url, `/v1/files/${target}`, { body: '' }), 409, 'NOT_A_DIRECTORY');
          assertError(await call('POST', url, `/v1/files/${target}/`), 409, 'NOT_A_DIRECTORY');
          assertError(await call('GET', url, `/v1/files/${target}`), 404, 'FILE_NOT_FOUND');
          assertError(await call('DELETE', url, `/v1/files/${target}`), 404, 'FILE_NOT_FOUND');
        }
      }
    });

    test('the root is there, and cannot be removed or replaced', async () => {
      for (const { url } of both()) {
        for (const target of ['/v1/files', '/v1/files/', '/v1/files//']) {
          const { status, headers } = await call('HEAD', url, target);
          assert.equal(status, 200);
          assert.equal(headers['x-callfs-mode'], '1777');
          assert.equal((await call('GET', url, target)).status, 200);
          const removed = await call('DELETE', url, `${target}?recursive=true`);
          assert(removed.status === 403 || removed.status === 409, removed.text);
          const replaced = await call('POST', url, target, { body: 'x' });
          assert([200, 409].includes(replaced.status), replaced.text);
          assertError(await call('PUT', url, target, { body: 'x' }), 400, 'IS_A_DIRECTORY');
        }
      }
      assert.equal((await call('GET', peer.url, '/v1/files/same/small.html')).status, 200);
    });

    test('a directory that is not empty is removed only recursively', async () => {
      await create('slash/full/sub/file');
      assertError(await call('DELETE', peer.url, '/v1/files/slash/full'), 409, 'DIRECTORY_NOT_EMPTY');
      assertError(await call('DELETE', peer.url, '/v1/files/slash/full?recursive=perhaps'), 400, 'BAD_REQUEST');
      assert.equal((await call('DELETE', peer.url, '/v1/files/slash/full?recursive=true')).status, 204);
      assertError(await call('DELETE', peer.url, '/v1/files/slash/full'), 404, 'FILE_NOT_FOUND');
    });
  });

  suite('content types', () => {
    const cases = [
      ['declared.txt', 'text/html; charset=iso-8859-1', 'text/html; charset=iso-8859-1'],
      ['declared-json', 'application/json', 'application/json'],
      ['multipart.bin', 'multipart/form-data; boundary=x', 'multipart/form-data; boundary=x'],
      ['by-extension.json', undefined, 'application/json'],
      ['by-extension.PNG', undefined, 'image/png'],
      ['unknown.unheard-of', undefined, 'application/octet-stream'],
      ['no-extension', undefined, 'application/octet-stream'],
      ['curl.css', 'application/x-www-form-urlencoded', 'text/css'],
      ['curl', 'application/x-www-form-urlencoded', 'application/octet-stream'],
    ] as const;
    for (const [name, declared, expected] of cases) {
      test(`a file ${name}, ${declared === undefined ? 'undeclared' : `declared as ${declared}`}, is ${expected}`, async () => {
        const target = `/v1/files/types/${name}`;
        const headers: Record<string, string> = declared === undefined ? {} : { 'content-type': declared };
        // Not JSON, not a form: bodies are raw bytes whatever they are declared to be.
        const body = '{"raw": bytes&%zz';
        const created = await call('PUT', owner.url, target, { headers, body });
        assert.equal(created.status, 201, created.text);
        assert.equal(created.json().content_type, expected);
        const replaced = await call('PUT', peer.url, target, { headers, body: `${body}!` });
        assert.equal(replaced.status, 200, replaced.text);
        for (const { url } of both()) {
          const got = await call('GET', url, target);
          assert.equal(got.headers['content-type'], expected);
          assert.equal(got.text, `${body}!`);
        }
      });
    }

    test('a type that is no type does not stop an upload', async () => {
      for (const [number, type] of ['garbage', '', ';;;', 'text/plain;', 'a/b; c="'].entries()) {
        const headers = { ...AS_ALICE, 'content-type': type };
        const target = `/v1/files/types/odd-${number}`;
        const created = await rawCall('POST', owner.url, target, { headers, body: 'raw' });
        assert.equal(created.status, 201, `${type}: ${created.text}`);
        assert.equal((await call('GET', peer.url, target)).text, 'raw');
      }
    });
  });

  suite('errors', () => {
    test('say 404 NOT_FOUND for a route that does not exist', async () => {
      for (const target of [
        '/',
        '/v1',
        '/v1/filesx/a',
        '/v2/files/a',
        '/v1/file/a',
        '/V1/files/a',
        '/download',
        '/%ff',
        '/%zz',
      ]) {
        for (const method of ['GET', 'POST']) {
          assertError(await rawCall(method, owner.url, target, { headers: AS_ALICE }), 404, 'NOT_FOUND');
        }
      }
    });

    test('say 405 with the methods that are possible', async () => {
      const cases: [string, string, RegExp][] = [
        ['TRACE', '/v1/files/a', /GET, HEAD, POST, PUT, PATCH, DELETE/],
        ['PROPFIND', '/v1/files/a', /GET, HEAD, POST, PUT, PATCH, DELETE/],
        ['PURGE', '/v1/files/a', /GET, HEAD, POST, PUT, PATCH, DELETE/],
        ['PUT', '/v1/directories/a', /GET/],
        ['DELETE', '/v1/directories/a', /GET/],
        ['POST', '/health', /GET/],
        ['DELETE', '/ready', /GET/],
        ['PUT', '/metrics', /GET/],
      ];
      for (const [method, target, allow] of cases) {
        const answer = await rawCall(method, owner.url, target, { headers: AS_ALICE });
        assertError(answer, 405, 'METHOD_NOT_ALLOWED');
        assert.match(String(answer.headers.allow), allow, `${method} ${target}`);
      }
    });

    test('of what is no HTTP look like all others', async () => {
      for (const garbage of [
        'NONSENSE\r\n\r\n',
        'GET /health HTTP/1.1\r\nbad header\r\n\r\n',
        `GET /${'a'.repeat(70_000)} HTTP/1.1\r\n\r\n`,
      ]) {
        using connection = await RawConnection.open(owner.url);
        connection.send(garbage);
        const answer = await connection.answer();
        assert(answer.status >= 400 && answer.status < 500);
        assert.equal(typeof answer.json().code, 'string', answer.text);
        assertGuarded(answer);
      }
    });

    test('never tell where things are on the server', async () => {
      const answers = [
        await call('GET', peer.url, '/v1/files/nothing'),
        await call('GET', owner.url, '/v1/files/%ff'),
        await call('GET', owner.url, '/v1/directories/x?limit=abc'),
        await call('POST', owner.url, '/v1/files/mode', { headers: { 'x-callfs-mode': 'rw' }, body: '' }),
      ];
      for (const { text } of answers) {
        assert.doesNotMatch(text, /\.ts|node_modules|sqlite|SQL|\/tmp\/|\s{4}at /);
      }
    });
  });

  suite('bodies', () => {
    test('arrive whole when chunked, whatever the chunks', async () => {
      for (const [number, { url }] of both().entries()) {
        for (const round of [1, 2]) {
          using connection = await RawConnection.open(url);
          connection.sendHead('PUT', `/v1/files/bodies/chunked-${number}`, {
            ...AS_ALICE,
            'transfer-encoding': 'chunked',
          });
          for (const chunk of ['5\r\nfirst\r\n', 'B;extension=1\r\n and second\r\n', '1\r\n!\r\n'])
            connection.send(chunk);
          connection.send('0\r\nX-Trailer: ignored\r\n\r\n');
          assert.equal((await connection.answer()).status, round === 1 ? 201 : 200);
          const target = `/v1/files/bodies/chunked-${number}`;
          for (const reader of both()) assert.equal((await call('GET', reader.url, target)).text, 'first and second!');
        }
      }
    });

    test('are never a part taken for the whole, nor a coding that is not understood', async () => {
      const target = '/v1/files/bodies/whole';
      assert.equal((await call('PUT', owner.url, target, { body: 'the whole file' })).status, 201);
      for (const { url } of both()) {
        const part = { 'content-range': 'bytes 4-8/14' };
        const refused = await call('PUT', url, target, { headers: part, body: 'other' });
        assert.equal(refused.status, 400);
        assert.equal(refused.json().code, 'BAD_REQUEST');
        using connection = await RawConnection.open(url);
        connection.sendHead('PUT', target, { ...AS_ALICE, 'transfer-encoding': 'gzip, chunked' });
        connection.send('0\r\n\r\n');
        assert.equal((await connection.answer()).status, 400);
        assert.equal((await call('GET', url, target)).text, 'the whole file');
      }
    });

    test('may be empty', async () => {
      const uploads: [string, Record<string, string>, string][] = [
        ['declared', { 'content-length': '0' }, ''],
        ['undeclared', {}, ''],
        ['chunked', { 'transfer-encoding': 'chunked' }, '0\r\n\r\n'],
      ];
      for (const [name, headers, bytes] of uploads) {
        const target = `/v1/files/bodies/empty-${name}`;
        for (const [url, status] of [
          [owner.url, 201],
          [peer.url, 200],
        ] as const) {
          using connection = await RawConnection.open(url);
          connection.sendHead('PUT', target, { ...AS_ALICE, ...headers });
          connection.send(bytes);
          assert.equal((await connection.answer()).status, status);
        }
        for (const { url } of both()) {
          const { status, headers: shown, body } = await call('GET', url, target);
          assert.deepEqual([status, shown['content-length'], body.length], [200, '0', 0]);
        }
      }
    });

    test('of any bytes come back as they were', async () => {
      const body = Buffer.from(Array.from({ length: 70_000 }, (_, index) => (index * 131) % 256));
      assert.equal((await call('PUT', peer.url, '/v1/files/bodies/bytes', { body })).status, 201);
      assert.equal((await call('PUT', owner.url, '/v1/files/bodies/bytes', { body })).status, 200);
      for (const { url } of both()) assert((await call('GET', url, '/v1/files/bodies/bytes')).body.equals(body));
    });

    test('of a client that waits for 100 Continue are asked for once, and the connection goes on', async () => {
      await create('bodies/expect');
      for (const { url } of both()) {
        using connection = await RawConnection.open(url);
        connection.sendHead('PUT', '/v1/files/bodies/expect', {
          ...AS_ALICE,
          'content-length': '4',
          expect: '100-continue',
        });
        await connection.continued();
        connection.send('body');
        assert.equal((await connection.answer()).status, 200);
        assert.deepEqual(connection.interim, [100]);
        connection.sendHead('GET', '/v1/files/bodies/expect', AS_ALICE);
        assert.equal((await connection.answer()).text, 'body');
      }
    });

    test('that break off change nothing and leave nothing', { skip: ONLY_ON_DISKS }, async () => {
      await create('bodies/kept', 'kept');
      for (const { url } of both()) {
        for (const [target, headers, start] of [
          ['bodies/kept', { 'content-length': '1000' }, 'only this'],
          ['bodies/kept', { 'transfer-encoding': 'chunked' }, '5\r\nfirst\r\n'],
          ['bodies/never', { 'content-length': '1000' }, 'only this'],
        ] as const) {
          const receiver =
            target === 'bodies/kept' ? owner : cluster.instances.find((instance) => instance.url === url);
          assert(receiver);
          const connection = await RawConnection.open(url);
          connection.sendHead('PUT', `/v1/files/${target}`, { ...AS_ALICE, ...headers });
          connection.send(start);
          await waitFor('the upload to have begun', () => stagedFiles(receiver).length === 1);
          connection[Symbol.dispose]();
          await waitFor('the upload to be discarded', () => stagedFiles(receiver).length === 0);
        }
        assert.equal((await call('GET', url, '/v1/files/bodies/kept')).text, 'kept');
        assert.equal((await call('GET', url, '/v1/files/bodies/never')).status, 404);
      }
    });

    test('whose chunks are broken change nothing', async () => {
      await create('bodies/broken', 'kept');
      for (const { url } of both()) {
        using connection = await RawConnection.open(url);
        connection.sendHead('PUT', '/v1/files/bodies/broken', { ...AS_ALICE, 'transfer-encoding': 'chunked' });
        connection.send('5\r\nfirst\r\nno chunk\r\n');
        assertError(await connection.answer(), 400, 'BAD_REQUEST');
        await waitFor('the connection to end', () => connection.isClosed);
        assert.equal((await call('GET', url, '/v1/files/bodies/broken')).text, 'kept');
        await waitFor('nothing to be staged', () => stagedFiles(owner).length === 0);
      }
    });

    test('of a request that half-closes its connection too early change nothing', async () => {
      await create('bodies/half', 'kept');
      for (const { url } of both()) {
        using connection = await RawConnection.open(url);
        connection.sendHead('PUT', '/v1/files/bodies/half', { ...AS_ALICE, 'content-length': '1000' });
        connection.send('only this');
        connection.end();
        await waitFor('the connection to end', () => connection.isClosed);
        assert.equal((await call('GET', url, '/v1/files/bodies/half')).text, 'kept');
        await waitFor('nothing to be staged', () => stagedFiles(owner).length === 0);
      }
    });

    test('larger than allowed are refused before they are read, when their length is declared', async () => {
      await create('bodies/large', 'kept');
      for (const { url } of both()) {
        for (const target of ['bodies/large', `bodies/large-${randomUUID()}`]) {
          using waiting = await RawConnection.open(url);
          const length = { 'content-length': String(MAX_UPLOAD + 1) };
          waiting.sendHead('PUT', `/v1/files/${target}`, { ...AS_ALICE, ...length, expect: '100-continue' });
          assertError(await waiting.answer(), 413, 'PAYLOAD_TOO_LARGE');
          assert.deepEqual(waiting.interim, []);
          // A client that sends at once still gets the answer.
          const body = 'x'.repeat(MAX_UPLOAD + 1);
          assertError(
            await rawCall('PUT', url, `/v1/files/${target}`, { headers: AS_ALICE, body }),
            413,
            'PAYLOAD_TOO_LARGE',
          );
        }
        const exact = 'x'.repeat(MAX_UPLOAD);
        const target = `/v1/files/bodies/exact-${randomUUID()}`;
        assert.equal((await call('POST', url, target, { body: exact })).status, 201);
      }
      assert.equal((await call('GET', peer.url, '/v1/files/bodies/large')).text, 'kept');
    });

    test('larger than allowed are refused while they arrive, when they are chunked', async () => {
      await create('bodies/chunked-large', 'kept');
      const chunk = `${(100_000).toString(16)}\r\n${'x'.repeat(100_000)}\r\n`;
      for (const { url } of both()) {
        for (const target of ['bodies/chunked-large', `bodies/chunked-large-${randomUUID()}`]) {
          using connection = await RawConnection.open(url);
          connection.sendHead('PUT', `/v1/files/${target}`, { ...AS_ALICE, 'transfer-encoding': 'chunked' });
          for (let sent = 0; sent < 40; sent++) connection.send(chunk);
          connection.send('0\r\n\r\n');
          assertError(await connection.answer(), 413, 'PAYLOAD_TOO_LARGE');
          const { status } = await call('GET', url, `/v1/files/${target}`);
          assert.equal(status, target === 'bodies/chunked-large' ? 200 : 404);
        }
      }
      assert.equal((await call('GET', peer.url, '/v1/files/bodies/chunked-large')).text, 'kept');
      for (const instance of both()) await waitFor('nothing to be staged', () => stagedFiles(instance).length === 0);
    });

    test('of requests that have no use for one are passed over', async () => {
      await create('bodies/unused');
      for (const { url } of both()) {
        using connection = await RawConnection.open(url);
        for (let round = 0; round < 2; round++) {
          connection.sendHead('GET', '/v1/files/bodies/unused', { ...AS_ALICE, 'content-length': '3' });
          connection.send('abc');
          assert.equal((await connection.answer()).text, 'content');
        }
      }
    });
  });

  suite('conditions', () => {
    test('of reads are answered with 304 and 412', async () => {
      const { headers } = await create('conditions/read', 'content');
      const etag = String(headers.etag);
      const modified = String(headers['last-modified']);
      const past = 'Sun, 06 Nov 1994 08:49:37 GMT';
      const cases: [Record<string, string>, number][] = [
        [{ 'if-none-match': etag }, 304],
        [{ 'if-none-match': `"other", W/${etag}` }, 304],
        [{ 'if-none-match': '*' }, 304],
        [{ 'if-none-match': '"other"' }, 200],
        [{ 'if-modified-since': modified }, 304],
        [{ 'if-modified-since': past }, 200],
        [{ 'if-modified-since': 'garbage' }, 200],
        [{ 'if-none-match': '"other"', 'if-modified-since': modified }, 200],
        [{ 'if-match': etag }, 200],
        [{ 'if-match': '*' }, 200],
        [{ 'if-match': `W/${etag}` }, 412],
        [{ 'if-match': '"other"' }, 412],
        [{ 'if-unmodified-since': past }, 412],
        [{ 'if-unmodified-since': modified }, 200],
        [{ 'if-match': etag, 'if-unmodified-since': past }, 200],
        [{ 'if-match': '"other"', 'if-none-match': etag }, 412],
      ];
      for (const { url } of both()) {
        for (const method of ['GET', 'HEAD']) {
          for (const [conditions, status] of cases) {
            const answer = await call(method, url, '/v1/files/conditions/read', { headers: conditions });
            assert.equal(answer.status, status, `${method} ${JSON.stringify(conditions)}`);
            if (status === 412 && method === 'GET') assertError(answer, 412, 'PRECONDITION_FAILED');
            if (status !== 304) continue;
            assert.equal(answer.headers.etag, etag);
            assert.equal(answer.text, '');
          }
        }
      }
    });

    test('of writes are checked before the body is asked for', async () => {
      const etag = String((await create('conditions/write', 'kept')).headers.etag);
      for (const { url } of both()) {
        const refused: [string, Record<string, string>][] = [
          ['conditions/write', { 'if-match': '"other"' }],
          ['conditions/write', { 'if-none-match': '*' }],
          ['conditions/write', { 'if-none-match': etag }],
          ['conditions/write', { 'if-unmodified-since': 'Sun, 06 Nov 1994 08:49:37 GMT' }],
          ['conditions/new', { 'if-match': '*' }],
        ];
        for (const [target, conditions] of refused) {
          using connection = await RawConnection.open(url);
          const headers = { ...AS_ALICE, ...conditions, 'content-length': '5', expect: '100-continue' };
          connection.sendHead('PUT', `/v1/files/${target}`, headers);
          assertError(await connection.answer(), 412, 'PRECONDITION_FAILED');
          assert.deepEqual(connection.interim, []);
        }
        const denied = await call('DELETE', url, '/v1/files/conditions/write', { headers: { 'if-match': '"other"' } });
        assertError(denied, 412, 'PRECONDITION_FAILED');
      }
      assert.equal((await call('GET', peer.url, '/v1/files/conditions/write')).text, 'kept');
      const removed = await call('DELETE', peer.url, '/v1/files/conditions/write', { headers: { 'if-match': etag } });
      assert.equal(removed.status, 204);
    });
  });

  suite('X-Request-ID', () => {
    test('is another one for every request, whatever the client sends', async () => {
      const headers = { 'x-request-id': 'chosen-by-the-client' };
      const answers = await Promise.all(
        Array.from({ length: 100 }, (_, number) => call('GET', cluster.at(number).url, '/v1/files/', { headers })),
      );
      assert.equal(new Set(answers.map((answer) => answer.headers['x-request-id'])).size, 100);
    });

    test('is in the log line, and the same one at the forwarding instance and at the owner', async () => {
      await create('logged.txt', 'twelve bytes');
      const got = await call('GET', peer.url, '/v1/files/logged.txt');
      const requestId = got.headers['x-request-id'];
      const lineOf = (instance: TestInstance) =>
        waitFor('the log line', () => instance.log.find(({ request_id }) => request_id === requestId));
      const [forwarded, local] = [await lineOf(peer), await lineOf(owner)];
      const common = {
        user: 'alice',
        method: 'GET',
        path: '/v1/files/logged.txt',
        status: 200,
        owner: 'callfs-1',
        bytes: 12,
      };
      const pick = ({ user, method, path, status, owner, bytes }: Record<string, unknown>) => ({
        user,
        method,
        path,
        status,
        owner,
        bytes,
      });
      assert.deepEqual(pick(forwarded), common);
      assert.deepEqual(pick(local), common);
      assert.equal(forwarded.route, 'peer');
      assert.equal(local.route, 'local');
      assert.equal(local.peer, 'callfs-2');
      // Each until its own answer was sent; which of them notices that first is chance.
      for (const { duration_ms } of [forwarded, local]) assert(Number(duration_ms) > 0);
    });
  });

  suite('between instances', () => {
    const target = '/v1/files/between.txt';
    let signer: PeerSigner;
    /** Of the owner, as it tells who knows the secret. */
    let boot = '';
    before(async () => {
      await create('between.txt');
      signer = signerOf('callfs-2');
      const refused = await withPeer(signer.sign({ method: 'GET', target }, 'callfs-1', ''));
      boot = String(refused.headers['x-callfs-peer-refused']).slice('boot='.length);
    });

    function secret(): string {
      return JSON.parse(readFileSync(owner.configFile, 'utf8')).auth.internal_proxy_secret;
    }

    function signerOf(instanceId: string, overrides: { secret?: string; skewMs?: number } = {}): PeerSigner {
      const clock = { now: () => Date.now() + (overrides.skewMs ?? 0) };
      return new PeerSigner({ secret: overrides.secret ?? secret(), instanceId, bootId: randomUUID(), clock });
    }

    const withPeer = (value: string) => call('GET', owner.url, target, { headers: { 'x-callfs-peer': value } });

    test('a signed request is accepted once, and refused when it is replayed', async () => {
      const header = signer.sign({ method: 'GET', target }, 'callfs-1', boot);
      assert.equal((await withPeer(header)).status, 200);
      assertError(await withPeer(header), 401, 'AUTHENTICATION_FAILED');
    });

    test('what is forged, for another request, another instance or another time is refused', async () => {
      const headers = {
        garbage: 'garbage',
        empty: '',
        'an instance name': 'callfs-2',
        'the secret itself': secret(),
        'another method': signer.sign({ method: 'DELETE', target }, 'callfs-1', boot),
        'another target': signer.sign({ method: 'GET', target: '/v1/files/other' }, 'callfs-1', boot),
        'another instance': signer.sign({ method: 'GET', target }, 'callfs-3', boot),
        'another secret': signerOf('callfs-2', { secret: 'another-secret-0123456789' }).sign(
          { method: 'GET', target },
          'callfs-1',
          boot,
        ),
        'an old one': signerOf('callfs-2', { skewMs: -61_000 }).sign({ method: 'GET', target }, 'callfs-1', boot),
        'one of the future': signerOf('callfs-2', { skewMs: 61_000 }).sign({ method: 'GET', target }, 'callfs-1', boot),
        'one for another boot': signer.sign({ method: 'GET', target }, 'callfs-1', 'an-earlier-boot'),
        'its own': signerOf('callfs-1').sign({ method: 'GET', target }, 'callfs-1', boot),
      };
      for (const [what, value] of Object.entries(headers)) {
        const answer = await withPeer(value);
        assert.equal(answer.status, 401, what);
        assertError(answer, 401, 'AUTHENTICATION_FAILED');
        // Through an instance that would forward it, too.
        const through = await call('GET', peer.url, target, { headers: { 'x-callfs-peer': value } });
        assert.equal(through.status, 401, what);
      }
    });

    test('a signature does not replace the key of the client', async () => {
      const sign = () => ({ 'x-callfs-peer': signer.sign({ method: 'GET', target }, 'callfs-1', boot) });
      assertError(await call('GET', owner.url, target, { key: null, headers: sign() }), 401, 'AUTHENTICATION_FAILED');
      assertError(
        await call('GET', owner.url, target, { key: secret(), headers: sign() }),
        401,
        'AUTHENTICATION_FAILED',
      );
      assertError(await call('GET', owner.url, target, { key: secret() }), 401, 'AUTHENTICATION_FAILED');
    });

    test('what was forwarded is never forwarded again', async () => {
      assert.equal((await call('POST', peer.url, '/v1/files/on-the-peer', { body: 'x' })).status, 201);
      const misdirected = '/v1/files/on-the-peer';
      for (const method of ['GET', 'PUT', 'DELETE']) {
        const headers = { 'x-callfs-peer': signer.sign({ method, target: misdirected }, 'callfs-1', boot) };
        const body = method === 'PUT' ? { body: 'y' } : {};
        const answer = await call(method, owner.url, misdirected, { headers, ...body });
        const { instance_id, url } = assertError(answer, 421, 'MISDIRECTED_REQUEST');
        assert.deepEqual({ instance_id, url }, { instance_id: 'callfs-2', url: peer.url + misdirected });
      }
      assert.equal((await call('GET', owner.url, misdirected)).text, 'x');
    });

    test('/v1/internal is closed to clients', async () => {
      for (const path of ['/v1/internal', '/v1/internal/', '/v1/internal/anything', '/v1/internal/a/b?c=d']) {
        for (const method of ['GET', 'POST', 'DELETE']) {
          const answer = await call(method, owner.url, path);
          assertError(answer, 401, 'AUTHENTICATION_FAILED');
          assert.equal(answer.headers['www-authenticate'], 'Bearer');
        }
      }
    });
  });

  suite('operations', () => {
    test('/health and /ready need no key', async () => {
      const health = await call('GET', owner.url, '/health', { key: null });
      assert.equal(health.status, 200);
      assert.deepEqual(health.json(), { status: 'ok' });
      assertGuarded(health);
      const ready = await call('GET', peer.url, '/ready', { key: null });
      assert.equal(ready.status, 200, ready.text);
      assertGuarded(ready);
    });

    test('/metrics needs a key and shows what instances do for each other', async () => {
      assertError(await call('GET', peer.url, '/metrics', { key: null }), 401, 'AUTHENTICATION_FAILED');
      await create('metrics.txt');
      assert.equal((await call('GET', peer.url, '/v1/files/metrics.txt')).status, 200);
      const { status, text, headers } = await call('GET', peer.url, '/metrics');
      assert.equal(status, 200);
      assert.match(String(headers['content-type']), /^text\/plain/);
      const samples = [
        'callfs_cross_server_requests_total{operation="GET",target_instance="callfs-1",outcome="answered"}',
        'callfs_proxy_request_duration_seconds_count{operation="GET",target_instance="callfs-1"}',
        'callfs_instance_files{instance_id="callfs-1"}',
        'callfs_peer_up{instance_id="callfs-1"} 1',
        'callfs_http_requests_total{method="GET",path="/v1/files/{path}",status_code="200"}',
        'callfs_http_request_duration_seconds_count{method="GET",path="/v1/files/{path}"}',
        'callfs_file_operations_total{operation=',
        'callfs_backend_op_duration_seconds_count{backend_type="localfs",operation=',
        'callfs_metadata_query_duration_seconds_count{operation=',
        'callfs_single_use_link_generations_total',
        'callfs_single_use_link_consumptions_total',
        'callfs_conflicts_total{kind=',
      ];
      for (const sample of samples) assert(text.includes(sample), sample);
      assert.doesNotMatch(text, /metrics\.txt|between/, 'paths of files in metrics');
    });

    test('keys and secrets are in no log line, no error and no metric', async () => {
      const config = JSON.parse(readFileSync(owner.configFile, 'utf8'));
      const secrets = [...Object.values(config.auth.api_key_users), config.auth.internal_proxy_secret] as string[];
      const wrong = 'wrong-key-0123456789abcdef';
      const answers = [
        await call('GET', owner.url, '/v1/files/between.txt', { key: wrong }),
        await call('GET', peer.url, '/v1/files/nothing', { key: BOB_KEY }),
        await call('GET', peer.url, `/v1/files/between.txt?api_key=${ALICE_KEY}`),
        await call('GET', owner.url, '/v1/files/nothing', { headers: { 'x-callfs-peer': wrong } }),
        await call('GET', owner.url, '/metrics'),
      ];
      const lastId = answers.at(-1)?.headers['x-request-id'];
      await waitFor('the last log line', () => owner.log.some(({ request_id }) => request_id === lastId));
      const texts = [
        ...answers.map(({ text }) => text),
        ...both().map(({ log, stderr }) => JSON.stringify(log) + stderr),
      ];
      for (const text of texts) {
        for (const secret of [...secrets, wrong]) {
          assert(
            !text.includes(secret),
            `${secret} is in ${text.slice(Math.max(0, text.indexOf(secret) - 300)).slice(0, 400)}`,
          );
        }
      }
    });
  });

  test('HTTP/1.0 and pipelined requests are answered', async () => {
    await create('old.txt', 'old');
    for (const { url } of both()) {
      using old = await RawConnection.open(url);
      old.send(`GET /v1/files/old.txt HTTP/1.0\r\nAuthorization: Bearer ${ALICE_KEY}\r\n\r\n`);
      assert.equal((await old.answer()).text, 'old');
      using pipelined = await RawConnection.open(url);
      for (let count = 0; count < 5; count++) pipelined.sendHead('GET', '/v1/files/old.txt', AS_ALICE);
      for (let count = 0; count < 5; count++) assert.equal((await pipelined.answer()).text, 'old');
    }
  });

  test('nothing in all this was an internal error', () => {
    for (const { log } of both()) {
      assert.deepEqual(
        log.filter(({ status, level }) => Number(status) >= 500 || level === 'error'),
        [],
      );
    }
  });
});

suite('without cross-server support', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await startCluster({ instances: 2, config: { handlers: { enable_cross_server_support: false } } });
  });
  after(() => cluster[Symbol.asyncDispose]());

  test('what another instance owns is answered with 421, its instance and its URL', async () => {
    const [owner, other] = [cluster.at(0), cluster.at(1)];
    const target = '/v1/files/dir/a%20file';
    assert.equal((await call('POST', owner.url, target, { body: 'content' })).status, 201);
    for (const method of ['GET', 'PUT', 'DELETE']) {
      const body = method === 'PUT' ? { body: 'other' } : {};
      const { instance_id, url } = assertError(await call(method, other.url, target, body), 421, 'MISDIRECTED_REQUEST');
      assert.equal(instance_id, 'callfs-1');
      assert.equal(url, owner.url + target);
    }
    assert.equal((await call('HEAD', other.url, target)).status, 421);
    using connection = await RawConnection.open(other.url);
    connection.sendHead('PUT', target, { ...AS_ALICE, 'content-length': '5', expect: '100-continue' });
    assertError(await connection.answer(), 421, 'MISDIRECTED_REQUEST');
    assert.deepEqual(connection.interim, []);
    assert.equal((await call('GET', owner.url, target)).text, 'content');
  });

  test('directories, conflicts and own files are as ever', async () => {
    const [owner, other] = [cluster.at(0), cluster.at(1)];
    const refused = await call('POST', other.url, '/v1/files/dir/a%20file', { body: 'x' });
    const { suggestion, update_url } = assertError(refused, 409, 'FILE_ALREADY_EXISTS');
    assert.equal(suggestion, 'File already exists on another server. Use PUT to update it.');
    assert.equal(update_url, `${owner.url}/v1/files/dir/a%20file`);
    assert.equal((await call('PUT', other.url, '/v1/files/dir/own', { body: 'own' })).status, 201);
    assert.equal((await call('GET', other.url, '/v1/files/dir/own')).text, 'own');
    const listed = JSON.parse((await call('GET', other.url, '/v1/files/dir/')).text) as { name: string }[];
    assert.deepEqual(
      listed.map(({ name }) => name),
      ['a file', 'own'],
    );
  });
});
