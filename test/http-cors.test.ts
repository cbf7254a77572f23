/** OPTIONS, and which web pages may read answers. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { call } from './support/client.ts';
import { startCluster, type TestCluster, type TestInstance } from './support/cluster.ts';

const APP = 'https://app.example.com';
const OTHER = 'https://evil.example.com';

suite('without configured origins', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await startCluster({ instances: 1 });
  });
  after(() => cluster[Symbol.asyncDispose]());

  test('OPTIONS needs no key and tells the methods, and no answer says anything of origins', async () => {
    const { url } = cluster.at(0);
    for (const [target, allow] of [
      ['/v1/files/none', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS'],
      ['/v1/files/%C3%A9/', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS'],
      ['/v1/files/%ff', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS'],
      ['/health', 'GET, HEAD, OPTIONS'],
      ['/v1/directories/', 'GET, HEAD, OPTIONS'],
    ] as const) {
      const headers = { origin: APP, 'access-control-request-method': 'PUT' };
      const answer = await call('OPTIONS', url, target, { key: null, headers });
      assert.equal(answer.status, 204);
      assert.equal(answer.headers.allow, allow);
      assert.equal(answer.text, '');
      assert.deepEqual(corsFields(answer.headers), []);
      const wrong = await call('PROPFIND', url, target);
      assert.equal(wrong.status, 405);
      assert.equal(wrong.headers.allow, allow);
    }
    assert.equal((await call('OPTIONS', url, '/nothing')).status, 404);
    assert.deepEqual(corsFields((await call('GET', url, '/v1/files/', { headers: { origin: APP } })).headers), []);
  });
});

for (const origins of [[APP, 'http://localhost:3000'], ['*']]) {
  suite(`with server.cors_origins ${origins}`, () => {
    const forAll = origins.includes('*');
    const allowed = forAll ? '*' : APP;
    let cluster: TestCluster;
    before(async () => {
      cluster = await startCluster({ instances: 2, config: { server: { cors_origins: origins } } });
      const created = await call('POST', cluster.at(0).url, '/v1/files/a.txt', { body: 'content' });
      assert.equal(created.status, 201);
    });
    after(() => cluster[Symbol.asyncDispose]());

    const both = (): readonly TestInstance[] => cluster.instances;

    test('a preflight is answered without a key and allows the key, every method and our header fields', async () => {
      for (const { url } of both()) {
        for (const target of ['/v1/files/a.txt', '/v1/files/none', '/v1/directories/', '/nothing']) {
          const answer = await call('OPTIONS', url, target, {
            key: null,
            headers: {
              origin: APP,
              'access-control-request-method': 'PUT',
              'access-control-request-headers': 'authorization,x-callfs-mode,if-match',
            },
          });
          assert(answer.status === 204 || answer.status === 200, `${target} ${answer.status}`);
          assert.equal(answer.headers['access-control-allow-origin'], allowed);
          assert.equal(answer.headers['access-control-allow-headers'], 'authorization,x-callfs-mode,if-match');
          assert.match(String(answer.headers['access-control-allow-methods']), /GET.*HEAD.*POST.*PUT.*PATCH.*DELETE/);
          assert.equal(answer.headers['access-control-max-age'], '600');
          assert.equal(answer.headers['access-control-allow-credentials'], undefined);
        }
      }
    });

    test('a page may read answers and errors with all they say, from the owner and through a peer alike', async () => {
      const requests: [string, string, number, Record<string, string>?][] = [
        ['GET', '/v1/files/a.txt', 200],
        ['HEAD', '/v1/files/a.txt', 200],
        ['GET', '/v1/files/a.txt', 206, { range: 'bytes=0-1' }],
        ['GET', '/v1/files/a.txt', 416, { range: 'bytes=99-' }],
        ['GET', '/v1/files/none', 404],
        ['GET', '/v1/files/a.txt', 401, { authorization: 'Bearer wrong' }],
        ['PUT', '/v1/files/a.txt', 200],
        ['POST', '/v1/files/a.txt', 409],
        ['GET', '/v1/directories/', 200],
      ];
      for (const { url } of both()) {
        for (const [method, target, status, more = {}] of requests) {
          const body = method === 'PUT' || method === 'POST' ? { body: 'content' } : {};
          const answer = await call(method, url, target, { headers: { origin: APP, ...more }, ...body });
          assert.equal(answer.status, status, `${method} ${target}`);
          assert.equal(answer.headers['access-control-allow-origin'], allowed, `${method} ${target}`);
          const exposed = String(answer.headers['access-control-expose-headers']).toLowerCase().split(', ');
          for (const name of Object.keys(answer.headers)) {
            if (/^(?:x-callfs-|etag|content-range|accept-ranges|location|x-request-id)/.test(name)) {
              assert(exposed.includes(name), `${name} of ${method} ${target}`);
            }
          }
          assert.equal(answer.headers.vary, forAll ? undefined : 'Origin');
        }
      }
    });

    test('a page of another origin may not', async () => {
      for (const { url } of both()) {
        for (const [method, headers] of [
          ['GET', { origin: OTHER }],
          ['OPTIONS', { origin: OTHER, 'access-control-request-method': 'PUT' }],
          ['GET', { origin: `${APP}.evil.example` }],
          ['GET', { origin: 'null' }],
          ['GET', {}],
        ] as const) {
          const answer = await call(method, url, '/v1/files/a.txt', { headers });
          assert.equal(answer.headers['access-control-allow-origin'], forAll ? '*' : undefined);
        }
      }
    });
  });
}

function corsFields(headers: object): string[] {
  return Object.keys(headers).filter((name) => name.startsWith('access-control-') || name === 'vary');
}
