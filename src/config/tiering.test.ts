/** The rules of tiering: in a file, in the environment, checked, and printed. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parse } from 'yaml';
import { findContradictions } from './checks.ts';
import { displayPath } from './config-error.ts';
import { loadConfig } from './load.ts';
import { maskSecrets } from './mask.ts';
import { parseConfig } from './parse-config.ts';
import { configSchema } from './schema.ts';

const KEY = { CALLFS_AUTH__API_KEY_USERS__ALICE: '4f1c2a9be07d38565a1c' };
const DAY_MS = 86_400_000;
const RULE = { older_than: 0, larger_than: null, to: 'localfs' };

const folder = mkdtempSync(join(tmpdir(), 'callfs-config-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function load(yaml: string, env: Readonly<Record<string, string>> = {}) {
  const file = join(folder, 'config.yaml');
  writeFileSync(file, yaml);
  return loadConfig({ file, env: { ...KEY, ...env } }).config;
}

test('rules are a list, each with defaults for what is not said, and an hour between two rounds', () => {
  const config = load(`
tiering:
  - {match: "/logs/**", older_than: 30d, to: localfs}
  - match: "/hot/{a,b}"
    larger_than: 1MiB
    older_than:
    to: localfs
`);
  assert.deepEqual(config.tiering, [
    { ...RULE, match: '/logs/**', older_than: 30 * DAY_MS },
    { ...RULE, match: '/hot/{a,b}', larger_than: 1_048_576 },
  ]);
  assert.deepEqual(config.tiering_rounds, { every: 3_600_000, rate: 0, parallel: 2 });
  assert.deepEqual(load('tiering:').tiering, []);
});

test('a variable replaces the whole list', () => {
  const file = 'tiering: [{match: "/a", to: localfs}]';
  const env = { CALLFS_TIERING: '[{"match": "/b/**", "to": "localfs"}]', CALLFS_TIERING_ROUNDS__EVERY: '10m' };
  assert.deepEqual(load(file, env).tiering, [{ ...RULE, match: '/b/**' }]);
  assert.equal(load(file, env).tiering_rounds.every, 600_000);
  assert.deepEqual(load(file, { CALLFS_TIERING: '[]' }).tiering, []);
  assert.throws(() => load(file, { CALLFS_TIERING: '/a' }), /CALLFS_TIERING: tiering: must be a list$/);
  assert.throws(
    () => load(file, { CALLFS_TIERING__0__MATCH: '/b' }),
    /CALLFS_TIERING__0__MATCH: tiering\.0\.match: is set with the whole list, as JSON in CALLFS_TIERING$/,
  );
});

test('what is wrong with a rule is told with its place', () => {
  const refusals: readonly (readonly [object, RegExp])[] = [
    [{ to: 'localfs' }, /^tiering\.0\.match: must be text$/],
    [{ match: 'logs/**', to: 'localfs' }, /^tiering\.0\.match: must begin with \//],
    [{ match: '/a' }, /^tiering\.0\.to: must be one of localfs, s3$/],
    [{ match: '/a', to: 'tape' }, /^tiering\.0\.to: must be one of localfs, s3$/],
    [{ match: '/a', to: 'localfs', older_than: '1y' }, /^tiering\.0\.older_than: must be an age such as 30d/],
    [
      { match: '/a', to: 'localfs', older_then: '1d' },
      /^tiering\.0\.older_then: unknown key; did you mean tiering\.0\.older_than/,
    ],
    [['/a'], /^tiering\.0: must be a map/],
  ];
  for (const [rule, reason] of refusals) {
    const { problems = [] } = parseConfig({
      auth: { api_keys: [KEY.CALLFS_AUTH__API_KEY_USERS__ALICE] },
      tiering: [rule],
    });
    assert.match(problems.map(({ path, message }) => `${displayPath(path)}: ${message}`).join('; '), reason);
  }
});

test('a rule for a bucket needs the bucket', () => {
  const problemsWith = (bucket: string) =>
    findContradictions(
      configSchema.parse({
        backend: { s3_bucket_name: bucket },
        tiering: [
          { match: '/a', to: 'localfs' },
          { match: '/b', to: 's3' },
        ],
      }),
    ).filter(({ path }) => path[0] === 'tiering');
  assert.deepEqual(problemsWith(''), [{ path: ['tiering', '1', 'to'], message: 's3 needs backend.s3_bucket_name' }]);
  assert.deepEqual(problemsWith('files'), []);
});

test('what is printed of the rules reads back as them', () => {
  const config = load('tiering: [{match: "/logs/**", older_than: 36h, larger_than: 1kB, to: localfs}]');
  const printed = maskSecrets(config);
  assert.deepEqual(printed.tiering, [{ match: '/logs/**', older_than: '36h', larger_than: 1000, to: 'localfs' }]);
  assert.deepEqual(load(JSON.stringify({ tiering: parse(JSON.stringify(printed.tiering)) })).tiering, config.tiering);
});
