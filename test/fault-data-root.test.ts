/** Data roots that are wrong: read-only, not mounted, or gone while the instance runs. Nothing may be concluded from them. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { assertAtRest, assertNothingForeign } from './support/at-rest.ts';
import { call } from './support/client.ts';
import { startCluster, type TestCluster, type TestInstance } from './support/cluster.ts';
import { type Ended, run } from './support/command.ts';
import { waitFor } from './support/wait-for.ts';

const CANNOT_MOUNT = 'a folder cannot be mounted on another here (needs root)';

/** A folder mounted on another; a second name for it that can be taken away. */
class Mount implements Disposable {
  readonly #point: string;

  private constructor(point: string) {
    this.#point = point;
  }

  /** Undefined: not possible here. */
  static bind(folder: string, point: string): Mount | undefined {
    return isDone('mount', '--bind', folder, point) ? new Mount(point) : undefined;
  }

  makeReadOnly(): void {
    assert(isDone('mount', '-o', 'remount,bind,ro', this.#point));
  }

  /** As an unplugged disk goes: also while files of it are open. */
  [Symbol.dispose](): void {
    spawnSync('umount', ['-l', this.#point]);
  }
}

function isDone(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}

function assertRefused({ exitCode, stderr }: Ended, reason: RegExp): void {
  assert.equal(exitCode, 1, stderr);
  assert.match(stderr, reason);
  assert.match(stderr, /^callfs: [^\n]+\n$/, 'one line');
}

const startOf = ({ configFile }: TestInstance): Promise<Ended> => run(['server', '--config', configFile]);

/** Two instances, the first of which holds `/kept.txt`, `/dropped.txt` and `/dir/deep.txt`. */
async function startWithFiles(): Promise<TestCluster> {
  const cluster = await startCluster({ instances: 2 });
  for (const name of ['kept.txt', 'dropped.txt', 'dir/deep.txt']) {
    const answer = await call('PUT', cluster.at(0).url, `/v1/files/${name}`, { body: name });
    assert.equal(answer.status, 201);
  }
  await assertAtRest(cluster);
  return cluster;
}

suite('a data root that is wrong at the start', { timeout: 60_000 }, () => {
  test('read-only: the start is refused, and works once it can be written', async (t) => {
    await using cluster = await startWithFiles();
    const instance = cluster.at(0);
    await instance.stop();
    {
      using mount = Mount.bind(instance.dataRoot, instance.dataRoot);
      if (!mount) {
        t.skip(CANNOT_MOUNT);
        return;
      }
      mount.makeReadOnly();
      assertRefused(await startOf(instance), /data root .*data-callfs-1 cannot be written \(EROFS\)/);
    }
    await instance.start();
    assert.equal((await call('GET', instance.url, '/v1/files/kept.txt')).text, 'kept.txt');
  });

  for (const [what, make] of [
    ['an empty folder', (root: string) => mkdirSync(root)],
    ['nothing', () => {}],
  ] as const) {
    test(`${what} where the namespace has files: the start is refused, and nothing is lost`, async () => {
      await using cluster = await startWithFiles();
      const [instance, peer] = [cluster.at(0), cluster.at(1)];
      await instance.stop();
      const away = join(cluster.folder, 'away');
      renameSync(instance.dataRoot, away);
      make(instance.dataRoot);
      assertRefused(
        await startOf(instance),
        /data-callfs-1 has no \.callfs\/instance\.json, but the namespace has files of callfs-1: is the disk mounted\?/,
      );
      assertRefused(await run(['adopt', '-c', instance.configFile]), /callfs-1/);
      assert.equal((await call('GET', peer.url, '/v1/files/kept.txt')).status, 502);
      // Neither attempt has left anything in the place where the disk belongs.
      if (what === 'an empty folder') rmdirSync(instance.dataRoot);
      renameSync(away, instance.dataRoot);
      await instance.start();
      assert.equal((await call('GET', instance.url, '/v1/files/kept.txt')).text, 'kept.txt');
      await assertAtRest(cluster);
      assertNothingForeign(cluster);
    });
  }
});

interface Absence {
  readonly what: string;
  /** Takes the root away; the result brings it back. Undefined: not possible here. */
  readonly take: (root: string, aside: string) => (() => void) | undefined;
  readonly isEmptyFolder: boolean;
}

const ABSENCES: readonly Absence[] = [
  {
    what: 'renamed away',
    isEmptyFolder: false,
    take: (root, aside) => {
      renameSync(root, aside);
      return () => renameSync(aside, root);
    },
  },
  {
    what: 'replaced by an empty folder',
    isEmptyFolder: true,
    take: (root, aside) => {
      renameSync(root, aside);
      mkdirSync(root);
      return () => {
        rmdirSync(root);
        renameSync(aside, root);
      };
    },
  },
];

suite('a data root that goes away while the instance runs', { timeout: 120_000 }, () => {
  for (const { what, take, isEmptyFolder } of ABSENCES) {
    test(`${what}: 503 until it is back; nothing changes in the namespace or in its place`, async () => {
      await using cluster = await startWithFiles();
      const { dataRoot } = cluster.at(0);
      const giveBack = take(dataRoot, join(cluster.folder, 'aside'));
      assert(giveBack);
      await assertUnavailable(cluster);
      if (isEmptyFolder) assert.deepEqual(readdirSync(dataRoot), []);
      giveBack();
      await assertBack(cluster);
    });
  }

  test('unmounted: the same, and mounted again it goes on', async (t) => {
    await using cluster = await startWithFiles();
    const instance = cluster.at(0);
    await instance.stop();
    const disk = join(cluster.folder, 'disk');
    renameSync(instance.dataRoot, disk);
    mkdirSync(instance.dataRoot);
    let mount = Mount.bind(disk, instance.dataRoot);
    if (!mount) {
      t.skip(CANNOT_MOUNT);
      return;
    }
    try {
      await instance.start();
      mount[Symbol.dispose]();
      assert.deepEqual(readdirSync(instance.dataRoot), []);
      await assertUnavailable(cluster);
      assert.deepEqual(readdirSync(instance.dataRoot), []);
      mount = Mount.bind(disk, instance.dataRoot);
      await assertBack(cluster);
    } finally {
      await instance.kill();
      mount?.[Symbol.dispose]();
    }
  });

  test('replaced by a stale copy: neither read nor written nor adopted', async () => {
    await using cluster = await startWithFiles();
    const { dataRoot } = cluster.at(0);
    const aside = join(cluster.folder, 'aside');
    assert(isDone('cp', '-a', dataRoot, aside));
    const real = join(cluster.folder, 'real');
    renameSync(dataRoot, real);
    renameSync(aside, dataRoot);
    writeFileSync(join(dataRoot, 'kept.txt'), 'of long ago');
    const before = readdirSync(dataRoot, { recursive: true }).sort();
    await assertUnavailable(cluster);
    assert.deepEqual(readdirSync(dataRoot, { recursive: true }).sort(), before);
    rmSync(dataRoot, { recursive: true });
    renameSync(real, dataRoot);
    await assertBack(cluster);
  });
});

/** The first instance has no data root: its files are 503 at both, the others are served, new ones are not taken. */
async function assertUnavailable(cluster: TestCluster): Promise<void> {
  const [instance, peer] = [cluster.at(0), cluster.at(1)];
  const ready = await call('GET', instance.url, '/ready', { key: null });
  assert.equal(ready.status, 503);
  assert.deepEqual(ready.json().broken, ['localfs']);
  assert.match(ready.text, /data root/);
  for (const { url } of [instance, peer]) {
    const requests = [
      ['GET', '/v1/files/kept.txt'],
      ['GET', '/v1/files/dir/deep.txt'],
      ['PUT', '/v1/files/kept.txt'],
    ] as const;
    for (const [method, path] of requests) {
      const answer = await call(method, url, path, method === 'PUT' ? { body: 'lost' } : {});
      assert.equal(answer.status, 503, `${method} ${path}: ${answer.text}`);
      assert.equal(answer.json().code, 'BACKEND_UNAVAILABLE');
      assert(answer.headers['retry-after']);
    }
    assert.equal((await call('HEAD', url, '/v1/files/kept.txt')).status, 503);
  }
  assert.equal((await call('POST', instance.url, '/v1/files/new.txt', { body: 'lost' })).status, 503);
  assert.equal((await call('GET', peer.url, '/v1/files/new.txt')).status, 404);
  // What the namespace alone decides goes on; the disk follows when it is back.
  assert.equal((await call('DELETE', peer.url, '/v1/files/dropped.txt')).status, 204);
  const put = await call('PUT', peer.url, '/v1/files/of-peer.txt', { body: 'other' });
  assert.equal(put.status, 201);
  const listing = await call('GET', peer.url, '/v1/directories/?recursive=true');
  const paths = (listing.json().items as { readonly path: string }[]).map(({ path }) => path);
  assert.deepEqual(paths, ['/dir', '/dir/deep.txt', '/kept.txt', '/of-peer.txt']);
}

async function assertBack(cluster: TestCluster): Promise<void> {
  const instance = cluster.at(0);
  const isReady = async () => (await call('GET', instance.url, '/ready', { key: null })).status === 200;
  await waitFor('the instance to be ready', isReady);
  assert(instance.isRunning);
  for (const { url } of cluster.instances) {
    assert.equal((await call('GET', url, '/v1/files/kept.txt')).text, 'kept.txt');
    assert.equal((await call('GET', url, '/v1/files/dir/deep.txt')).text, 'dir/deep.txt');
    assert.equal((await call('GET', url, '/v1/files/dropped.txt')).status, 404);
  }
  assert.equal((await call('PUT', instance.url, '/v1/files/kept.txt', { body: 'again' })).status, 200);
  assert.equal((await call('POST', instance.url, '/v1/files/new.txt', { body: 'new' })).status, 201);
  assert.equal((await call('GET', cluster.at(1).url, '/v1/files/kept.txt')).text, 'again');
  await assertAtRest(cluster);
  assertNothingForeign(cluster);
}
