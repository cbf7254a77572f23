/** What a whole configuration may say: defaults, unknown keys, types and the rules between keys. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findContradictions } from './checks.ts';
import type { Config } from './config.ts';
import { ConfigError, displayPath } from './config-error.ts';
import { knownKeys } from './known-keys.ts';
import { parseConfig } from './parse-config.ts';
import { configSchema } from './schema.ts';
import { type Tree, withValue } from './tree.ts';
import { findUnsupported, unsupportedSettings } from './unsupported.ts';

const ALICE_KEY = '4f1c2a9be07d38565a1c';
const BOB_KEY = '93b7d0e6a1f24c8877aa';
const SECRET = 'c0ffee5511e2d9a4b3b1';

function withKey(tree: Tree = {}): Tree {
  const auth = typeof tree.auth === 'object' ? tree.auth : {};
  return { ...tree, auth: { api_key_users: { alice: ALICE_KEY }, ...auth } };
}

function accept(tree: Tree): Config {
  const { config, problems } = parseConfig(withKey(tree));
  assert.ok(config, JSON.stringify(problems));
  return config;
}

/** `key: message` of every problem. */
function refuse(tree: Tree): readonly string[] {
  const { problems } = parseConfig(tree);
  assert.ok(problems, 'should be refused');
  return problems.map(({ path, message }) => `${displayPath(path)}: ${message}`);
}

/** Without the refusal of what this version lacks. */
function contradictionsOf(tree: Tree): readonly string[] {
  return findContradictions(configSchema.parse(withKey(tree))).map(
    ({ path, message }) => `${displayPath(path)}: ${message}`,
  );
}

test('with only an API key everything has its default, in milliseconds and bytes', () => {
  const config = accept({});
  assert.deepEqual(config.server, {
    listen_addr: ':8443',
    protocol: 'auto',
    external_url: '',
    cert_file: '',
    key_file: '',
    workers: 1,
    max_upload_size: 0,
    idle_timeout: 60_000,
    cors_origins: [],
    durability: 'full',
  });
  assert.deepEqual(config.cluster, {
    connect_timeout: 2_000,
    response_timeout: 30_000,
    idle_timeout: 60_000,
    max_connections_per_peer: 64,
    ca_file: '',
    cert_file: '',
    key_file: '',
  });
  assert.deepEqual(config.handlers, { enable_cross_server_support: null });
  assert.deepEqual(config.instance_discovery, { instance_id: 'callfs-instance-1', peer_endpoints: {} });
  assert.deepEqual(config.metadata_store, { type: 'sqlite', sqlite_path: './callfs.sqlite3', dsn: '' });
  assert.deepEqual(config.metrics, { listen_addr: '' });
  assert.deepEqual(config.log, { level: 'info', format: 'json' });
  assert.equal(config.backend.localfs_root_path, './data');
  assert.equal(config.backend.s3_region, 'us-east-1');
});

test('every key has a description, and every section too', () => {
  for (const key of knownKeys) {
    if (key.path.at(-1) !== '*') assert.ok(key.description.length > 10, key.path.join('.'));
  }
});

test('the defaults alone lack an API key, and the message says how to set one', () => {
  const [message, ...others] = refuse({});
  assert.deepEqual(others, []);
  assert.match(message ?? '', /^auth\.api_key_users: an API key is needed; set CALLFS_AUTH__API_KEY_USERS__ALICE/);
});

test('a key of the list is as good as a key of a user', () => {
  assert.ok(parseConfig({ auth: { api_keys: [ALICE_KEY] } }).config);
});

test('a user may be described before there is a key, with defaults for what is not said', () => {
  const { auth } = accept({ auth: { users: { bob: { groups: ['staff'] }, carol: null } } });
  assert.deepEqual(auth.users.bob, { uid: 1000, gid: 1000, groups: ['staff'], admin: false });
  assert.deepEqual(auth.users.carol, { uid: 1000, gid: 1000, groups: [], admin: false });
});

test('a section or key without a value counts as not written', () => {
  const config = accept({ server: null, handlers: { enable_cross_server_support: null }, log: { level: null } });
  assert.equal(config.server.listen_addr, ':8443');
  assert.equal(config.log.level, 'info');
});

