/** Header fields: what it promises. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { endToEndAnswerFields, endToEndRequestFields } from './header-fields.ts';

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
  );
});
