/** From files and the environment to a configuration: precedence, names of variables, paths, and one-line errors. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import * as fc from 'fast-check';
import { ConfigError } from './config-error.ts';
import type { Environment } from './environment.ts';
import { knownKeys } from './known-keys.ts';
import { type LoadedConfig, loadConfig } from './load.ts';

const KEY = '4f1c2a9be07d38565a1c';
const OTHER_KEY = '93b7d0e6a1f24c8877aa';
const SECRET = 'c0ffee5511e2d9a4b3b1';
const keyed: Environment = { CALLFS_AUTH__API_KEY_USERS__ALICE: KEY };

const home = mkdtempSync(join(tmpdir(), 'callfs-config-'));
after(() => rmSync(home, { recursive: true }));

/** A new folder with these files in it. */
function folder(files: Readonly<Record<string, string>>): string {
  const made = mkdtempSync(join(home, 'case-'));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(made, name)), { recursive: true });
    writeFileSync(join(made, name), text);
  }
  return made;
}

const load = (yaml: string, env: Environment = keyed): LoadedConfig =>
  loadConfig({ cwd: folder({ 'config.yaml': yaml }), env });

/** The message of the error, after the checks that hold for all of them. */
function failure(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    assert.doesNotMatch(error.message, /[\r\n\u2028\u2029]/);
    for (const secret of [KEY, OTHER_KEY, SECRET]) assert.ok(!error.message.includes(secret), error.message);
    return error.message;
  }
  assert.fail('should be refused');
}

test('without a file and without variables the one line says that an API key is needed and how to set it', () => {
  const message = failure(() => loadConfig({ cwd: folder({}), env: {} }));
  assert.match(
    message,
    /^configuration: auth\.api_key_users: an API key is needed; set CALLFS_AUTH__API_KEY_USERS__ALICE /,
  );
  assert.doesNotMatch(message, /more problem/);
});

test('the environment alone is enough', () => {
  const { config, source } = loadConfig({ cwd: folder({}), env: keyed });
  assert.equal(source, undefined);
  assert.deepEqual(config.auth.api_key_users, { alice: KEY });
});

test('the default file is config.yaml, then config.yml, then config.json', () => {
  const all = {
    'config.yaml': 'log: {level: warn}',
    'config.yml': 'log: {level: error}',
    'config.json': '{"log":{"level":"debug"}}',
  };
  const { 'config.yaml': _, ...withoutYaml } = all;
  const levels = [all, withoutYaml, { 'config.json': all['config.json'] }].map((files) => {
    const cwd = folder(files);
    const { config, source } = loadConfig({ cwd, env: keyed });
    assert.ok(source?.startsWith(join(cwd, 'config.')));
    return config.log.level;
  });
  assert.deepEqual(levels, ['warn', 'error', 'debug']);
});

test('a file that is asked for is read instead of the default one, relative to the working directory', () => {
  const cwd = folder({ 'config.yaml': 'log: {level: warn}', 'etc/other.yaml': 'log: {level: error}' });
  const { config, source } = loadConfig({ file: 'etc/other.yaml', cwd, env: keyed });
  assert.equal(config.log.level, 'error');
  assert.equal(source, join(cwd, 'etc/other.yaml'));
});

test('a file that is asked for and is missing or unreadable stops the start', () => {
  const cwd = folder({ 'config.yaml': '' });
  assert.equal(
    failure(() => loadConfig({ file: 'nope.yaml', cwd, env: keyed })),
    'nope.yaml: cannot be read: no such file',
  );
  assert.match(
    failure(() => loadConfig({ file: '.', cwd, env: keyed })),
    /cannot be read: it is a directory/,
  );
});

test('JSON is read with its tabs, and an empty file is an empty configuration', () => {
  const json = JSON.stringify({ server: { listen_addr: ':1' }, auth: { api_keys: [KEY] } }, undefined, '\t');
  assert.equal(loadConfig({ cwd: folder({ 'config.json': json }), env: {} }).config.server.listen_addr, ':1');
  assert.equal(load('# nothing yet\n').config.server.listen_addr, ':8443');
  assert.equal(load('\uFEFFserver: {listen_addr: ":2"}\n').config.server.listen_addr, ':2');
});

test('a section that holds only comments is empty', () => {
  assert.equal(load('handlers:\n  # nothing\nlog: {level: warn}\n').config.handlers.enable_cross_server_support, null);
});

