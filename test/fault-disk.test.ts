/** Disks that are full or broken (Linux, as root): a typed answer, the old content, and no harm that stays. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { assertAtRest, assertNothingForeign, stagedFiles } from './support/at-rest.ts';
import { call } from './support/client.ts';
import { ALICE_KEY, defaultConfig, startCluster, TestCluster, TestInstance } from './support/cluster.ts';
import { RawConnection } from './support/raw-connection.ts';
import { waitFor } from './support/wait-for.ts';

const MIB = 1024 * 1024;

function isDone(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}

/** A file system of 16 MiB, mounted at a folder. */
class SmallDisk implements Disposable {
  readonly #mountPoint: string;

  private constructor(mountPoint: string) {
    this.#mountPoint = mountPoint;
  }

  /** Undefined: not possible here. */
  static mount(mountPoint: string): SmallDisk | undefined {
    const image = `${mountPoint}.image`;
    mkdirSync(mountPoint);
    const made =
      isDone('truncate', '-s', '16M', image) &&
      isDone('mkfs.ext4', '-q', '-F', '-m', '0', image) &&
      isDone('mount', '-o', 'loop', image, mountPoint);
    return made ? new SmallDisk(mountPoint) : undefined;
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.#mountPoint);
    return bavail * bsize;
  }

  [Symbol.dispose](): void {
    spawnSync('umount', [this.#mountPoint]);
  }
}

test('a full disk is answered with 507; old contents stay, deleting helps, other instances go on', {
  timeout: 60_000,
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'callfs-test-'));
  const instances = ['callfs-1', 'callfs-2'].map((id) => new TestInstance(id, folder, defaultConfig(id, folder)));
  const cluster = new TestCluster(folder, instances);
  const [owner, b] = [cluster.at(0), cluster.at(1)];
  using disk = SmallDisk.mount(owner.dataRoot);
  if (!disk) {
    rmSync(folder, { recursive: true, force: true });
    t.skip('a small file system cannot be mounted here (needs root, mkfs.ext4 and loop devices)');
    return;
  }
  await using disposable = new AsyncDisposableStack();
  disposable.defer(async () => {
    await Promise.all(instances.map((instance) => instance.kill()));
    disk[Symbol.dispose]();
    rmSync(folder, { recursive: true, force: true });
  });
  await Promise.all(instances.map((instance) => instance.start()));
  const kept = '/v1/files/kept.bin';
  const old = Buffer.alloc(4 * MIB, 'old ');
  assert.equal((await call('PUT', owner.url, kept, { body: old })).status, 201);

  // Known from the declared length: refused without the body.
  for (const { url } of instances) {
    using client = await RawConnection.open(url);
    client.sendHead('PUT', kept, { authorization: `Bearer ${ALICE_KEY}`, 'content-length': String(64 * MIB) });
    const refused = await client.answer('PUT');
    assert.equal(refused.status, 507, refused.text);
    assert.equal(refused.json().code, 'INSUFFICIENT_STORAGE');
  }
  // Noticed only when the disk says so.
  for (const { url } of instances) {
    const answer = await uploadChunked(url, kept, 32 * MIB);
    assert.equal(answer.status, 507, answer.text);
    assert.equal(answer.json().code, 'INSUFFICIENT_STORAGE');
    assert.deepEqual(stagedFiles(owner), []);
    for (const reader of instances) assert((await call('GET', reader.url, kept)).body.equals(old));
  }
  const filled = await fill(owner.url);
  t.diagnostic(`full after ${filled.length} more files; ${disk.freeBytes} bytes free`);
  assert(filled.length >= 2);
  assert((await call('GET', b.url, kept)).body.equals(old));
  assert.equal((await call('PUT', b.url, '/v1/files/of-b.bin', { body: old })).status, 201, "B's own disk has room");
  // Removing needs no room.
  for (const path of filled) assert.equal((await call('DELETE', b.url, path)).status, 204);
  await waitFor('the room to be free', () => disk.freeBytes > 4 * MIB);
  const replaced = await call('PUT', b.url, kept, { body: Buffer.alloc(2 * MIB, 'new ') });
  assert.equal(replaced.status, 200, replaced.text);
  assert.equal((await call('POST', owner.url, '/v1/files/again.txt', { body: 'room' })).status, 201);
  rmSync(join(owner.dataRoot, 'lost+found'), { recursive: true, force: true });
  await assertAtRest(cluster);
  assertNothingForeign(cluster);
});

