/** The small parsers: durations, sizes, addresses, URLs, names and secrets. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { parseBaseUrl } from './base-url.ts';
import { formatAge, formatDuration, parseAge, parseDuration } from './duration.ts';
import { InvalidValue } from './invalid-value.ts';
import { parseListenAddress } from './listen-address.ts';
import { parseGroupName, parseInstanceId, parseUserName } from './names.ts';
import { parseApiKey, parseSecret } from './secret.ts';
import { parseSize } from './size.ts';

function refuses<T>(parse: (value: T) => unknown, values: readonly T[]): void {
  for (const value of values) assert.throws(() => parse(value), InvalidValue, `${String(value)} should be refused`);
}

test('a duration is resolved to milliseconds, and a number without a unit is in seconds', () => {
  assert.equal(parseDuration('500ms'), 500);
  assert.equal(parseDuration('60s'), 60_000);
  assert.equal(parseDuration('2m'), 120_000);
  assert.equal(parseDuration('1h'), 3_600_000);
  assert.equal(parseDuration('1.5s'), 1_500);
  assert.equal(parseDuration(30), 30_000);
  assert.equal(parseDuration(0.25), 250);
  assert.equal(parseDuration('30'), 30_000);
});

test('a duration that is no duration, is zero or is too long for a timer is refused', () => {
  refuses(parseDuration, ['', '1d', '-1s', '1m30s', ' 5s', 's', 0, -1, Number.NaN, '0ms', '597h', true, null, [5], {}]);
});

test('an age may be of days and weeks, longer than a timer waits, and zero', () => {
  assert.equal(parseAge('30d'), 2_592_000_000);
  assert.equal(parseAge('2w'), 1_209_600_000);
  assert.equal(parseAge('1.5d'), 129_600_000);
  assert.equal(parseAge('12h'), 43_200_000);
  assert.equal(parseAge(90), 90_000);
  assert.equal(parseAge('0s'), 0);
  refuses(parseAge, ['', '1y', '-1d', '1d12h', 'd', -1, Number.NaN, '1e9d', `${'9'.repeat(20)}d`, null, [5], {}]);
  assert.deepEqual([30 * 86_400_000, 43_200_000, 90_000, 1500, 0].map(formatAge), [
    '30d',
    '12h',
    '90s',
    '1500ms',
    '0s',
  ]);
});

test('every age that is printed reads back as itself', () =>
  fc.assert(fc.property(fc.nat(2 ** 45), (ageMs) => assert.equal(parseAge(formatAge(ageMs)), ageMs))));

test('every duration that is printed reads back as itself', () =>
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2_147_483_647 }), (durationMs) => {
      assert.equal(parseDuration(formatDuration(durationMs)), durationMs);
    }),
  ));

test('a size is resolved to bytes, with decimal and binary units', () => {
  assert.equal(parseSize(0), 0);
  assert.equal(parseSize(1234), 1234);
  assert.equal(parseSize('1234'), 1234);
  assert.equal(parseSize('10MB'), 10_000_000);
  assert.equal(parseSize('10MiB'), 10_485_760);
  assert.equal(parseSize('1 GiB'), 1_073_741_824);
  assert.equal(parseSize('1.5kib'), 1536);
});

test('a size that is no whole number of bytes is refused', () => {
  refuses(parseSize, ['', 'MB', '10M', '-1', -1, 1.5, '0.3B', '9999999TiB', true, null, []]);
});

test('a listen address is split into host and port', () => {
  assert.deepEqual(parseListenAddress(':8443'), { host: undefined, port: 8443 });
  assert.deepEqual(parseListenAddress('127.0.0.1:0'), { host: '127.0.0.1', port: 0 });
  assert.deepEqual(parseListenAddress('files.local:65535'), { host: 'files.local', port: 65535 });
  assert.deepEqual(parseListenAddress('[::1]:8443'), { host: '::1', port: 8443 });
});

test('a listen address without a port, with a bad port or with a bare IPv6 host is refused', () => {
  refuses(parseListenAddress, [
    '',
    '8443',
    'localhost',
    'localhost:',
    ':65536',
    ':-1',
    ':http',
    '::1:8443',
    '[x]:1',
    '[]:1',
  ]);
  refuses(parseListenAddress, ['http://localhost:8443', 'a b:1', ':8443 ', '127.0.0.1:8443/']);
});

test('a base URL loses its trailing slash and keeps its path', () => {
  assert.equal(parseBaseUrl('https://server2:8443'), 'https://server2:8443');
  assert.equal(parseBaseUrl('https://server2:8443/'), 'https://server2:8443');
  assert.equal(parseBaseUrl('http://Proxy.local/callfs//'), 'http://proxy.local/callfs');
  assert.equal(parseBaseUrl('http://[::1]:8443'), 'http://[::1]:8443');
});

test('a base URL with another scheme, a query, a fragment or a password is refused', () => {
  refuses(parseBaseUrl, [
    '',
    'server2:8443',
    'ftp://server2',
    'https://',
    'https://a/?',
    'https://a?b=c',
    'https://a/#',
  ]);
  refuses(parseBaseUrl, ['https://alice@server2', 'https://alice:pw@server2']);
});

test('user names are plain, and the names that CallFS gives out are reserved', () => {
  for (const name of ['alice', 'Bob_2', '_svc', '9lives', 'mary.ann@example.org', 'a'.repeat(64), 'rooted', 'callfs']) {
    assert.equal(parseUserName(name), name);
  }
  refuses(parseUserName, [
    '',
    '-a',
    '.a',
    'a b',
    'a/b',
    'é',
    'a'.repeat(65),
    'a\n',
    'root',
    'Root',
    'api-user-1',
    'callfs-x',
  ]);
  assert.equal(parseGroupName('root'), 'root');
});

test('an instance id has up to 64 letters, digits, dots, underscores and hyphens', () => {
  for (const id of ['callfs-instance-1', 'A.b_c', '1', 'x'.repeat(64)]) assert.equal(parseInstanceId(id), id);
  refuses(parseInstanceId, ['', 'a b', 'a/b', 'é', 'x'.repeat(65), 'a\n', 'a:1']);
});

test('a secret needs 16 characters and must not be a placeholder', () => {
  assert.equal(parseSecret('0123456789abcdef'), '0123456789abcdef');
  refuses(parseSecret, ['', '0123456789abcde']);
  for (const placeholder of [
    'change-me-in-production',
    'CHANGEME-1234567890',
    'please_change_me_0123',
    'this-is-a-placeholder',
    'your-api-key-0123456789',
    'put-your-secret-0123456789',
    'example-key-0123456789',
    'internal-secret-here',
    'xxxxxxxxxxxxxxxxxxxx',
    'key-xxxx-0123456789',
    '<insert the key of alice>',
    '${'.concat('INTERNAL_SECRET}-0123'),
    '$(openssl rand -hex 24)',
  ]) {
    assert.throws(() => parseSecret(placeholder), /placeholder/, placeholder);
  }
});

test('random keys are never taken for placeholders', () => {
  for (let round = 0; round < 2_000; round += 1) {
    for (const encoding of ['hex', 'base64', 'base64url'] as const) parseApiKey(randomBytes(24).toString(encoding));
  }
});

test('an API key consists of what fits into an Authorization header', () => {
  assert.equal(parseApiKey('abc.DEF_123~+/-45=='), 'abc.DEF_123~+/-45==');
  refuses(parseApiKey, [
    '0123456789 abcdef',
    '0123456789abcdé0',
    '0123456789abcdef\n',
    '0123456789"abcdef',
    '01234567=9abcdef',
  ]);
});
