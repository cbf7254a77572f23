/** PATCH bodies and requests for a peer's bytes as nobody well-meaning would send them. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import fc from 'fast-check';
import { PEER_HEADER, PEER_REFUSED_HEADER, PeerSigner } from '../src/cluster/peer-signature.ts';
import { assertAtRest, assertNothingForeign, listTree } from './support/at-rest.ts';
import { type Answer, call } from './support/client.ts';
import { ADMIN_KEY, ALICE_KEY, startCluster, type TestCluster } from './support/cluster.ts';

const CASES = process.env.CALLFS_LONG_TESTS === '1' ? 20_000 : 2000;

/** Names and pieces of paths that mean something to somebody on the way. */
const pieces = fc.constantFrom(
  ...[
    '..',
    '.',
    '',
    '/',
    '//',
    '\\',
    '%2e%2e',
    '%2F',
    '%00',
    '\0',
    '\n',
    '\r\n',
    '\u202e',
    '\ud800',
    '\udc00',
    '\ufeff',
  ],
  ...['.callfs', '.callfs/staging', 'é', 'e\u0301', '\u{1f600}', 'x'.repeat(255), 'x'.repeat(256), 'é'.repeat(128)],
  ...['__proto__', 'constructor', 'null', '~', '$HOME', '*', '?a=b', '#x', ' ', 'a', 'b', 'c'],
);
const hostile = fc.oneof(
  pieces,
  pieces.map((piece) => `/${piece}`),
  fc.array(pieces, { maxLength: 5 }).map((list) => list.join('/')),
  fc.array(pieces, { maxLength: 5 }).map((list) => `/hostile/${list.join('/')}`),
  fc.array(pieces, { maxLength: 4 }).map((list) => `/${list.join('')}`),
  fc.string({ unit: 'binary', maxLength: 30 }),
);
const anything = fc.oneof(hostile, fc.jsonValue({ maxDepth: 2 }), fc.constantFrom('callfs-1', 'callfs-2', 'callfs-9'));
const flag = fc.oneof({ weight: 9, arbitrary: fc.boolean() }, { weight: 1, arbitrary: anything });
const body = fc.oneof(
  { weight: 4, arbitrary: fc.record({ name: hostile, overwrite: flag }, { requiredKeys: ['name'] }) },
  {
    weight: 6,
    arbitrary: fc.record(
      {
        ...{ destination: hostile, overwrite: flag, create_parents: flag },
        instance: fc.oneof({ weight: 4, arbitrary: fc.constantFrom('callfs-1', 'callfs-2') }, anything),
        backend: fc.oneof({ weight: 4, arbitrary: fc.constantFrom('localfs', 'localfs', 's3') }, anything),
      },
      { requiredKeys: ['destination'] },
    ),
  },
  { weight: 3, arbitrary: fc.record({ mode: anything, owner: anything, group: anything }, { requiredKeys: [] }) },
  {
    weight: 1,
    arbitrary: fc.dictionary(fc.oneof(hostile, fc.constantFrom('name', 'destination', '__proto__')), anything),
  },
);
const text = fc.oneof(
  { weight: 8, arbitrary: body.map((value) => JSON.stringify(value)) },
  { weight: 1, arbitrary: fc.jsonValue().map((value) => JSON.stringify(value)) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 60 }) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 30_000 }).map((depth) => '['.repeat(depth)) },
);

const ANSWERS = [200, 400, 403, 404, 409];