async function uploadChunked(url: string, path: string, sizeBytes: number) {
  using client = await RawConnection.open(url);
  client.sendHead('PUT', path, { authorization: `Bearer ${ALICE_KEY}`, 'transfer-encoding': 'chunked' });
  const chunk = Buffer.concat([Buffer.from('100000\r\n'), Buffer.alloc(MIB, 'too much '), Buffer.from('\r\n')]);
  for (let sent = 0; sent < sizeBytes; sent += MIB) client.send(chunk);
  client.send('0\r\n\r\n');
  return await client.answer('PUT');
}

/** Creates files until there is no room, first large ones, then small ones. @returns their paths */
async function fill(url: string): Promise<string[]> {
  const filled: string[] = [];
  for (const sizeBytes of [MIB, 64 * 1024, 4096]) {
    for (;;) {
      const path = `/v1/files/filler-${filled.length}.bin`;
      const answer = await call('PUT', url, path, { body: Buffer.alloc(sizeBytes) });
      if (answer.status !== 201) {
        assert.equal(answer.status, 507, answer.text);
        break;
      }
      filled.push(path);
    }
  }
  return filled;
}

/** Makes system calls of a running process fail; see strace(1), `--inject`. */
class Sabotage implements AsyncDisposable {
  readonly #strace: ChildProcess;

  private constructor(strace: ChildProcess) {
    this.#strace = strace;
  }

  /** Undefined: not possible here. */
  static async start(pid: number, ...args: string[]): Promise<Sabotage | undefined> {
    if (spawnSync('strace', ['-V']).status !== 0) return undefined;
    const strace = spawn('strace', ['-f', '-p', String(pid), ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    strace.stderr.on('data', (text) => {
      said += text;
    });
    const isAttached = () => strace.exitCode !== null || said.includes('attached');
    await waitFor('strace to attach itself', isAttached);
    return strace.exitCode === null ? new Sabotage(strace) : undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exited = once(this.#strace, 'exit');
    this.#strace.kill('SIGTERM');
    await exited;
  }
}

for (const { what, only } of [
  { what: 'fsync', only: () => [] },
  { what: 'the fsync of the folder that holds new content', only: (root: string) => ['-P', `${root}/.callfs/staging`] },
]) {
  test(`when ${what} fails, a PUT is answered with 503 BACKEND_UNAVAILABLE and the old content stays`, {
    timeout: 60_000,
  }, async (t) => {
    await using cluster = await startCluster({ instances: 2 });
    const [owner, b] = [cluster.at(0), cluster.at(1)];
    const path = '/v1/files/kept.txt';
    const created = await call('PUT', owner.url, path, { body: 'old' });
    assert.equal(created.status, 201);
    await assertAtRest(cluster);
    {
      const inject = ['-e', 'trace=fsync,fdatasync', '-e', 'inject=fsync,fdatasync:error=EIO'];
      await using sabotage = await Sabotage.start(owner.pid, ...inject, ...only(owner.dataRoot));
      if (!sabotage) {
        t.skip('strace cannot make system calls of another process fail here');
        return;
      }
      for (const { url } of [owner, b]) {
        for (const [method, target] of [
          ['PUT', path],
          ...(url === owner.url
            ? ([
                ['POST', '/v1/files/new.txt'],
                ['PUT', '/v1/files/new.txt'],
              ] as const)
            : []),
        ] as const) {
          const answer = await call(method, url, target, { body: 'new content' });
          assert.equal(answer.status, 503, answer.text);
          assert.equal(answer.json().code, 'BACKEND_UNAVAILABLE');
          assert.notEqual(answer.headers['retry-after'], undefined);
        }
        const got = await call('GET', url, path);
        assert.equal(got.text, 'old');
        assert.equal(got.headers.etag, created.headers.etag);
        assert.equal((await call('GET', url, '/v1/files/new.txt')).status, 404);
      }
    }
    assert.equal(owner.isRunning, true);
    assert.equal((await call('PUT', b.url, path, { body: 'new' })).status, 200);
    for (const { url } of [owner, b]) assert.equal((await call('GET', url, path)).text, 'new');
    await assertAtRest(cluster);
    assertNothingForeign(cluster);
  });
}