test('an unknown key is refused at every depth with the nearest known key', () => {
  const unknown: readonly (readonly [Tree, string])[] = [
    [{ sever: {} }, 'sever: unknown key; did you mean server?'],
    [{ server: { listen_adr: ':1' } }, 'server.listen_adr: unknown key; did you mean server.listen_addr?'],
    [{ listen_addr: ':1' }, 'listen_addr: unknown key; did you mean server.listen_addr?'],
    [{ server: { instance_id: 'a' } }, 'server.instance_id: unknown key; did you mean instance_discovery.instance_id?'],
    [
      { auth: { users: { bob: { gruops: [] } } } },
      'auth.users.bob.gruops: unknown key; did you mean auth.users.bob.groups?',
    ],
  ];
  for (const [tree, message] of unknown) assert.deepEqual(refuse(withKey(tree)), [message]);
  assert.match(
    refuse(withKey({ server: { colour: 'red' } })).join(),
    /^server\.colour: unknown key; the nearest known key is /,
  );
});

test('names that every JavaScript object has are unknown keys like any other', () => {
  for (const name of ['__proto__', 'constructor', 'toString']) {
    const tree = Object.fromEntries([[name, {}]]);
    assert.match(refuse(withKey(tree)).join(), new RegExp(`^${name}: unknown key`));
  }
});

test('a value of the wrong type is refused with what it must be', () => {
  const wrong: readonly (readonly [readonly string[], unknown, RegExp])[] = [
    [['server'], 'x', /^server: must be a map/],
    [['server'], [], /^server: must be a map/],
    [['server', 'workers'], '2', /^server\.workers: must be a whole number from 1 to 1024$/],
    [['server', 'workers'], 0, /whole number/],
    [['server', 'workers'], 1.5, /whole number/],
    [['server', 'protocol'], 'htps', /must be one of auto, http, https$/],
    [['server', 'durability'], true, /must be one of full, relaxed$/],
    [['server', 'idle_timeout'], 'soon', /must be a duration/],
    [['server', 'max_upload_size'], 'much', /must be a size/],
    [['server', 'listen_addr'], 8443, /must be text; put it in quotes/],
    [['server', 'listen_addr'], '', /must be an address/],
    [['server', 'external_url'], 'files.local', /must be a URL/],
    [['auth', 'api_keys'], ALICE_KEY, /^auth\.api_keys: must be a list$/],
    [['auth', 'api_keys'], [1e20], /^auth\.api_keys\.0: must be text; put it in quotes/],
    [['auth', 'api_key_users'], [ALICE_KEY], /^auth\.api_key_users: must be a map/],
    [['auth', 'api_key_users'], { alice: null }, /^auth\.api_key_users\.alice: must be text/],
    [['auth', 'users'], { bob: 7 }, /^auth\.users\.bob: must be a map/],
    [['auth', 'users'], { bob: { uid: -1 } }, /^auth\.users\.bob\.uid: must be a whole number/],
    [['auth', 'users'], { bob: { admin: 'yes' } }, /^auth\.users\.bob\.admin: must be true or false/],
    [['auth', 'users'], { bob: { groups: 'staff' } }, /^auth\.users\.bob\.groups: must be a list/],
    [['auth', 'users'], { bob: { groups: ['a b'] } }, /^auth\.users\.bob\.groups\.0: must be a name/],
    [['handlers', 'enable_cross_server_support'], 'true', /must be true or false/],
    [['instance_discovery', 'instance_id'], '', /must be an instance id/],
    [['instance_discovery', 'peer_endpoints'], { 'a b': 'https://b' }, /must be an instance id/],
    [['instance_discovery', 'peer_endpoints'], { b: 'https://b?x' }, /^instance_discovery\.peer_endpoints\.b: .*query/],
    [['backend', 'default_backend'], 'ftp', /must be one of localfs, s3$/],
    [['metadata_store', 'type'], 'redis', /must be one of sqlite, postgres$/],
    [['metrics', 'listen_addr'], '9090', /must be an address/],
    [['log', 'format'], 'text', /^log\.format: must be json$/],
  ];
  for (const [path, value, message] of wrong) {
    const problems = refuse(withValue(withKey(), path, value));
    assert.equal(problems.length, 1, problems.join('\n'));
    assert.match(problems.join(), message);
  }
});

test('user names that are reserved or malformed are refused for keys and for users', () => {
  for (const map of ['api_key_users', 'users']) {
    for (const name of ['root', 'api-user-1', 'callfs-instance-1']) {
      const value = map === 'users' ? {} : BOB_KEY;
      assert.match(refuse(withValue(withKey(), ['auth', map, name], value)).join(), /is a reserved name/);
    }
    const value = map === 'users' ? {} : BOB_KEY;
    assert.match(refuse(withValue(withKey(), ['auth', map, 'a b'], value)).join(), /must be a name of 1 to 64/);
  }
});

