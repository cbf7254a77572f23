/** Requests that are no HTTP, ambiguous, late or too large: refused in one way, with nothing behind them done. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import fc from 'fast-check';
import { stagedFiles } from './support/at-rest.ts';
import { call } from './support/client.ts';
import { ALICE_KEY, startCluster, type TestCluster, type TestInstance } from './support/cluster.ts';
import { type RawAnswer, RawConnection } from './support/raw-connection.ts';
import { waitFor } from './support/wait-for.ts';

const IDLE_MS = 2000;
const KEY = `Authorization: Bearer ${ALICE_KEY}`;
/** What a smuggler hides behind a request: it would remove the file. */
const HIDDEN = `DELETE /v1/files/smuggled HTTP/1.1\r\nHost: x\r\n${KEY}\r\n\r\n`;
const CHUNKED_HIDDEN = `0\r\n\r\n${HIDDEN}`;

/** Heads that two servers could read in two ways, or that none should read. */
const HEADS: readonly [name: string, head: string, body?: string][] = [
  ['two lengths', 'Content-Length: 5\r\nContent-Length: 6\r\n'],
  ['the same length twice', 'Content-Length: 5\r\nContent-Length: 5\r\n'],
  ['a list of lengths', 'Content-Length: 5, 5\r\n'],
  ['a signed length', 'Content-Length: +5\r\n'],
  ['a negative length', 'Content-Length: -5\r\n'],
  ['a hexadecimal length', 'Content-Length: 0x5\r\n'],
  ['a length that is none', 'Content-Length: five\r\n'],
  ['an empty length', 'Content-Length:\r\n'],
  ['a length beyond all numbers', 'Content-Length: 99999999999999999999999\r\n'],
  ['a length before chunks', 'Content-Length: 4\r\nTransfer-Encoding: chunked\r\n', CHUNKED_HIDDEN],
  ['chunks before a length', 'Transfer-Encoding: chunked\r\nContent-Length: 4\r\n', CHUNKED_HIDDEN],
  ['chunked twice', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', CHUNKED_HIDDEN],
  ['a list of chunked', 'Transfer-Encoding: chunked, chunked\r\n', CHUNKED_HIDDEN],
  ['chunked, identity', 'Transfer-Encoding: chunked, identity\r\n', CHUNKED_HIDDEN],
  ['identity', 'Transfer-Encoding: identity\r\n', CHUNKED_HIDDEN],
  ['gzip, chunked', 'Transfer-Encoding: gzip, chunked\r\n', CHUNKED_HIDDEN],
  ['xchunked', 'Transfer-Encoding: xchunked\r\n', CHUNKED_HIDDEN],
  ['an empty coding', 'Transfer-Encoding:\r\n', CHUNKED_HIDDEN],
  ['quoted chunked', 'Transfer-Encoding: "chunked"\r\n', CHUNKED_HIDDEN],
  ['a vertical tab before chunked', 'Transfer-Encoding: \vchunked\r\n', CHUNKED_HIDDEN],
  ['a space before the colon', 'Content-Length : 5\r\n'],
  ['a space before a name', ' Content-Length: 5\r\n'],
  ['a folded field', 'X-Folded: one\r\n two\r\nContent-Length: 5\r\n'],
  ['a folded coding', 'Transfer-Encoding:\r\n chunked\r\n', CHUNKED_HIDDEN],
  ['a bare LF', 'X-One: 1\nContent-Length: 5\r\n'],
  ['a bare CR', 'X-One: 1\rContent-Length: 5\r\n'],
  ['a NUL in a value', 'X-One: a\0b\r\nContent-Length: 5\r\n'],
  ['a name that is none', 'X(One): 1\r\nContent-Length: 5\r\n'],
  ['a line without a colon', 'Nonsense\r\nContent-Length: 5\r\n'],
  ['a second host', 'Host: other\r\nContent-Length: 5\r\n'],
];

const BROKEN_BODIES: readonly [name: string, body: string][] = [
  ['a size that is no number', 'zz\r\nhello\r\n0\r\n\r\n'],
  ['a signed size', '+5\r\nhello\r\n0\r\n\r\n'],
  ['a negative size', '-5\r\nhello\r\n0\r\n\r\n'],
  ['a size with a prefix', '0x5\r\nhello\r\n0\r\n\r\n'],
  ['a size beyond all numbers', 'fffffffffffffffff\r\nhello\r\n0\r\n\r\n'],
  ['a size with a space before it', ' 5\r\nhello\r\n0\r\n\r\n'],
  ['an empty size', '\r\nhello\r\n0\r\n\r\n'],
  ['a chunk that is longer than it says', '4\r\nhello\r\n0\r\n\r\n'],
  ['a bare LF after a size', '5\nhello\r\n0\r\n\r\n'],
  ['a bare LF after a chunk', '5\r\nhello\n0\r\n\r\n'],
  ['a NUL in an extension', '5;a=\0\r\nhello\r\n0\r\n\r\n'],
];

suite('what is no good HTTP', { timeout: 120_000 }, () => {
  let cluster: TestCluster;
  let owner: TestInstance;
  let peer: TestInstance;
  before(async () => {
    const server = { idle_timeout: `${IDLE_MS}ms` };
    cluster = await startCluster({ instances: 2, config: { server } });
    [owner, peer] = [cluster.at(0), cluster.at(1)];
    for (const name of ['smuggled', 'kept']) {
      assert.equal((await call('POST', owner.url, `/v1/files/${name}`, { body: 'kept' })).status, 201);
    }
  });
  after(() => cluster[Symbol.asyncDispose]());

  const both = (): readonly TestInstance[] => [owner, peer];

  function assertRefused(answer: RawAnswer, status: number, code: string, what: string): void {
    assert.equal(answer.status, status, `${what}: ${answer.text}`);
    assert.equal(answer.json().code, code, what);
    assert.equal(answer.json().request_id, answer.headers['x-request-id']);
    assert.equal(answer.headers.connection, 'close', what);
    assert.equal(answer.headers['x-content-type-options'], 'nosniff');
  }

  test('header fields of any kind get the same answer through a peer as at the owner, and never a 5xx', async () => {
    const name = fc.oneof(
      fc.constantFrom(
        'Range',
        'If-Match',
        'If-None-Match',
        'If-Range',
        'If-Modified-Since',
        'Connection',
        'TE',
        'Upgrade',
      ),
      fc.constantFrom(
        'Want-Repr-Digest',
        'Content-Digest',
        'Expect',
        'Trailer',
        'X-CallFS-Mode',
        'X-CallFS-Peer-Refused',
      ),
      fc.constantFrom('X-Request-ID', 'Keep-Alive', 'Proxy-Connection', 'Accept', 'Cookie', 'Origin', '__proto__'),
      fc
        .stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}$/)
        .filter((text) => !/^(?:host|content-length)$/i.test(text)),
    );
    const value = fc.oneof(
      fc.constantFrom(
        'bytes=0-1',
        'bytes=9-',
        '*',
        '"x"',
        'close',
        'keep-alive, Range',
        'h2c',
        'websocket',
        'sha-256=3',
      ),
      fc.stringMatching(/^[\x20-\x7e\x80-\xff]{0,20}$/),
    );
    const field = fc.tuple(name, value).map(([key, text]) => `${key}: ${text}\r\n`);
    const property = fc.asyncProperty(fc.array(field, { maxLength: 6 }), async (fields) => {
      const answers = await Promise.all(
        both().map(async ({ url }) => {
          using connection = await RawConnection.open(url);
          connection.send(`GET /v1/files/kept HTTP/1.1\r\nHost: callfs\r\n${KEY}\r\n${fields.join('')}\r\n`);
          const { status, body, headers } = await connection.answer();
          return { status, etag: headers.etag, body: status < 300 ? body.toString('latin1') : '' };
        }),
      );
      const [here, there] = answers;
      assert.deepEqual(there, here);
      assert(here && here.status < 500 && here.status >= 200);
    });
    await fc.assert(property, { numRuns: process.env.CALLFS_LONG_TESTS === '1' ? 10_000 : 500 });
  });

  for (const where of ['the owner', 'an instance that forwards']) {
    const instance = (): TestInstance => (where === 'the owner' ? owner : peer);

    test(`a head with two meanings, or none, is refused by ${where} and the connection closed`, async () => {
      const loggedBefore = both().map(({ log }) => log.length);
      for (const [name, head, body = 'hello'] of HEADS) {
        using connection = await RawConnection.open(instance().url);
        connection.send(`PUT /v1/files/kept HTTP/1.1\r\nHost: callfs\r\n${KEY}\r\n${head}\r\n${body}${HIDDEN}`);
        assertRefused(await connection.answer('PUT'), 400, 'BAD_REQUEST', name);
        await waitFor(`the connection to end after ${name}`, () => connection.isClosed);
        assert.equal((await call('GET', owner.url, '/v1/files/kept')).text, 'kept', name);
        assert.equal((await call('GET', owner.url, '/v1/files/smuggled')).status, 200, name);
      }
      const since = both().flatMap(({ log }, index) => log.slice(loggedBefore[index]));
      assert(since.every(({ method }) => method !== 'DELETE'));
      // Those that the parser let pass have a line, at the instance that was asked and at no other.
      const puts = since.filter(({ method }) => method === 'PUT');
      assert(puts.every(({ peer: forwardedBy, status }) => forwardedBy === undefined && status === 400));
      for (const each of both()) assert.equal(stagedFiles(each).length, 0);
    });

    test(`a broken chunk ends the upload at ${where}, and nothing behind it is a request`, async () => {
      for (const [name, body] of BROKEN_BODIES) {
        using connection = await RawConnection.open(instance().url);
        connection.send(`PUT /v1/files/kept HTTP/1.1\r\nHost: callfs\r\n${KEY}\r\nTransfer-Encoding: chunked\r\n\r\n`);
        connection.send(`${body}${HIDDEN}`);
        assertRefused(await connection.answer('PUT'), 400, 'BAD_REQUEST', name);
        await waitFor(`the connection to end after ${name}`, () => connection.isClosed);
        assert.equal((await call('GET', owner.url, '/v1/files/kept')).text, 'kept', name);
        assert.equal((await call('GET', owner.url, '/v1/files/smuggled')).status, 200, name);
      }
      for (const each of both()) await waitFor('nothing to be staged', () => stagedFiles(each).length === 0);
    });

    test(`${where} refuses header fields that are too large with 431`, async () => {
      for (const request of [
        `GET /v1/files/kept HTTP/1.1\r\nHost: callfs\r\n${KEY}\r\nX-Large: ${'x'.repeat(40_000)}\r\n\r\n`,
        `GET /v1/files/${'x'.repeat(40_000)} HTTP/1.1\r\nHost: callfs\r\n${KEY}\r\n\r\n`,
        `GET /v1/files/kept HTTP/1.1\r\nHost: callfs\r\n${'X-Many: x\r\n'.repeat(5000)}\r\n`,
      ]) {
        using connection = await RawConnection.open(instance().url);
        connection.send(request);
        assertRefused(await connection.answer(), 431, 'HEADER_FIELDS_TOO_LARGE', request.slice(0, 40));
        await waitFor('the connection to end', () => connection.isClosed);
      }
    });

    test(`${where} waits for slow header fields only so long, and says 408`, async () => {
      using connection = await RawConnection.open(instance().url);
      const startedAt = performance.now();
      connection.send('GET /v1/files/kept HTTP/1.1\r\nHost: callfs\r\n');
      // It moves all the time, so it is not idle.
      const drip = setInterval(() => connection.send('X-Slow: 1\r\n'), IDLE_MS / 10);
      try {
        assertRefused(await connection.answer(), 408, 'REQUEST_TIMEOUT', 'slow header fields');
      } finally {
        clearInterval(drip);
      }
      assert(performance.now() - startedAt < 3 * IDLE_MS);
      await waitFor('the connection to end', () => connection.isClosed);
    });

    test(`${where} answers what Node.js would answer by itself as everything else`, async () => {
      for (const [request, status] of [
        [`GET /v1/files/kept HTTP/1.1\r\n${KEY}\r\n\r\n${HIDDEN}`, 400],
        [`CONNECT callfs:80 HTTP/1.1\r\nHost: callfs:80\r\n\r\n${HIDDEN}`, 400],
        [`PUT /v1/files/none HTTP/1.1\r\nHost: callfs\r\nContent-Length: 1\r\nExpect: more\r\n\r\nx`, 401],
      ] as const) {
        using connection = await RawConnection.open(instance().url);
        connection.send(request);
        const answer = await connection.answer();
        assert.equal(answer.status, status, answer.text);
        assert.equal(answer.json().request_id, answer.headers['x-request-id']);
        assert.equal(answer.headers['x-content-type-options'], 'nosniff');
      }
      assert.equal((await call('GET', owner.url, '/v1/files/smuggled')).status, 200);
      using old = await RawConnection.open(instance().url);
      old.send(`GET /v1/files/kept HTTP/1.0\r\n${KEY}\r\n\r\n`);
      assert.equal((await old.answer()).text, 'kept');
    });

    test(`${where} answers HEAD without a body, whatever is wrong with it`, async () => {
      for (const [request, status] of [
        ['HEAD /v1/files/\xe9 HTTP/1.1\r\nHost: callfs\r\n\r\n', 400],
        ['HEAD /v1/files/kept HTTP/1.1\r\nHost: callfs\r\nbad field\r\n\r\n', 400],
        // In one packet: of a later one alone nobody can tell the method.
        [`HEAD /v1/files/kept HTTP/1.1\r\nHost: callfs\r\nX-Large: ${'x'.repeat(33_000)}\r\n\r\n`, 431],
        [`HEAD /v1/files/%ff HTTP/1.1\r\nHost: callfs\r\n${KEY}\r\nConnection: close\r\n\r\n`, 400],
        [`HEAD /v1/files/none HTTP/1.1\r\nHost: callfs\r\n${KEY}\r\nConnection: close\r\n\r\n`, 404],
        ['HEAD /v1/files/kept HTTP/1.1\r\nHost: callfs\r\nConnection: close\r\n\r\n', 401],
        ['HEAD /nothing HTTP/1.1\r\nHost: callfs\r\nConnection: close\r\n\r\n', 404],
        ['HEAD /health HTTP/1.1\r\nHost: callfs\r\nConnection: close\r\n\r\n', 200],
      ] as const) {
        using connection = await RawConnection.open(instance().url);
        connection.send(request);
        const answer = await connection.answer('HEAD');
        assert.equal(answer.status, status, request.slice(0, 60));
        assert(Number(answer.headers['content-length']) > 0);
        await waitFor('the connection to end', () => connection.isClosed);
        assert.equal(connection.unread, 0, request.slice(0, 60));
      }
    });
  }
});
