/** Header fields: what it promises. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { endToEndAnswerFields, endToEndRequestFields } from './header-fields.ts';

/** What a request never takes to the next hop. */
const DROPPED = new Set([
  ...['connection', 'keep-alive', 'te', 'trailer', 'upgrade', 'transfer-encoding', 'host', 'expect', 'content-length'],
  ...['x-callfs-peer', 'x-callfs-peer-refused', 'proxy-authorization'],
]);

test('end-to-end fields go on, also the authorization and conditions', () => {
  const fields = {
    authorization: 'Bearer x',
    'if-match': '"a"',
    range: 'bytes=0-1',
    'content-type': 'text/plain',
    'x-callfs-mode': '0640',
    cookie: 'a=b',
  };
  assert.deepEqual(endToEndRequestFields(fields), fields);
});

test('fields of one hop stay behind, also those that Connection names', () => {
  const fields = {
    connection: 'keep-alive, X-Private',
    'keep-alive': 'timeout=5',
    'x-private': 'for this hop',
    te: 'trailers',
    trailer: 'x',
    'transfer-encoding': 'chunked',
    upgrade: 'h2c',
    'proxy-authorization': 'Basic x',
    'proxy-connection': 'close',
    host: 'example',
    expect: '100-continue',
    'content-length': '7',
    'x-public': 'for all',
  };
  assert.deepEqual(endToEndRequestFields(fields), { 'x-public': 'for all' });
});

test('a client cannot speak as a peer', () => {
  assert.deepEqual(endToEndRequestFields({ 'x-callfs-peer': 'from=x', 'x-callfs-peer-refused': 'y' }), {});
});

test('an answer keeps its length', () => {
  const fields = { 'content-length': '7', etag: '"a"', connection: 'close', 'transfer-encoding': 'chunked' };
  assert.deepEqual(endToEndAnswerFields(fields), { 'content-length': '7', etag: '"a"' });
});

test('whatever Connection names, in any case and spacing, never goes on', () => {
  const name = fc.stringMatching(/^x-[a-z]{1,8}$/);
  fc.assert(
    fc.property(
      fc.array(name, { minLength: 1, maxLength: 5 }),
      fc.constantFrom(',', ', ', ' ,\t'),
      (names, separator) => {
        const connection = names.map((text, index) => (index % 2 ? text.toUpperCase() : text)).join(separator);
        const fields = Object.fromEntries([['connection', connection], ...names.map((text) => [text, '1'])]);
        assert.deepEqual(endToEndRequestFields(fields), {});
      },
    ),
    { numRuns: 10_000 },
  );
});

test('whatever fields there are, each goes on as it is or stays behind, by its name alone', () => {
  const hop = fc.constantFrom(
    'connection',
    'keep-alive',
    'te',
    'trailer',
    'upgrade',
    'transfer-encoding',
    'host',
    'expect',
  );
  const secret = fc.constantFrom('x-callfs-peer', 'x-callfs-peer-refused', 'proxy-authorization', 'content-length');
  const endToEnd = fc.oneof(
    fc.constantFrom('authorization', 'range', 'if-match', 'content-type', 'content-digest', 'want-repr-digest'),
    fc.stringMatching(/^y-[!#$%&'*+.^_`|~0-9a-z-]{1,12}$/),
    // Not __proto__: Node.js leaves it out of what it gives.
    fc.constantFrom('constructor', 'tostring', 'hasownproperty'),
  );
  const value = fc.oneof(fc.string(), fc.array(fc.string(), { maxLength: 3 }), fc.constant(undefined));
  const named = fc.array(endToEnd, { maxLength: 3 });
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.oneof(hop, secret, endToEnd), value)), named, (fields, forThisHop) => {
      const headers = Object.fromEntries([...fields, ['connection', ['close', ...forThisHop].join(', ')]]);
      const kept = endToEndRequestFields(headers);
      for (const [name, given] of Object.entries(headers)) {
        const stays = DROPPED.has(name) || forThisHop.includes(name) || given === undefined;
        assert.equal(Object.hasOwn(kept, name), !stays, name);
        if (!stays) assert.equal(kept[name], given);
      }
      assert(Object.keys(kept).every((name) => Object.hasOwn(headers, name)));
    }),
    { numRuns: 10_000 },
  );
});