test('a mistake in a file is reported with the file, the key and the nearest known key', () => {
  assert.equal(
    failure(() => load('server:\n  listen_adr: ":1"\n')),
    'config.yaml: server.listen_adr: unknown key; did you mean server.listen_addr?',
  );
});

test('broken YAML and JSON are reported with line and column, without quoting the file', () => {
  const broken: readonly (readonly [string, RegExp])[] = [
    [`auth:\n  api_keys: [${KEY}\n`, /^config\.yaml:3:1: /],
    [`auth:\n  internal_proxy_secret: "${SECRET}\n`, /^config\.yaml:3:1: Missing closing "quote/],
    [`server: {}\nauth: {}\nserver: {}\n`, /^config\.yaml:3:1: Map keys must be unique/],
    [`auth:\n  internal_proxy_secret: *${SECRET}\n`, /^config\.yaml:2:26: unknown alias/],
    [`auth:\n  internal_proxy_secret: !${SECRET} x\n`, /^config\.yaml:2:26: unknown tag/],
    [`auth:\n  internal_proxy_secret: a: ${SECRET}\n`, /^config\.yaml:2:26: a map cannot start here/],
    [`auth:\n  internal_proxy_secret: "\\q${SECRET}"\n`, /^config\.yaml:2:27: invalid escape/],
    [`auth: "a" ${SECRET}\n`, /^config\.yaml:1:11: unexpected text/],
    ['a: 1\n---\nb: 1\n', /^config\.yaml:2:1: only one document/],
    [`- ${KEY}\n`, /^config\.yaml: must be a map of sections/],
    [`${KEY}\n`, /^config\.yaml: must be a map of sections/],
  ];
  for (const [text, message] of broken)
    assert.match(
      failure(() => load(text)),
      message,
    );
});

test('aliases work, and a bomb made of them is refused', () => {
  const { config } = load('cluster: {connect_timeout: &short 3s, response_timeout: *short}\n');
  assert.equal(config.cluster.response_timeout, 3_000);
  const layers = Array.from(
    { length: 12 },
    (_, n) =>
      `l${n}: &l${n} [${
        n === 0
          ? 'x'
          : Array(12)
              .fill(`*l${n - 1}`)
              .join()
      }]`,
  );
  assert.match(
    failure(() => load(layers.join('\n'))),
    /^config\.yaml: aliases repeat too much$/,
  );
});

test('the environment wins over the file, key by key', () => {
  const yaml = 'server: {listen_addr: ":1", idle_timeout: 5s}\nlog: {level: warn}\n';
  const { config } = load(yaml, { ...keyed, CALLFS_SERVER__LISTEN_ADDR: '[::1]:2', CALLFS_LOG__LEVEL: 'debug' });
  assert.equal(config.server.listen_addr, '[::1]:2');
  assert.equal(config.server.idle_timeout, 5_000);
  assert.equal(config.log.level, 'debug');
});

test('variables are read as what their key is', () => {
  const { config } = load('handlers: {enable_cross_server_support: true}\n', {
    ...keyed,
    CALLFS_HANDLERS__ENABLE_CROSS_SERVER_SUPPORT: 'false',
    CALLFS_SERVER__WORKERS: '1',
    CALLFS_SERVER__IDLE_TIMEOUT: '90',
    CALLFS_SERVER__MAX_UPLOAD_SIZE: '10MiB',
    CALLFS_CLUSTER__MAX_CONNECTIONS_PER_PEER: '8',
    CALLFS_AUTH__SINGLE_USE_LINK_SECRET: '12345678901234567890',
    CALLFS_AUTH__USERS__ALICE__UID: '1001',
    CALLFS_AUTH__USERS__ALICE__ADMIN: 'true',
    CALLFS_AUTH__USERS__ALICE__GROUPS: 'staff, editors,',
  });
  assert.equal(config.handlers.enable_cross_server_support, false);
  assert.equal(config.server.idle_timeout, 90_000);
  assert.equal(config.server.max_upload_size, 10_485_760);
  assert.equal(config.cluster.max_connections_per_peer, 8);
  assert.equal(config.auth.single_use_link_secret, '12345678901234567890');
  assert.deepEqual(config.auth.users, { alice: { uid: 1001, gid: 1000, groups: ['staff', 'editors'], admin: true } });
});

test('a list of the environment replaces the list of the file', () => {
  const { config } = load(`auth: {api_keys: [${KEY}]}`, { CALLFS_AUTH__API_KEYS: `${OTHER_KEY},${SECRET}` });
  assert.deepEqual(config.auth.api_keys, [OTHER_KEY, SECRET]);
  const emptied = load(`auth: {api_keys: [${OTHER_KEY}]}`, { ...keyed, CALLFS_AUTH__API_KEYS: '' });
  assert.deepEqual(emptied.config.auth.api_keys, []);
});

test('a map is set entry by entry, and the other entries of the file stay', () => {
  const { config } = load(`auth: {api_key_users: {bob: ${OTHER_KEY}}, users: {bob: {uid: 7}}}`, {
    ...keyed,
    CALLFS_AUTH__USERS__BOB__GID: '8',
  });
  assert.deepEqual(config.auth.api_key_users, { bob: OTHER_KEY, alice: KEY });
  assert.deepEqual(config.auth.users, { bob: { uid: 7, gid: 8, groups: [], admin: false } });
});

test('a variable means the entry that is there already, whatever its letter case and hyphens', () => {
  const { config } = load(`auth: {api_key_users: {Mary-Ann: ${OTHER_KEY}}, users: {j-doe: {uid: 7}}}`, {
    CALLFS_AUTH__API_KEY_USERS__MARY_ANN: KEY,
    CALLFS_AUTH__API_KEY_USERS__J_DOE: SECRET,
    CALLFS_AUTH__USERS__MARY_ANN__UID: '9',
  });
  assert.deepEqual(config.auth.api_key_users, { 'Mary-Ann': KEY, 'j-doe': SECRET });
  assert.deepEqual(Object.keys(config.auth.users), ['j-doe', 'Mary-Ann']);
});

test('the same name is preferred to one that differs in hyphens', () => {
  const { config } = load(`auth: {api_key_users: {a-b: ${KEY}, a_b: ${OTHER_KEY}}}`, {
    CALLFS_AUTH__API_KEY_USERS__A_B: SECRET,
  });
  assert.deepEqual(config.auth.api_key_users, { 'a-b': KEY, a_b: SECRET });
});

test('a new user keeps the underscore, a new instance id gets hyphens unless it is the own id', () => {
  const { config } = load('', {
    CALLFS_AUTH__API_KEY_USERS__MARY_ANN: KEY,
    CALLFS_AUTH__INTERNAL_PROXY_SECRET: SECRET,
    CALLFS_INSTANCE_DISCOVERY__INSTANCE_ID: 'Node_1',
    CALLFS_INSTANCE_DISCOVERY__PEER_ENDPOINTS__NODE_1: 'http://a:1',
    CALLFS_INSTANCE_DISCOVERY__PEER_ENDPOINTS__CALLFS_INSTANCE_2: 'http://b:1/',
  });
  assert.deepEqual(config.auth.api_key_users, { mary_ann: KEY });
  assert.deepEqual(config.instance_discovery, {
    instance_id: 'Node_1',
    peer_endpoints: { Node_1: 'http://a:1', 'callfs-instance-2': 'http://b:1' },
  });
});

test('the endpoint of a peer of the file is replaced, not added again', () => {
  const yaml = `auth: {internal_proxy_secret: ${SECRET}}\ninstance_discovery: {peer_endpoints: {node_B: "http://b:1"}}`;
  const { config } = load(yaml, { ...keyed, CALLFS_INSTANCE_DISCOVERY__PEER_ENDPOINTS__NODE_B: 'http://c:1' });
  assert.deepEqual(config.instance_discovery.peer_endpoints, { node_B: 'http://c:1' });
});

test('an unknown variable is an error that suggests the nearest one', () => {
  const unknown: readonly (readonly [string, string])[] = [
    ['CALLFS_SERVER__LISTEN_ADR', 'server.listen_adr: unknown key; did you mean CALLFS_SERVER__LISTEN_ADDR?'],
    ['CALLFS_SERVER_LISTEN_ADDR', 'server_listen_addr: unknown key; did you mean CALLFS_SERVER__LISTEN_ADDR?'],
    ['CALLFS_LISTEN_ADDR', 'listen_addr: unknown key; did you mean CALLFS_SERVER__LISTEN_ADDR?'],
    ['CALLFS_AUTH__USERS__BOB__UDI', 'auth.users.bob.udi: unknown key; did you mean CALLFS_AUTH__USERS__BOB__UID?'],
  ];
  for (const [variable, message] of unknown) {
    assert.equal(
      failure(() => load('', { ...keyed, [variable]: SECRET })),
      `${variable}: ${message}`,
    );
  }
  for (const variable of ['CALLFS_CONFIG', 'CALLFS_', 'CALLFS_SERVER__', 'CALLFS___PROTO____X', 'CALLFS_X__Y__Z']) {
    assert.match(
      failure(() => load('', { ...keyed, [variable]: SECRET })),
      /unknown key; (did you mean|the nearest known variable is) CALLFS_/,
    );
  }
});

test('variables without the prefix and the ones of the tests are left alone', () => {
  assert.ok(
    load('', { ...keyed, CALLFS_REQUIRE_SERVICES: '1', PATH: '/bin', callfs_server__workers: 'x', CALLFSX: '1' }),
  );
});

test('a section or a whole map cannot be one variable', () => {
  for (const [variable, example] of [
    ['CALLFS_SERVER', 'CALLFS_SERVER__LISTEN_ADDR'],
    ['CALLFS_AUTH__API_KEY_USERS', 'CALLFS_AUTH__API_KEY_USERS__NAME'],
    ['CALLFS_AUTH__USERS__BOB', 'CALLFS_AUTH__USERS__NAME__UID'],
  ] as const) {
    const message = failure(() => load('', { ...keyed, [variable]: `{"x":"${SECRET}"}` }));
    assert.ok(message.endsWith(`is set entry by entry, with variables such as ${example}`), message);
  }
});

test('two variables for one key are an error', () => {
  const message = failure(() => load('', { ...keyed, CALLFS_LOG__LEVEL: 'info', CALLFS_LOG__level: 'warn' }));
  assert.equal(message, 'CALLFS_LOG__level: log.level: is set by CALLFS_LOG__LEVEL too');
});

test('a bad value is reported with the variable that holds it', () => {
  const bad: readonly (readonly [string, string, RegExp])[] = [
    ['CALLFS_SERVER__WORKERS', 'two', /^CALLFS_SERVER__WORKERS: server\.workers: must be a whole number/],
    ['CALLFS_SERVER__WORKERS', '', /must be a whole number/],
    [
      'CALLFS_AUTH__USERS__BOB__ADMIN',
      '1',
      /^CALLFS_AUTH__USERS__BOB__ADMIN: auth\.users\.bob\.admin: must be true or false/,
    ],
    ['CALLFS_AUTH__API_KEYS', `${SECRET},short`, /^CALLFS_AUTH__API_KEYS: auth\.api_keys\.1: must have at least 16/],
    [
      'CALLFS_AUTH__API_KEY_USERS__BOB',
      '',
      /^CALLFS_AUTH__API_KEY_USERS__BOB: auth\.api_key_users\.bob: must have at least 16/,
    ],
    [
      'CALLFS_AUTH__API_KEY_USERS__ROOT',
      SECRET,
      /^CALLFS_AUTH__API_KEY_USERS__ROOT: auth\.api_key_users\.root: is a reserved name/,
    ],
    ['CALLFS_AUTH__INTERNAL_PROXY_SECRET', KEY, /^CALLFS_AUTH__INTERNAL_PROXY_SECRET: .*must not be an API key/],
  ];
  for (const [variable, value, message] of bad) {
    assert.match(
      failure(() => load('log: {level: info}', { ...keyed, [variable]: value })),
      message,
    );
  }
});

test('problems of the file and of the environment are on the same line', () => {
  const message = failure(() =>
    load('logs: {}\nserver: {workers: x, durability: y}\n', { CALLFS_SERVER__COLOUR: 'red' }),
  );
  assert.match(
    message,
    /^CALLFS_SERVER__COLOUR: server\.colour: .*; config\.yaml: server\.workers: .*; server\.durability: .*; and 1 more problem$/,
  );
});

test('whatever a file and the environment hold, the outcome is a configuration or a ConfigError', () => {
  const cwd = folder({});
  const file = join(cwd, 'config.json');
  const name = fc.oneof(fc.constantFrom(...knownKeys.flatMap(({ path }) => path)), fc.string());
  const { tree } = fc.letrec<{ tree: unknown; leaf: unknown }>((tie) => ({
    leaf: fc.oneof(fc.jsonValue({ maxDepth: 1 }), fc.constantFrom(KEY, '5s', 'https://a')),
    tree: fc.oneof({ maxDepth: 4 }, tie('leaf'), fc.dictionary(name, tie('tree'))),
  }));
  const variable = fc.array(name, { maxLength: 4 }).map((names) => `CALLFS_${names.join('__').toUpperCase()}`);
  return fc.assert(
    fc.property(tree, fc.dictionary(variable, fc.string()), (content, env) => {
      writeFileSync(file, JSON.stringify(content));
      try {
        loadConfig({ cwd, env });
      } catch (error) {
        assert.ok(error instanceof ConfigError, String(error));
        assert.doesNotMatch(error.message, /[\r\n]/);
      }
    }),
    { numRuns: 500 },
  );
});

test('secrets do not appear in errors, wherever they were put by mistake', () => {
  for (const yaml of [
    `auth: ${SECRET}`,
    `auth: [${SECRET}]`,
    `auth: {api_keys: ${SECRET}}`,
    `auth: {api_keys: {${SECRET}: alice}}`,
    `auth: {api_keys: [[${SECRET}]]}`,
    `auth: {api_key_users: {${SECRET}: alice}}`,
    `auth: {api_key_users: {alice: [${SECRET}]}}`,
    `auth: {api_keys: [${KEY}, ${KEY}], internal_proxy_secret: ${KEY}}`,
    `auth: {internal_proxy_secret: "${SECRET} "}\nserver: {protocol: ${SECRET}}`,
    `backend: {s3_secret_key: {a: ${SECRET}}}`,
    `server: {workers: ${SECRET}, idle_timeout: ${SECRET}, listen_addr: ${SECRET}}`,
    `instance_discovery: {peer_endpoints: {b: "https://x:${SECRET}@b"}}`,
    `metadata_store: {type: postgres, dsn: "postgres://a:${SECRET}@b/c"}`,
  ]) {
    failure(() => load(yaml, {}));
  }
});

test('relative paths of a file, and the defaults beside it, count from its folder wherever CallFS is started', () => {
  const home = folder({ 'etc/callfs.yaml': 'backend: {localfs_root_path: ../files}\n', 'elsewhere/x': '' });
  for (const cwd of [home, join(home, 'elsewhere')]) {
    const { config } = loadConfig({ file: join(home, 'etc/callfs.yaml'), cwd, env: keyed });
    assert.equal(config.backend.localfs_root_path, join(home, 'files'));
    assert.equal(config.metadata_store.sqlite_path, join(home, 'etc/callfs.sqlite3'));
    assert.equal(config.server.cert_file, '');
  }
});

test('relative paths of the environment, and the defaults without a file, count from the working directory', () => {
  const cwd = folder({ 'etc/callfs.yaml': 'metadata_store: {sqlite_path: /srv/callfs.sqlite3}\n' });
  const env = { ...keyed, CALLFS_BACKEND__LOCALFS_ROOT_PATH: 'files' };
  const { config } = loadConfig({ file: 'etc/callfs.yaml', cwd, env });
  assert.equal(config.backend.localfs_root_path, join(cwd, 'files'));
  assert.equal(config.metadata_store.sqlite_path, '/srv/callfs.sqlite3');
  assert.equal(loadConfig({ cwd: folder({}), env: keyed }).source, undefined);
  const bare = folder({});
  assert.equal(loadConfig({ cwd: bare, env: keyed }).config.backend.localfs_root_path, join(bare, 'data'));
});

test('what Kubernetes puts into the environment for a service named callfs is ignored', () => {
  const links = {
    CALLFS_SERVICE_HOST: '10.0.0.1',
    CALLFS_SERVICE_PORT: '8443',
    CALLFS_SERVICE_PORT_HTTPS: '8443',
    CALLFS_PORT: 'tcp://10.0.0.1:8443',
    CALLFS_PORT_8443_TCP: 'tcp://10.0.0.1:8443',
    CALLFS_PORT_8443_TCP_PROTO: 'tcp',
    CALLFS_PORT_8443_TCP_ADDR: '10.0.0.1',
  };
  assert.equal(load('', { ...keyed, ...links }).config.log.level, 'info');
});
