/** The documentation of the configuration and the code must not drift apart. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { documentConfiguration } from '../src/config/document.ts';
import { knownKeys } from '../src/config/known-keys.ts';
import { loadConfig } from '../src/config/load.ts';

const inProject = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));

const REFERENCE = 'docs/configuration.md';
const EXAMPLE = 'callfs.example.yaml';

const KEY = '4f1c2a9be07d38565a1c';

test('the reference is what the schema says', () => {
  assert.ok(
    readFileSync(inProject(REFERENCE), 'utf8') === documentConfiguration(),
    `${REFERENCE} is out of date; write it anew with: node src/config/document.ts > ${REFERENCE}`,
  );
});

test('the example loads when the environment supplies the keys', () => {
  const env = {
    CALLFS_AUTH__API_KEY_USERS__ALICE: KEY,
    CALLFS_AUTH__INTERNAL_PROXY_SECRET: '93b7d0e6a1f24c8877aa',
    CALLFS_AUTH__SINGLE_USE_LINK_SECRET: 'c0ffee5511e2d9a4b3b1',
  };
  const { config } = loadConfig({ file: EXAMPLE, cwd: inProject('.'), env });
  assert.deepEqual(config.auth.users, { alice: { uid: 1001, gid: 1001, groups: ['staff'], admin: false } });
});

test('the values of the example are the defaults, apart from its user', () => {
  const env = { CALLFS_AUTH__API_KEY_USERS__ALICE: KEY };
  const example = loadConfig({ file: EXAMPLE, cwd: inProject('.'), env }).config;
  const defaults = loadConfig({ cwd: inProject('test'), env }).config;
  const atHome = (path: string): string => path.replace(inProject('test/'), inProject(''));
  assert.deepEqual(example, {
    ...defaults,
    auth: { ...defaults.auth, users: example.auth.users },
    backend: { ...defaults.backend, localfs_root_path: atHome(defaults.backend.localfs_root_path) },
    metadata_store: { ...defaults.metadata_store, sqlite_path: atHome(defaults.metadata_store.sqlite_path) },
  });
});

test('the example names every key', () => {
  const text = readFileSync(inProject(EXAMPLE), 'utf8');
  for (const { path } of knownKeys) {
    const name = path.at(-1) ?? '';
    if (name !== '*')
      assert.match(text, new RegExp(`^[ #-]*${name}:`, 'm'), `${path.join('.')} is missing in ${EXAMPLE}`);
  }
});