test('all keys and secrets must differ, and the internal secret must not be an API key', () => {
  assert.deepEqual(refuse({ auth: { api_keys: [ALICE_KEY, ALICE_KEY] } }), [
    'auth.api_keys.1: is the same as auth.api_keys.0; all keys and secrets must differ',
  ]);
  assert.deepEqual(refuse({ auth: { api_keys: [ALICE_KEY], api_key_users: { bob: ALICE_KEY } } }), [
    'auth.api_key_users.bob: is the same as auth.api_keys.0; all keys and secrets must differ',
  ]);
  assert.deepEqual(refuse({ auth: { api_key_users: { bob: BOB_KEY }, internal_proxy_secret: BOB_KEY } }), [
    'auth.internal_proxy_secret: is the same as auth.api_key_users.bob; it must not be an API key',
  ]);
  assert.deepEqual(refuse(withKey({ auth: { internal_proxy_secret: SECRET, single_use_link_secret: SECRET } })), [
    'auth.single_use_link_secret: is the same as auth.internal_proxy_secret; all keys and secrets must differ',
  ]);
});

test('peers, and forwarding that is switched on, need the internal secret', () => {
  const peers = { instance_discovery: { peer_endpoints: { 'callfs-instance-2': 'https://server2:8443/' } } };
  assert.match(refuse(withKey(peers)).join(), /^auth\.internal_proxy_secret: is needed because .*peer_endpoints/);
  const switchedOn = { handlers: { enable_cross_server_support: true } };
  assert.match(refuse(withKey(switchedOn)).join(), /^auth\.internal_proxy_secret: is needed because handlers/);

  const config = accept({ ...peers, ...switchedOn, auth: { internal_proxy_secret: SECRET } });
  assert.deepEqual(config.instance_discovery.peer_endpoints, { 'callfs-instance-2': 'https://server2:8443' });
});

test('an instance may list itself among the peers, and alone it needs no secret', () => {
  const self = { instance_id: 'a', peer_endpoints: { a: 'https://server1:8443' } };
  assert.deepEqual(accept({ instance_discovery: self }).instance_discovery, self);
});

test('half a certificate is refused, and https needs a whole one', () => {
  assert.deepEqual(contradictionsOf({ server: { cert_file: 'a.crt' } }), [
    'server.key_file: is needed because server.cert_file is set',
  ]);
  assert.deepEqual(contradictionsOf({ cluster: { key_file: 'a.key' } }), [
    'cluster.cert_file: is needed because cluster.key_file is set',
  ]);
  assert.deepEqual(contradictionsOf({ server: { protocol: 'https' } }), [
    'server.protocol: https needs server.cert_file and server.key_file',
  ]);
  for (const protocol of ['auto', 'https']) {
    assert.deepEqual(contradictionsOf({ server: { protocol, cert_file: 'a.crt', key_file: 'a.key' } }), []);
  }
});

test('the chosen backend and store need the values that they cannot work without', () => {
  assert.deepEqual(contradictionsOf({ backend: { localfs_root_path: '' }, metadata_store: { sqlite_path: '' } }), [
    'backend.localfs_root_path: is needed because files are kept there',
    'metadata_store.sqlite_path: is needed because metadata_store.type is sqlite',
  ]);
  assert.deepEqual(contradictionsOf({ backend: { default_backend: 's3' }, metadata_store: { type: 'postgres' } }), [
    'metadata_store.dsn: is needed because metadata_store.type is postgres',
    'backend.s3_bucket_name: is needed because backend.default_backend is s3',
  ]);
});

