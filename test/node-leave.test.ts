/** `callfs node drain`, `undrain`, `remove` and `report`: what they do, print and refuse. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { type Answer, call } from './support/client.ts';
import { ADMIN_KEY, startCluster, type TestCluster, type TestInstance } from './support/cluster.ts';
import { type Ended, run } from './support/command.ts';
import { heldBy, RunningDrain } from './support/drain.ts';
import { waitFor } from './support/wait-for.ts';

async function put(instance: TestInstance, path: string, body: string): Promise<Answer> {
  const answer = await call('PUT', instance.url, `/v1/files${path}`, { body });
  assert.ok(answer.status === 201 || answer.status === 200, answer.text);
  return answer;
}

function node(by: TestInstance, ...args: readonly string[]): Promise<Ended> {
  return run(['node', ...args, '--config', by.configFile]);
}

async function succeed(by: TestInstance, ...args: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await node(by, ...args);
  assert.deepEqual([exitCode, stderr], [0, ''], stdout);
  return stdout;
}

async function refuse(reason: RegExp, by: TestInstance, ...args: readonly string[]): Promise<void> {
  const { exitCode, stdout, stderr } = await node(by, ...args);
  assert.deepEqual([exitCode, stdout], [1, '']);
  assert.match(stderr, reason);
  assert.match(stderr, /^callfs: [^\n]+\n$/, 'one line');
}

async function stateOf(witness: TestInstance, id: string): Promise<string | undefined> {
  const answer = await call('GET', witness.url, '/v1/cluster', { key: ADMIN_KEY });
  const rows = answer.json().instances as { id: string; state: string }[];
  return rows.find((row) => row.id === id)?.state;
}

async function assertFsckClean(cluster: TestCluster, ...positions: readonly number[]): Promise<void> {
  for (const position of positions) {
    const { exitCode, stdout, stderr } = await run(['fsck', '--config', cluster.at(position).configFile]);
    assert.equal(exitCode, 0, stdout + stderr);
  }
}

suite('callfs node drain', { timeout: 180_000 }, () => {
  test('while an instance drains it takes no new entries, whoever asks for them, until that is taken back', async () => {
    await using cluster = await startCluster();
    const [a, b, c] = [cluster.at(0), cluster.at(1), cluster.at(2)];
    await put(c, '/mine.txt', 'of c');
    const drained = await succeed(a, 'drain', c.id, '--to', a.id, '--json');
    const report = JSON.parse(drained) as Record<string, unknown>;
    assert.deepEqual(
      { drained: report.drained, moved: report.moved, to: report.to, failed: report.failed },
      { drained: true, moved: { files: 1, bytes: 4 }, to: { [a.id]: { files: 1, bytes: 4 } }, failed: [] },
    );
    for (const witness of cluster.instances) {
      await waitFor(`${witness.id} to tell it`, async () => (await stateOf(witness, c.id)) === 'draining');
    }
    const holders = new Set<unknown>();
    for (const [at, [method, path]] of [
      ['POST', '/new/posted.txt'],
      ['PUT', '/new/put.txt'],
      ['POST', '/new/directory/'],
      ['PUT', '/new/put-2.txt'],
    ].entries()) {
      const body = method === 'PUT' || at === 0 ? `body ${at}` : '';
      const answer = await call(String(method), c.url, `/v1/files${path}`, { body });
      assert.equal(answer.status, 201, answer.text);
      assert.equal(answer.headers.location, `/v1/files${path}`);
      holders.add(answer.headers['x-callfs-instance-id']);
      if (body !== '') assert.equal((await call('GET', c.url, `/v1/files${path}`)).text, body);
    }
    assert.deepEqual([...holders].sort(), [a.id, b.id], 'in turns');
    assert.deepEqual(await heldBy(cluster, c), { files: 0, directories: 0 });
    assert.equal((await call('POST', c.url, '/v1/files/new/put.txt', { body: 'x' })).status, 409);

    const body = JSON.stringify({ destination: '/mine.txt', instance: c.id });
    const refused = await call('PATCH', b.url, '/v1/files/mine.txt', { body });
    assert.deepEqual([refused.status, refused.json().code, refused.json().instance_id], [400, 'BAD_REQUEST', c.id]);

    await c.kill();
    await c.start();
    const again = await put(c, '/after-restart.txt', 'x');
    assert.notEqual(again.headers['x-callfs-instance-id'], c.id, 'it is still being drained');

    assert.match(await succeed(b, 'undrain', c.id), /takes new files again/);
    await waitFor('it to take files again', async () => {
      const { headers } = await put(c, `/back-${performance.now()}.txt`, 'x');
      return headers['x-callfs-instance-id'] === c.id;
    });
    await waitFor('it to be up', async () => (await stateOf(a, c.id)) === 'up');
  });

  test('what nobody else can take is created at the draining instance', async () => {
    await using cluster = await startCluster({ instances: 2 });
    const [a, b] = [cluster.at(0), cluster.at(1)];
    await succeed(a, 'drain', b.id);
    await a.kill();
    for (const [path, body] of [
      ['/one.txt', 'x'],
      ['/empty.txt', ''],
    ]) {
      const answer = await call('POST', b.url, `/v1/files${path}`, { body: String(body) });
      assert.deepEqual([answer.status, answer.headers['x-callfs-instance-id']], [201, b.id], answer.text);
    }
    const large = await put(b, '/large.txt', 'x'.repeat(1_000_000));
    assert.equal(large.headers['x-callfs-instance-id'], b.id);
    await a.start();
    await succeed(b, 'drain', b.id);
    assert.equal((await heldBy(cluster, b)).files, 0);
  });

  test('stops cleanly at SIGINT, says how to go on, and goes on', async () => {
    await using cluster = await startCluster({ instances: 2 });
    const [a, b] = [cluster.at(0), cluster.at(1)];
    for (let file = 0; file < 20; file++) await put(b, `/slow/${file}.txt`, 'x'.repeat(1000));
    await using slow = new RunningDrain(b, a, ['--rate', '2kB/s', '--parallel', '2', '--json']);
    await waitFor('the first files to be moved', async () => (await heldBy(cluster, b)).files < 18);
    const { exitCode, stdout } = await slow.end('SIGINT');
    assert.equal(exitCode, 3);
    const report = JSON.parse(stdout) as { drained: boolean; stopped: boolean; left: { files: number } };
    assert.deepEqual([report.drained, report.stopped], [false, true]);
    assert.equal(report.left.files, (await heldBy(cluster, b)).files);
    assert.ok(report.left.files > 0, 'the rate was kept');
    await using text = new RunningDrain(b, a, ['--rate', '1kB/s', '--parallel', '1']);
    await waitFor('one more file to be moved', async () => (await heldBy(cluster, b)).files < report.left.files);
    const stopped = await text.end('SIGTERM');
    assert.equal(stopped.exitCode, 3);
    assert.match(stopped.stdout, /Stopped: callfs-2 still holds \d+ files/);
    assert.match(stopped.stdout, /Go on: callfs node drain callfs-2\. Take it back: callfs node undrain callfs-2/);
    await succeed(a, 'drain', b.id);
    assert.deepEqual(await heldBy(cluster, b), { files: 0, directories: 0 });
  });

  test('a frozen target neither keeps it for good nor from being stopped', async () => {
    await using cluster = await startCluster({ instances: 2 });
    const [a, b] = [cluster.at(0), cluster.at(1)];
    for (let file = 0; file < 300; file++) await put(b, `/many/${file}.txt`, 'x');
    // As fast as it goes, so that requests are on their way whenever the target freezes.
    const freeze = async (): Promise<RunningDrain> => {
      const before = (await heldBy(cluster, b)).files;
      const drain = new RunningDrain(b, b, ['--parallel', '2']);
      // More than an earlier drain that was broken off may have left on their way.
      await waitFor('files to be moved', async () => (await heldBy(cluster, b)).files < before - 5);
      a.signal('SIGSTOP');
      return drain;
    };
    {
      await using stopped = await freeze();
      const askedAt = performance.now();
      const { exitCode, stdout } = await stopped.end('SIGINT');
      const ms = performance.now() - askedAt;
      assert.ok(ms < 2500, `${ms} ms`);
      assert.equal(exitCode, 3);
      assert.match(stdout, /Stopped: callfs-2 still holds \d+ files/);
    }
    a.signal('SIGCONT');
    await using givenUp = await freeze();
    const frozenAt = performance.now();
    const { exitCode, stdout, stderr } = await givenUp.ended;
    const ms = performance.now() - frozenAt;
    assert.ok(ms < 40_000, `${ms} ms`);
    assert.deepEqual([exitCode, stderr], [3, '']);
    assert.match(stdout, /Given up: callfs-2 still holds \d+ files/);
    a.signal('SIGCONT');
    await succeed(b, 'drain', b.id);
    assert.deepEqual(await heldBy(cluster, b), { files: 0, directories: 0 });
  });

  test('refuses what cannot be', async () => {
    await using cluster = await startCluster({ instances: 2 });
    const [a, b] = [cluster.at(0), cluster.at(1)];
    await refuse(/no instance nobody; there are callfs-1, callfs-2/, a, 'drain', 'nobody');
    await refuse(/no instance nobody/, a, 'drain', b.id, '--to', `${a.id},nobody`);
    await refuse(/--to names callfs-2/, a, 'drain', b.id, '--to', b.id);
    await refuse(/bytes per second, such as 50MB\/s/, a, 'drain', b.id, '--rate', 'fast');
    await refuse(/from 1 to 64/, a, 'drain', b.id, '--parallel', '0');
    await a.stop();
    await refuse(/No instance can take the files of callfs-2/, a, 'drain', b.id);
    assert.equal(await stateOf(b, b.id), 'up', 'and it is not marked');
    await refuse(/no instance nobody/, a, 'undrain', 'nobody');
  });
});

suite('callfs node remove', { timeout: 180_000 }, () => {
  test('forgets a drained instance, once it is stopped', async () => {
    await using cluster = await startCluster();
    const [a, b, c] = [cluster.at(0), cluster.at(1), cluster.at(2)];
    await put(c, '/deep/in/file.txt', 'of c');
    await refuse(/callfs-3 is alive .*: drain it, then stop it/, a, 'remove', c.id);
    await succeed(a, 'drain', c.id);
    await refuse(/callfs-3 is alive/, a, 'remove', c.id);
    await c.stop();
    assert.match(await succeed(b, 'remove', c.id), /^Removed callfs-3\./);
    for (const witness of [a, b]) {
      // The files that it held were counted at most ten seconds ago.
      await waitFor(`${witness.id} to forget it`, async () => (await stateOf(witness, c.id)) === undefined);
      const { text } = await call('GET', witness.url, '/metrics');
      assert.doesNotMatch(text, /instance_id="callfs-3"/);
      assert.equal((await call('GET', witness.url, '/v1/files/deep/in/file.txt')).text, 'of c');
    }
    await assertFsckClean(cluster, 0, 1);
    await refuse(/no instance callfs-3; there are callfs-1, callfs-2/, a, 'remove', c.id);
    await refuse(/no instance callfs-3/, a, 'report', c.id);
  });

  test('gives up the files of a lost instance only when their number is said', async () => {
    await using cluster = await startCluster();
    const [a, b, c] = [cluster.at(0), cluster.at(1), cluster.at(2)];
    for (const name of ['one', 'two', 'three']) await put(c, `/lost/${name}.txt`, name);
    await put(a, '/lost/kept.txt', 'kept');
    await put(c, '/gone.txt', 'x');
    await c.kill();
    // It leaves the dead instance something to do.
    assert.equal((await call('DELETE', a.url, '/v1/files/lost/one.txt')).status, 502);
    await refuse(/callfs-3 holds 4 files\. Start it .*--force --forget-files 4/, a, 'remove', c.id);
    await refuse(/need each other/, a, 'remove', c.id, '--force');
    await refuse(/need each other/, a, 'remove', c.id, '--forget-files', '4');
    await refuse(/holds 4 files, not 3: nothing was done/, a, 'remove', c.id, '--force', '--forget-files', '3');
    const removed = JSON.parse(await succeed(a, 'remove', c.id, '--force', '--forget-files', '4', '--json')) as {
      readonly forgotten: readonly { readonly path: string; readonly size: number }[];
    };
    assert.deepEqual(removed.forgotten.map(({ path, size }) => [path, size]).sort(), [
      ['/gone.txt', 1],
      ['/lost/one.txt', 3],
      ['/lost/three.txt', 5],
      ['/lost/two.txt', 3],
    ]);
    for (const witness of [a, b]) {
      assert.equal((await call('GET', witness.url, '/v1/files/lost/two.txt')).status, 404);
      assert.equal((await call('GET', witness.url, '/v1/files/lost/kept.txt')).text, 'kept');
      // The files that it held were counted at most ten seconds ago.
      await waitFor(`${witness.id} to forget it`, async () => (await stateOf(witness, c.id)) === undefined);
    }
    await put(b, '/lost/two.txt', 'new');
    await assertFsckClean(cluster, 0, 1);
  });

  test('does not remove the only instance', async () => {
    await using cluster = await startCluster({ instances: 1 });
    await cluster.at(0).stop();
    await refuse(/is the only instance/, cluster.at(0), 'remove', 'callfs-1');
  });
});

suite('callfs node report', { timeout: 60_000 }, () => {
  test('tells what an instance holds, also of a dead one: sums by top directory, every path, JSON', async () => {
    await using cluster = await startCluster({ instances: 2 });
    const [a, b] = [cluster.at(0), cluster.at(1)];
    const etags = new Map<string, unknown>();
    for (const [path, body] of [
      ['/top.txt', 'x'],
      ['/docs/a.txt', 'aa'],
      ['/docs/deep/%C3%A9.txt', 'bbb'],
      ['/photos/c.jpg', 'c'.repeat(2000)],
    ]) {
      const { headers } = await put(b, String(path), String(body));
      etags.set(decodeURIComponent(String(path)), headers.etag);
    }
    await put(a, '/docs/other.txt', 'of a');
    await b.kill();
    const text = await succeed(a, 'report', b.id);
    assert.match(text, /^callfs-2: last seen \S+Z\.\nIt holds 4 files \(2\.01 kB\) and made \d directories\.\n/);
    assert.match(text, /\n\/ +1 +1 +1 B\n\/docs\/ +2 +5 +5 B\n\/photos\/ +1 +2000 +2\.00 kB\n/);
    const files = (await succeed(a, 'report', b.id, '--files')).trim().split('\n').sort();
    assert.deepEqual(files, [...etags.keys()].sort());
    const lines = (await succeed(a, 'report', b.id, '--files', '--json')).trim().split('\n');
    const parsed = lines.map((line) => JSON.parse(line) as { path: string; etag: string });
    assert.deepEqual(new Map(parsed.map(({ path, etag }) => [path, etag])), etags);
    const json = JSON.parse(await succeed(a, 'report', b.id, '--json')) as Record<string, unknown>;
    assert.deepEqual([json.files, json.bytes, json.registered, json.draining], [4, 2006, true, false]);
  });
});
