/** Starting and stopping, from outside: what is refused, with which words and exit codes, and what is finished first. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import * as net from 'node:net';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { call } from './support/client.ts';
import {
  ADMIN_KEY,
  ALICE_KEY,
  BOB_KEY,
  defaultConfig,
  mergeSections,
  startCluster,
  type TestCluster,
  TestInstance,
} from './support/cluster.ts';
import { CALLFS, type Ended, run } from './support/command.ts';
import { newMember } from './support/member.ts';
import { RawConnection } from './support/raw-connection.ts';
import { SlowReader, uploadPattern } from './support/transfers.ts';
import { waitFor } from './support/wait-for.ts';

const MIB = 1024 * 1024;

/** Exit code 1 and one line on stderr that says why, without a stack. */
function assertRefused({ exitCode, stderr }: Ended, reason: RegExp): void {
  assert.equal(exitCode, 1, stderr);
  assert.match(stderr, reason);
  assert.match(stderr, /^callfs: [^\n]+\n$/, 'one line');
  assert.doesNotMatch(stderr, /\bat .*\.ts:|node:internal|\[object/);
}

const startOf = ({ configFile }: TestInstance): Promise<Ended> => run(['server', '--config', configFile]);

suite('a start that must be refused', { timeout: 120_000 }, () => {
  let cluster: TestCluster;
  let running: TestInstance;
  let number = 0;
  before(async () => {
    cluster = await startCluster({ instances: 1 });
    running = cluster.at(0);
    assert.equal((await call('PUT', running.url, '/v1/files/kept.txt', { body: 'kept' })).status, 201);
  });
  after(() => cluster[Symbol.asyncDispose]());

  /** A configuration beside the running instance's, on a store of its own unless told otherwise. */
  function another(id: string, config: Record<string, object> = {}): TestInstance {
    const name = `other-${++number}`;
    const base = defaultConfig(id, cluster.folder);
    const own = { metadata_store: { sqlite_path: join(cluster.folder, `${name}.sqlite3`) } };
    const instance = new TestInstance(name, cluster.folder, mergeSections(mergeSections(base, own), config));
    return instance;
  }

  const sharedStore = () => ({ sqlite_path: join(cluster.folder, 'callfs.sqlite3') });
  const ownRoot = (name: string) => ({ localfs_root_path: join(cluster.folder, name) });

  async function assertStillServes(): Promise<void> {
    assert.equal((await call('GET', running.url, '/v1/files/kept.txt')).text, 'kept');
    assert.equal((await call('PUT', running.url, '/v1/files/written.txt', { body: 'x' })).status < 300, true);
    assert.equal(running.isRunning, true);
  }

  test('a second process with the very same configuration', async () => {
    assertRefused(await startOf(running), /callfs-1|data root/);
    await assertStillServes();
  });

  test('a second process on the same data root, with a store of its own', async () => {
    const second = another('callfs-1');
    assertRefused(await startOf(second), /data root .*data-callfs-1 is in use/);
    await assertStillServes();
  });

  test('a second process with the same instance id on another root', async () => {
    const second = another('callfs-1', { backend: ownRoot('data-elsewhere'), metadata_store: sharedStore() });
    assertRefused(await startOf(second), /instance_discovery\.instance_id: callfs-1 is carried by another running/);
    await assertStillServes();
  });

  test('of five processes with one new id that start at the same moment all but one', async () => {
    const contenders = Array.from({ length: 5 }, (_, index) =>
      another('callfs-contended', { backend: ownRoot(`data-contended-${index}`), metadata_store: sharedStore() }),
    );
    try {
      const starts = await Promise.allSettled(contenders.map((contender) => contender.start()));
      const refused = starts.filter(({ status }) => status === 'rejected');
      assert.equal(refused.length, 4, `${refused.length} of 5 were refused`);
      await waitFor('the refused to end', () => contenders.filter(({ isRunning }) => isRunning).length === 1);
      for (const { stderr, isRunning } of contenders) if (!isRunning) assert.match(stderr, /^callfs: [^\n]+\n$/);
    } finally {
      for (const contender of contenders) await contender[Symbol.asyncDispose]();
    }
  });

  test('a data root that belongs to another instance id', async () => {
    const first = another('callfs-first', { backend: ownRoot('data-owned') });
    await first.start();
    assert.equal(await first.stop(), 0);
    const second = another('callfs-second', { backend: ownRoot('data-owned') });
    assertRefused(await startOf(second), /data-owned belongs to instance callfs-first, this is callfs-second/);
  });

  test('a data root where a file is in the way, or below a file', async () => {
    const file = join(cluster.folder, 'a-file');
    writeFileSync(file, 'in the way');
    for (const root of [file, join(file, 'below')]) {
      const instance = another('callfs-blocked', { backend: { localfs_root_path: root } });
      assertRefused(await startOf(instance), /data root .*a-file.* cannot be written/);
    }
    assert.equal(readFileSync(file, 'utf8'), 'in the way');
  });

  test('a store that is no database, or below a file', async () => {
    const file = join(cluster.folder, 'not-a-database');
    writeFileSync(file, 'text, and long enough that nobody takes it for the header of a database: '.repeat(20));
    for (const sqlite_path of [file, join(file, 'below.sqlite3')]) {
      const instance = another('callfs-no-store', {
        backend: ownRoot('data-no-store'),
        metadata_store: { sqlite_path },
      });
      assertRefused(await startOf(instance), /not-a-database/);
    }
  });

  test('a port that is taken; the data root is free again afterwards', async () => {
    const listen_addr = new URL(running.url).host;
    const backend = ownRoot('data-port');
    const ended = await startOf(another('callfs-port', { backend, server: { listen_addr } }));
    assertRefused(ended, new RegExp(`Cannot listen on ${listen_addr}: .*EADDRINUSE`));
    await using free = another('callfs-port', { backend });
    await free.start();
    await assertStillServes();
  });

  test('a configuration that is not valid, or not there', async () => {
    const bad = (config: Record<string, object>) => another('callfs-bad', { backend: ownRoot('data-bad'), ...config });
    const cases: readonly (readonly [TestInstance, RegExp])[] = [
      [bad({ server: { listen_adr: ':1' } }), /server\.listen_adr.*listen_addr/],
      [bad({ server: { listen_addr: 17.5 } }), /server\.listen_addr/],
      [bad({ auth: { api_key_users: { alice: 'short' }, internal_proxy_secret: '' } }), /auth\.api_key_users\.alice/],
      [bad({ nonsense: { key: 1 } }), /nonsense/],
    ];
    for (const [instance, reason] of cases) {
      const ended = await startOf(instance);
      assertRefused(ended, reason);
      assert(ended.ms < 5000, `${ended.ms} ms`);
      const validated = await run(['config', 'validate', '--config', instance.configFile]);
      assertRefused(validated, reason);
      assert.equal(validated.stdout, '');
    }
    assertRefused(await run(['server', '--config', join(cluster.folder, 'missing.yaml')]), /missing\.yaml/);
    const broken = join(cluster.folder, 'broken.yaml');
    writeFileSync(broken, 'server: {listen_addr: ":1"\nauth: [');
    assertRefused(await run(['server', '--config', broken]), /broken\.yaml/);
  });
});

suite('stopping', { timeout: 120_000 }, () => {
  test('SIGTERM and SIGINT end an idle instance with exit code 0, soon, also with connections open', async (t) => {
    await using cluster = await startCluster({ instances: 2 });
    const [a, b] = [cluster.at(0), cluster.at(1)];
    assert.equal((await call('PUT', a.url, '/v1/files/kept.txt', { body: 'kept' })).status, 201);
    // Connections that are kept alive: a client's and a peer's, for both kinds of request.
    assert.equal((await call('GET', b.url, '/v1/files/kept.txt')).text, 'kept');
    assert.equal((await call('PUT', b.url, '/v1/files/kept.txt', { body: 'kept' })).status, 200);
    using silent = await RawConnection.open(a.url);
    assert.equal(silent.isClosed, false);
    for (const [instance, signal] of [
      [a, 'SIGTERM'],
      [b, 'SIGINT'],
    ] as const) {
      const startedAt = performance.now();
      instance.signal(signal);
      await waitFor(`${instance.id} to end`, () => !instance.isRunning);
      assert.equal(await instance.stop(), 0);
      assert.equal(instance.stderr, '');
      const took = performance.now() - startedAt;
      t.diagnostic(`${signal}: ended in ${Math.round(took)} ms`);
      assert(took < 3000, `${took} ms`);
    }
  });

  test('a download and an upload in progress are completed, new connections are refused, then it ends with 0', async (t) => {
    await using cluster = await startCluster({ instances: 1 });
    const instance = cluster.at(0);
    const path = '/v1/files/large.bin';
    const sizeBytes = 48 * MIB;
    const { sha256 } = await uploadPattern(instance.url, path, sizeBytes);
    using reader = await SlowReader.open(instance.url, path);
    using writer = await RawConnection.open(instance.url);
    const authorization = `Bearer ${ALICE_KEY}`;
    writer.sendHead('PUT', '/v1/files/arriving.txt', { authorization, 'content-length': '10' });
    writer.send('12345');
    await waitFor('the upload to be under way', () => call('GET', instance.url, '/health').then(() => true));
    instance.signal('SIGTERM');
    await waitFor('new connections to be refused', () => isRefused(instance.url));
    const reading = reader.readAll(24 * MIB);
    writer.send('67890');
    const written = await writer.answer('PUT');
    assert.equal(written.status, 201, written.text);
    assert.equal(await reading, sha256);
    const readAt = performance.now();
    assert.equal(instance.isRunning || (await instance.stop()) === 0, true);
    await waitFor('the instance to end', () => !instance.isRunning);
    t.diagnostic(`ended ${Math.round(performance.now() - readAt)} ms after the last transfer`);
    assert(performance.now() - readAt < 3000);
    assert.equal(await instance.stop(), 0);
    assert.equal(instance.stderr, '');
    await instance.start();
    assert.equal((await call('GET', instance.url, '/v1/files/arriving.txt')).text, '1234567890');
  });

  test('a download through a peer that stops is completed', async () => {
    await using cluster = await startCluster({ instances: 2 });
    const [owner, b] = [cluster.at(0), cluster.at(1)];
    const path = '/v1/files/large.bin';
    const { sha256 } = await uploadPattern(owner.url, path, 48 * MIB);
    using reader = await SlowReader.open(b.url, path);
    owner.signal('SIGTERM');
    b.signal('SIGTERM');
    assert.equal(await reader.readAll(24 * MIB), sha256);
    for (const instance of [owner, b]) {
      await waitFor(`${instance.id} to end`, () => !instance.isRunning, 5000);
      assert.equal(await instance.stop(), 0);
    }
  });
});

async function isRefused(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  const socket = net.connect({ host: hostname, port: Number(port) });
  try {
    await once(socket, 'connect');
    return false;
  } catch {
    return true;
  } finally {
    socket.destroy();
  }
}

suite('starting again', { timeout: 60_000 }, () => {
  test('after kill -9 an instance starts at once, with everything that was acknowledged', async (t) => {
    await using cluster = await startCluster({ instances: 2 });
    const [instance, other] = [cluster.at(0), cluster.at(1)];
    const clean: number[] = [];
    const killed: number[] = [];
    for (let round = 0; round < 3; round++) {
      for (const [end, times] of [
        ['stop', clean],
        ['kill', killed],
      ] as const) {
        const path = `/v1/files/round-${round}-${end}.txt`;
        assert.equal((await call('PUT', instance.url, path, { body: end })).status, 201);
        await instance[end]();
        const startedAt = performance.now();
        await instance.start();
        times.push(performance.now() - startedAt);
        assert.equal((await call('GET', instance.url, path)).text, end);
        await waitFor('the peer to find it', async () => (await call('GET', other.url, path)).text === end, 5000);
      }
    }
    t.diagnostic(`after a clean stop ${clean.map(Math.round)} ms, after kill -9 ${killed.map(Math.round)} ms`);
    assert(Math.max(...killed) < 3 * Math.max(...clean) + 500, 'a start after kill -9 takes as long as any other');
  });

  test('killed in the middle of its start, the next start works', async () => {
    await using cluster = await startCluster({ instances: 1 });
    const instance = newMember(cluster, 'callfs-restless');
    for (const delayMs of [50, 150, 250, 350]) {
      const child = spawn(CALLFS, ['server', '--config', instance.configFile], { stdio: 'ignore' });
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
    await using restarted = instance;
    await restarted.start();
    assert.equal((await call('PUT', restarted.url, '/v1/files/works.txt', { body: 'yes' })).status, 201);
  });
});

suite('the command line', { timeout: 60_000 }, () => {
  const folder = join(tmpdir(), `callfs-command-${process.pid}`);
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  before(() => mkdirSync(join(folder, 'below'), { recursive: true }));
  after(() => rmSync(folder, { recursive: true, force: true }));

  test('works from another folder, with paths that are relative to it', async () => {
    const config = defaultConfig('callfs-relative', folder);
    const file = join(folder, 'relative.json');
    writeFileSync(file, JSON.stringify(config));
    for (const cwd of [folder, join(folder, 'below'), '/']) {
      const { exitCode, stderr } = await run(['config', 'validate', '--config', relative(cwd, file)], { cwd });
      assert.equal(exitCode, 0, stderr);
    }
    const child = spawn(CALLFS, ['server', '--config', '../relative.json'], {
      cwd: join(folder, 'below'),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [first] = (await once(child.stdout, 'data')) as [Buffer];
    assert.match(first.toString(), /instance is running/);
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    assert.deepEqual(await ended, [0, null]);
  });

  test('finds config.yaml in the current folder', async () => {
    const config = defaultConfig('callfs-found', folder);
    writeFileSync(join(folder, 'below', 'config.yaml'), JSON.stringify(config));
    const { exitCode, stdout } = await run(['config', 'validate'], { cwd: join(folder, 'below') });
    assert.equal(exitCode, 0);
    assert.match(stdout, /instance_id: callfs-found/);
  });

  test('config validate shows what would be used, without any secret', async () => {
    const file = join(folder, 'secrets.json');
    const config = mergeSections(defaultConfig('callfs-secret', folder), {
      backend: { s3_access_key: 'access-key-1234567890', s3_secret_key: 'secret-key-1234567890' },
    });
    writeFileSync(file, JSON.stringify(config));
    const env = {
      CALLFS_AUTH__API_KEY_USERS__CAROL: 'carol-from-environment-1234',
      CALLFS_SERVER__LISTEN_ADDR: ':9999',
    };
    const { exitCode, stdout, stderr } = await run(['config', 'validate', '-c', file], { env });
    assert.equal(exitCode, 0, stderr);
    assert.equal(stderr, '');
    assert.match(stdout, /listen_addr: .*:9999/);
    assert.match(stdout, /carol:/);
    const { internal_proxy_secret } = config.auth as { internal_proxy_secret: string };
    const secrets = [ALICE_KEY, BOB_KEY, ADMIN_KEY, internal_proxy_secret, ...Object.values(env).slice(0, 1)];
    for (const secret of [...secrets, 'secret-key-1234567890', 'access-key-1234567890'])
      assert(!stdout.includes(secret), `shows ${secret}`);
  });

  test('--version and --help answer on stdout with exit code 0', async () => {
    const shown = await run(['--version']);
    assert.deepEqual([shown.exitCode, shown.stdout, shown.stderr], [0, `${version}\n`, '']);
    for (const args of [['--help'], ['server', '--help'], ['config', 'validate', '--help']]) {
      const { exitCode, stdout, stderr } = await run(args);
      assert.deepEqual([exitCode, stderr], [0, '']);
      assert.match(stdout, /^Usage: callfs /);
    }
  });

  test('an unknown command or option is refused with exit code 1 and a word on where to look', async () => {
    for (const args of [['serve'], ['server', '--confg', 'x'], ['config']]) {
      const { exitCode, stdout, stderr } = await run(args);
      assert.equal(exitCode, 1, args.join(' '));
      assert.equal(stdout, '');
      assert.notEqual(stderr, '');
    }
  });
});