suite('hostile requests to move something', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await startCluster({ instances: 2 });
  });
  after(() => cluster[Symbol.asyncDispose]());

  test('a PATCH is carried out or refused, nothing else; what it moved is there under the path it says', async () => {
    const target = '/v1/files/hostile/file';
    const kept = await call('PUT', cluster.at(1).url, '/v1/files/kept', { body: 'kept', key: ADMIN_KEY });
    assert.equal(kept.status, 201);
    let moved = 0;
    const send = async (at: number, change: string, key: string): Promise<Answer> =>
      call('PATCH', cluster.at(at).url, target, { body: change, key });
    await fc.assert(
      fc.asyncProperty(text, fc.nat(1), fc.constantFrom(ALICE_KEY, ADMIN_KEY), async (change, at, key) => {
        const made = await call('PUT', cluster.at(at).url, target, { body: change, key: ADMIN_KEY });
        assert(made.status < 300, made.text);
        const answer = await send(at + 1, change, key);
        assert(ANSWERS.includes(answer.status), `${answer.status} ${answer.text}`);
        if (answer.status !== 200) return;
        moved += 1;
        const path = String(answer.json().path);
        const there = path.split('/').map(encodeURIComponent).join('/');
        for (const { url } of cluster.instances) {
          const got = await call('GET', url, `/v1/files${there}`, { key: ADMIN_KEY });
          assert.equal(got.status, 200, path);
          assert(got.text === Buffer.from(change).toString(), path);
        }
        if (path !== '/hostile/file') assert.equal((await call('GET', cluster.at(0).url, target)).status, 404);
        assert.equal((await call('DELETE', cluster.at(at).url, `/v1/files${there}`, { key: ADMIN_KEY })).status, 204);
      }),
      { numRuns: CASES, seed: Number(process.env.CALLFS_TEST_SEED ?? 20_260_103) },
    );
    assert(moved > CASES / 40, `only ${moved} of ${CASES} were carried out`);
    assert.equal((await call('GET', cluster.at(0).url, '/v1/files/kept', { key: ADMIN_KEY })).text, 'kept');
    for (const { path } of await listTree(cluster.at(0))) assert(!path.startsWith('/.callfs'), path);
    await assertAtRest(cluster);
    assertNothingForeign(cluster);
  });

  test('attributes that cannot be kept as they are given are refused', async () => {
    assert.equal((await call('PUT', cluster.at(0).url, '/v1/files/attributes', { body: '' })).status, 201);
    for (const value of ['a\0b', '\ud800', 'a\nb', '\u202e', 'g'.repeat(256)]) {
      for (const change of [{ group: value }, { owner: value }, { destination: '/elsewhere', instance: value }]) {
        const options = { body: JSON.stringify(change), key: ADMIN_KEY };
        const { status, text: said } = await call('PATCH', cluster.at(1).url, '/v1/files/attributes', options);
        assert.equal(status, 400, `${JSON.stringify(change)}: ${said}`);
      }
    }
  });

  suite('for the bytes that an instance holds', () => {
    const target = '/v1/internal/contents/inside/file';
    let content = '';
    before(async () => {
      const made = await call('PUT', cluster.at(0).url, '/v1/files/inside/file', { body: 'inside' });
      content = `?content=${String(made.headers.etag).replaceAll('"', '')}`;
    });

    const ask = (at: number, path: string, headers: Record<string, string>, key: string | null = null) =>
      call('GET', cluster.at(at).url, path, { headers, key });

    function signerOf(instanceId: string, secret: string): PeerSigner {
      return new PeerSigner({ secret, instanceId, bootId: randomUUID(), clock: { now: Date.now } });
    }

    function secretOfCluster(): string {
      return JSON.parse(readFileSync(cluster.at(0).configFile, 'utf8')).auth.internal_proxy_secret;
    }

    /** As a peer does it: signs for the boot that the refusal of the first try tells. */
    async function askSigned(at: number, path: string, secret = secretOfCluster()): Promise<Answer> {
      const signer = signerOf(cluster.at(at + 1).id, secret);
      const sign = (boot: string) => ({
        [PEER_HEADER]: signer.sign({ method: 'GET', target: path }, cluster.at(at).id, boot),
      });
      const refused = await ask(at, path, sign(''));
      const boot = /^boot=(.*)$/.exec(String(refused.headers[PEER_REFUSED_HEADER]))?.[1];
      return boot === undefined ? refused : ask(at, path, sign(boot));
    }

    test('only a valid signature gets them; no key does', async () => {
      assert.equal((await askSigned(0, target + content)).text, 'inside');
      assert.equal((await askSigned(0, target + content, 'another-secret-0123456789')).status, 401);
      for (const key of [null, ALICE_KEY, ADMIN_KEY]) {
        assert.equal((await ask(0, target + content, {}, key)).status, 401);
        assert.equal((await ask(0, target + content, { [PEER_HEADER]: 'from=callfs-2' }, key)).status, 401);
      }
      const other = signerOf('callfs-2', secretOfCluster()).sign(
        { method: 'GET', target: '/v1/files/x' },
        'callfs-1',
        '',
      );
      assert.equal((await ask(0, target + content, { [PEER_HEADER]: other }, ADMIN_KEY)).status, 401);
    });

    test('what the instance does not hold, or does not hold any more, is not found', async () => {
      assert.equal((await askSigned(1, target + content)).status, 404);
      assert.equal((await askSigned(0, `${target}?content=another`)).status, 404);
      assert.equal((await askSigned(0, `/v1/internal/contents/inside${content}`)).status, 404);
      assert.equal((await askSigned(0, `/v1/internal/contents/nowhere${content}`)).status, 404);
      assert.equal((await askSigned(0, target)).status, 400);
      assert.equal((await askSigned(0, `/v1/internal/contents/..%2f..%2fetc/passwd${content}`)).status, 400);
      assert.equal((await askSigned(0, `/v1/internal/contents/.callfs/instance.json${content}`)).status, 400);
    });
  });
});
