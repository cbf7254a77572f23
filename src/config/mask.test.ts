/** What `config validate` shows. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import * as yaml from 'yaml';
import type { Config } from './config.ts';
import { loadConfig } from './load.ts';
import { MASK, maskSecrets } from './mask.ts';
import { configSchema } from './schema.ts';

const home = mkdtempSync(join(tmpdir(), 'callfs-mask-'));
after(() => rmSync(home, { recursive: true }));

const SECRETS = [
  '4f1c2a9be07d38565a1c',
  '93b7d0e6a1f24c8877aa',
  'c0ffee5511e2d9a4b3b1',
  'b16b00b5deadbeef0001',
] as const;

const dsnOf = (dsn: string): unknown => {
  const printed = maskSecrets(configSchema.parse({ metadata_store: { dsn } })).metadata_store;
  return typeof printed === 'object' && printed !== null && 'dsn' in printed ? printed.dsn : undefined;
};

function example(): Config {
  const [listed, alice, internal, link] = SECRETS;
  return configSchema.parse({
    server: { idle_timeout: '2m', max_upload_size: '1KiB' },
    auth: {
      api_keys: [listed],
      api_key_users: { alice },
      users: { alice: { groups: ['staff'] } },
      internal_proxy_secret: internal,
      single_use_link_secret: link,
    },
    backend: { s3_access_key: 'AKIAEXAMPLE', s3_secret_key: 's3-secret-value' },
    cluster: { connect_timeout: '250ms' },
  });
}

test('every key and secret is masked, and the names of users stay', () => {
  const printed = maskSecrets(example());
  const text = JSON.stringify(printed);
  for (const secret of [...SECRETS, 'AKIAEXAMPLE', 's3-secret-value']) assert.ok(!text.includes(secret), secret);
  assert.deepEqual(printed.auth, {
    api_keys: [MASK],
    api_key_users: { alice: MASK },
    users: { alice: { uid: 1000, gid: 1000, groups: ['staff'], admin: false } },
    internal_proxy_secret: MASK,
    single_use_link_secret: MASK,
  });
});

test('a secret that is not set is shown as empty', () => {
  const text = JSON.stringify(maskSecrets(configSchema.parse({})));
  assert.ok(!text.includes(MASK));
});

test('the password of a connection string is masked in every notation', () => {
  assert.equal(dsnOf('postgres://callfs@db:5432/callfs'), 'postgres://callfs@db:5432/callfs');
  assert.equal(dsnOf('postgres://callfs:pw@db/callfs'), `postgres://callfs:${MASK}@db/callfs`);
  assert.equal(dsnOf('postgres://callfs:p@w/x@db/callfs'), `postgres://callfs:${MASK}@db/callfs`);
  assert.equal(dsnOf('postgres://db/callfs?password=pw&a=b'), `postgres://db/callfs?password=${MASK}&a=b`);
  assert.equal(dsnOf("host=db password='p w' user=a"), `host=db password=${MASK} user=a`);
});

test('durations and sizes are printed so that they read back as the same values', () => {
  const config = example();
  const printed = maskSecrets(config);
  assert.deepEqual(printed.cluster, {
    ...config.cluster,
    connect_timeout: '250ms',
    response_timeout: '30s',
    idle_timeout: '60s',
  });
  const again = configSchema.parse({ ...printed, auth: config.auth });
  assert.deepEqual({ ...again, backend: config.backend }, config);
});

test('what is printed is a file that can be loaded again, apart from the secrets', () => {
  const env = { CALLFS_AUTH__API_KEY_USERS__ALICE: SECRETS[0] };
  const { config } = loadConfig({ cwd: home, env });
  const file = join(home, 'printed.yaml');
  writeFileSync(file, yaml.stringify(maskSecrets(config)));
  assert.deepEqual(loadConfig({ file, cwd: home, env }).config, config);
});