test('the settings of a bucket must fit together', () => {
  const bucket = { s3_bucket_name: 'files', s3_endpoint: 'https://s3.local:9000/', s3_prefix: '/team/files' };
  assert.deepEqual(contradictionsOf({ backend: { default_backend: 's3', ...bucket } }), []);
  assert.deepEqual(contradictionsOf({ backend: { default_backend: 's3', ...bucket, localfs_root_path: '' } }), [
    "backend.localfs_root_path: is needed because uploads in pieces and the instance's own data are kept there",
  ]);
  assert.deepEqual(contradictionsOf({ backend: { s3_endpoint: 'https://s3.local' } }), [
    'backend.s3_bucket_name: is needed because backend.s3_endpoint is set',
  ]);
  assert.deepEqual(contradictionsOf({ backend: { ...bucket, s3_access_key: 'AKIAEXAMPLE' } }), [
    'backend.s3_secret_key: is needed because backend.s3_access_key is set',
  ]);
  assert.deepEqual(contradictionsOf({ backend: { ...bucket, s3_secret_key: 'secret-of-nobody' } }), [
    'backend.s3_access_key: is needed because backend.s3_secret_key is set',
  ]);
  const keys = { s3_access_key: 'AKIAEXAMPLE', s3_secret_key: 'secret-of-nobody' };
  assert.deepEqual(contradictionsOf({ backend: { ...bucket, ...keys } }), []);
  const kms = { s3_kms_key_id: 'key-7' };
  for (const s3_server_side_encryption of ['', 'AES256']) {
    assert.deepEqual(contradictionsOf({ backend: { ...bucket, ...kms, s3_server_side_encryption } }), [
      'backend.s3_kms_key_id: means something only with backend.s3_server_side_encryption aws:kms',
    ]);
  }
  assert.deepEqual(contradictionsOf({ backend: { ...bucket, ...kms, s3_server_side_encryption: 'aws:kms' } }), []);
});

test('a bucket, its prefix and its encryption are read strictly, and the prefix ends with a slash', () => {
  const prefixOf = (s3_prefix: string) => configSchema.parse({ backend: { s3_prefix } }).backend.s3_prefix;
  const told = { '': '', '/': '', team: 'team/', '/team/files/': 'team/files/', 'a b/.c': 'a b/.c/' };
  for (const [given, prefix] of Object.entries(told)) assert.equal(prefixOf(given), prefix, given);
  for (const s3_prefix of ['a//b', '.', 'a/../b', './a', 'a\u0000', 'x'.repeat(256)]) {
    assert.match(refuse(withKey({ backend: { s3_prefix } })).join(), /^backend\.s3_prefix: must /, s3_prefix);
  }
  for (const s3_bucket_name of ['a/b', 'a b']) {
    assert.match(refuse(withKey({ backend: { s3_bucket_name } })).join(), /^backend\.s3_bucket_name: must be the name/);
  }
  assert.match(
    refuse(withKey({ backend: { s3_server_side_encryption: 'aes256' } })).join(),
    /^backend\.s3_server_side_encryption: must be empty or one of AES256, aws:kms/,
  );
});

test('the address for metrics must not be the main one, unless the system chooses the ports', () => {
  const both = (main: string, second: string) => ({ server: { listen_addr: main }, metrics: { listen_addr: second } });
  assert.deepEqual(contradictionsOf(both(':9090', ':9090')), [
    'metrics.listen_addr: must differ from server.listen_addr',
  ]);
  for (const [main, second] of [
    [':8443', ':9090'],
    ['127.0.0.1:0', '127.0.0.1:0'],
  ] as const) {
    assert.deepEqual(contradictionsOf(both(main, second)), []);
  }
});

test('what this version lacks is refused by name and never ignored', () => {
  const used: readonly (readonly [readonly string[], unknown])[] = [
    [['backend', 'default_backend'], 's3'],
    [['backend', 's3_endpoint'], 'https://s3.local'],
    [['backend', 's3_bucket_name'], 'files'],
    [['server', 'workers'], 2],
  ];
  for (const { path } of unsupportedSettings) {
    const [, value] = used.find(([candidate]) => candidate.join('.') === path.join('.')) ?? [];
    assert.notEqual(value, undefined, `no test for ${path.join('.')}`);
    const tree = withValue(withKey(), path, value);
    assert.deepEqual(
      findUnsupported(configSchema.parse(tree)).map((problem) => problem.path),
      [path],
    );
    assert.match(refuse(tree).join('\n'), new RegExp(`^${path.join('\\.')}: .*not supported in this version`, 'm'));
  }
});

test('an error lists three problems on one line and counts the others', () => {
  const problems = ['a', 'b', 'c', 'd', 'e'].map((name) => ({
    origin: 'f.yaml',
    path: ['log', name],
    message: `bad\r\n\t${name}`,
  }));
  assert.equal(new ConfigError(problems.slice(0, 2)).message, 'f.yaml: log.a: bad a; log.b: bad b');
  assert.equal(
    new ConfigError(problems).message,
    'f.yaml: log.a: bad a; log.b: bad b; log.c: bad c; and 2 more problems',
  );
});

test('a map of keys that was turned around does not show the key', () => {
  const turned = refuse({ auth: { api_key_users: { [ALICE_KEY]: 'alice' } } }).join('\n');
  assert.match(turned, /^auth\.api_key_users\.4f1c…: must have at least 16 characters/);
});
