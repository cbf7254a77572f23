/** Digests that clients send are verified before a commit, and those that they want are told (RFC 9530, RFC 1864). */
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { stagedFiles } from './support/at-rest.ts';
import { call } from './support/client.ts';
import { ALICE_KEY, startCluster, type TestCluster, type TestInstance } from './support/cluster.ts';
import { RawConnection } from './support/raw-connection.ts';
import { waitFor } from './support/wait-for.ts';

const BODY = Buffer.from('some bytes that must arrive as they are');
const digestOf = (algorithm: string, bytes: string | Buffer): string => hash(algorithm, bytes, 'base64');
const SHA256 = `sha-256=:${digestOf('sha256', BODY)}:`;
const SHA512 = `sha-512=:${digestOf('sha512', BODY)}:`;
const MD5 = digestOf('md5', BODY);
const OTHER_SHA256 = `sha-256=:${digestOf('sha256', 'others')}:`;
const OTHER_SHA512 = `sha-512=:${digestOf('sha512', 'others')}:`;

suite('digests', () => {
  let cluster: TestCluster;
  let owner: TestInstance;
  let peer: TestInstance;
  before(async () => {
    cluster = await startCluster({ instances: 2 });
    [owner, peer] = [cluster.at(0), cluster.at(1)];
  });
  after(() => cluster[Symbol.asyncDispose]());

  const both = (): readonly TestInstance[] => [owner, peer];
  const isStagingEmpty = (): boolean => both().every((instance) => stagedFiles(instance).length === 0);

  const RIGHT: readonly Record<string, string>[] = [
    { 'content-digest': SHA256 },
    { 'content-digest': SHA512 },
    { 'content-digest': `${SHA256}, ${SHA512}` },
    { 'content-digest': `md5=:AAAA:, unixsum=:AAE=:, new-one=:AA==:, ${SHA256}` },
    { 'content-digest': 'md5=:AAAA:' },
    { 'repr-digest': SHA256 },
    { 'repr-digest': SHA512, 'content-digest': SHA256, 'content-md5': MD5 },
    { 'content-md5': MD5 },
    { 'content-digest': '' },
  ];
  const WRONG: readonly [Record<string, string>, RegExp][] = [
    [{ 'content-digest': OTHER_SHA256 }, /Content-Digest sha-256/],
    [{ 'content-digest': OTHER_SHA512 }, /Content-Digest sha-512/],
    [{ 'content-digest': `${SHA256}, ${OTHER_SHA512}` }, /Content-Digest sha-512/],
    [{ 'repr-digest': OTHER_SHA256, 'content-digest': SHA256 }, /Repr-Digest sha-256/],
    [{ 'content-md5': digestOf('md5', 'others') }, /Content-MD5/],
  ];
  const MALFORMED: readonly [Record<string, string>, RegExp][] = [
    [{ 'content-digest': 'sha-256' }, /Content-Digest/],
    [{ 'content-digest': `sha-256=${digestOf('sha256', BODY)}` }, /Content-Digest/],
    [{ 'content-digest': 'sha-256=:AAAA:' }, /Content-Digest/],
    [{ 'content-digest': `sha-512=:${digestOf('sha256', BODY)}:` }, /Content-Digest/],
    [{ 'content-digest': 'sha-256=:not base64!:' }, /Content-Digest/],
    [{ 'repr-digest': '"text"' }, /Repr-Digest/],
    [{ 'content-md5': 'AAAA' }, /Content-MD5/],
    [{ 'content-md5': `${MD5}, ${MD5}` }, /Content-MD5/],
  ];

  test('that fit, and those of algorithms that nobody knows, let an upload pass', async () => {
    for (const [index, headers] of RIGHT.entries()) {
      for (const { url, id } of both()) {
        const path = `/v1/files/right/${index}-${id}`;
        const posted = await call('POST', url, path, { body: BODY, headers });
        assert.equal(posted.status, 201, `${JSON.stringify(headers)}: ${posted.text}`);
        for (const again of both()) {
          const put = await call('PUT', again.url, path, { body: BODY, headers });
          assert.equal(put.status, 200, `${JSON.stringify(headers)}: ${put.text}`);
        }
      }
    }
  });

  test('that do not fit change nothing, at the owner and through a peer, and the answer says which', async () => {
    const created = await call('POST', owner.url, '/v1/files/kept.txt', { body: 'kept' });
    for (const [headers, field] of WRONG) {
      for (const { url, id } of both()) {
        for (const [method, path] of [
          ['PUT', 'kept.txt'],
          ['PUT', `never-${id}`],
          ['POST', `never-${id}`],
        ] as const) {
          const answer = await call(method, url, `/v1/files/${path}`, { body: BODY, headers });
          assert.equal(answer.status, 400, answer.text);
          assert.equal(answer.json().code, 'BAD_REQUEST');
          assert.match(String(answer.json().message), field);
        }
        assert.equal((await call('GET', url, `/v1/files/never-${id}`)).status, 404);
        const kept = await call('GET', url, '/v1/files/kept.txt');
        assert.equal(kept.text, 'kept');
        assert.equal(kept.headers.etag, created.headers.etag);
      }
    }
    assert(isStagingEmpty());
  });

  test('of a body that is not sent at all, or in chunks, are verified as well', async () => {
    const empty = { 'content-digest': `sha-256=:${digestOf('sha256', '')}:` };
    assert.equal((await call('PUT', peer.url, '/v1/files/empty', { headers: empty })).status, 201);
    assert.equal((await call('PUT', owner.url, '/v1/files/empty', { headers: empty })).status, 200);
    assert.equal((await call('PUT', owner.url, '/v1/files/empty', { headers: { 'content-md5': MD5 } })).status, 400);
    for (const { url } of both()) {
      for (const [digest, status] of [
        [`sha-256=:${digestOf('sha256', 'some bytes')}:`, 200],
        [SHA256, 400],
      ] as const) {
        using connection = await RawConnection.open(url);
        connection.sendHead('PUT', '/v1/files/empty', {
          authorization: `Bearer ${ALICE_KEY}`,
          'transfer-encoding': 'chunked',
          'content-digest': digest,
        });
        connection.send('5\r\nsome \r\n5\r\nbytes\r\n0\r\n\r\n');
        assert.equal((await connection.answer('PUT')).status, status);
      }
    }
  });

  test('that cannot be read are refused before the body is asked for', async () => {
    for (const [headers, field] of MALFORMED) {
      for (const { url } of both()) {
        for (const method of ['PUT', 'POST']) {
          using connection = await RawConnection.open(url);
          connection.sendHead(method, '/v1/files/malformed', {
            authorization: `Bearer ${ALICE_KEY}`,
            'content-length': '1000',
            expect: '100-continue',
            ...headers,
          });
          const answer = await connection.answer(method);
          assert.equal(answer.status, 400, `${JSON.stringify(headers)}: ${answer.text}`);
          assert.match(String(answer.json().message), field);
          assert.deepEqual(connection.interim, []);
        }
      }
    }
    assert.equal((await call('GET', owner.url, '/v1/files/malformed')).status, 404);
  });

  test('that are wanted are told, of the whole file, also with a part of it and by an instance that does not hold it', async () => {
    await call('POST', owner.url, '/v1/files/wanted.bin', { body: BODY });
    for (const { url } of both()) {
      for (const wish of ['sha-256=1', 'sha-512=3, sha-256=10', 'sha-256=7;q=1']) {
        const headers = { 'want-repr-digest': wish };
        for (const [method, range, status] of [
          ['GET', undefined, 200],
          ['HEAD', undefined, 200],
          ['GET', 'bytes=2-3', 206],
          ['GET', 'bytes=0-0,5-6', 206],
        ] as const) {
          const answer = await call(method, url, '/v1/files/wanted.bin', {
            headers: { ...headers, ...(range === undefined ? {} : { range }) },
          });
          assert.equal(answer.status, status);
          assert.equal(answer.headers['repr-digest'], SHA256, `${method} ${wish}`);
        }
      }
      for (const wish of [undefined, 'sha-256=0', 'sha-512=10', 'md5=3', 'sha-256=11', 'sha-256=:AAAA:', '???']) {
        const headers: Record<string, string> = wish === undefined ? {} : { 'want-repr-digest': wish };
        const answer = await call('GET', url, '/v1/files/wanted.bin', { headers });
        assert.equal(answer.status, 200);
        assert.equal(answer.headers['repr-digest'], undefined, String(wish));
      }
    }
  });

  test('follow the content: replaced, edited on disk, moved to another instance', async () => {
    const path = '/v1/files/changing.txt';
    const digest = async (url: string): Promise<unknown> =>
      (await call('HEAD', url, path, { headers: { 'want-repr-digest': 'sha-256=1' } })).headers['repr-digest'];
    const assertDigest = async (content: string): Promise<void> => {
      const expected = `sha-256=:${digestOf('sha256', content)}:`;
      for (const { url } of both()) assert.equal(await digest(url), expected, content);
    };
    await call('POST', owner.url, path, { body: 'first' });
    await assertDigest('first');
    await call('PUT', peer.url, path, { body: 'second' });
    await assertDigest('second');
    await waitFor('the file in its place', () => existsSync(join(owner.dataRoot, 'changing.txt')));
    writeFileSync(join(owner.dataRoot, 'changing.txt'), 'third, by hand');
    await assertDigest('third, by hand');
    const moved = await call('PATCH', owner.url, path, {
      body: JSON.stringify({ destination: '/changing.txt', instance: peer.id }),
    });
    assert.equal(moved.status, 200, moved.text);
    await assertDigest('third, by hand');
  });

  test('of a large body are made while it passes', async () => {
    const large = Buffer.alloc(32 * 1024 * 1024, 'large');
    const last = large.at(-1) ?? 0;
    const digest = digestOf('sha512', large);
    const headers = { 'content-digest': `sha-512=:${digest}:` };
    for (const { url } of both()) {
      const put = await call('PUT', url, '/v1/files/large.bin', { body: large, headers });
      assert([200, 201].includes(put.status), put.text);
      large[large.length - 1] = 0;
      assert.equal((await call('PUT', url, '/v1/files/large.bin', { body: large, headers })).status, 400);
      large[large.length - 1] = last;
    }
  });
});
