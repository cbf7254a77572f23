/** Files go between an instance's disk and its bucket by rules: by command and by themselves, while clients use them. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, suite, test } from 'node:test';
import { call } from './support/client.ts';
import { ADMIN_KEY, startCluster, type TestCluster } from './support/cluster.ts';
import { CALLFS, run } from './support/command.ts';
import { startRadosgw, UNLESS_RADOSGW } from './support/radosgw.ts';
import type { TestS3 } from './support/test-s3.ts';
import { waitFor } from './support/wait-for.ts';

const FILES = process.env.CALLFS_LONG_TESTS === '1' ? 2000 : 60;
const BUCKET = 'tiering';
const PATIENCE_MS = 300_000;
const NEVER = '596h';
const RULES = [
  { match: '/logs/keep/**', to: 'localfs' },
  { match: '/logs/young/**', older_than: '30d', to: 's3' },
  { match: '/logs/**', to: 's3' },
];
const ALL_TO_DISK = '[{"match": "/**", "to": "localfs"}]';
const NO_SUCH_PATTERN = { match: '/nothing', to: 's3' };

const bodyOf = (path: string): string => `bytes of ${path}\n`.repeat(path.length * 7);

suite('tiering', { skip: UNLESS_RADOSGW }, () => {
  let s3: TestS3;

  before(async () => {
    s3 = await startRadosgw();
    await s3.createBucket(BUCKET);
  });
  after(() => s3[Symbol.asyncDispose]());

  function start(tiering: readonly object[], every: string, prefix: string): Promise<TestCluster> {
    const { endpoint: s3_endpoint, accessKey: s3_access_key, secretKey: s3_secret_key } = s3;
    const bucket = { s3_endpoint, s3_access_key, s3_secret_key, s3_bucket_name: BUCKET, s3_prefix: prefix };
    const config = { backend: bucket, tiering, tiering_rounds: { every, parallel: 4 } };
    return startCluster({ instances: 1, config });
  }

  async function put(cluster: TestCluster, path: string, body = bodyOf(path)): Promise<void> {
    const answer = await call('PUT', cluster.at(0).url, `/v1/files${path}`, { body });
    assert.ok(answer.status === 201 || answer.status === 200, `PUT ${path}: ${answer.status} ${answer.text}`);
  }

  const head = async (cluster: TestCluster, path: string) =>
    (await call('HEAD', cluster.at(0).url, `/v1/files${path}`)).headers;

  async function heads(cluster: TestCluster, paths: readonly string[]) {
    const answers: Awaited<ReturnType<typeof head>>[] = [];
    for (const path of paths) answers.push(await head(cluster, path));
    return answers;
  }

  const backendOf = async (cluster: TestCluster, path: string) => (await head(cluster, path))['x-callfs-backend-type'];

  async function assertIntact(cluster: TestCluster, paths: readonly string[]): Promise<void> {
    for (const path of paths) {
      const answer = await call('GET', cluster.at(0).url, `/v1/files${path}`);
      assert.equal(answer.status, 200, `${path}: ${answer.text}`);
      assert.equal(answer.text, bodyOf(path), path);
    }
  }

  test('a plan tells, a round moves, a killed instance loses nothing, and everything comes back', async () => {
    await using cluster = await start(RULES, NEVER, 'command/');
    const { configFile, dataRoot, url } = cluster.at(0);
    const due = Array.from({ length: FILES }, (_, number) => `/logs/${number % 5}/.file-${number}`);
    const others = ['/docs/a', '/logs/keep/b', '/logs/young/c'];
    for (const path of [...due, ...others]) await put(cluster, path);
    const before = await heads(cluster, due);
    const tier = (...args: string[]) => run(['tier', '-c', configFile, ...args], { patienceMs: PATIENCE_MS });

    const plan = await tier('--plan');
    assert.deepEqual([plan.exitCode, plan.stderr], [0, '']);
    assert.match(plan.stdout, new RegExp(`/logs/\\*\\* +0s +- +s3 +${FILES} `));
    assert.match(plan.stdout, /Nothing was moved/);
    const { rules } = JSON.parse((await tier('--plan', '--json')).stdout) as {
      rules: Record<string, { files: number }>[];
    };
    assert.deepEqual(
      rules.map(({ due, waiting, there }) => [due?.files, waiting?.files, there?.files]),
      [
        [0, 0, 1],
        [0, 1, 0],
        [FILES, 0, 0],
      ],
    );
    assert.equal(await backendOf(cluster, due[0] ?? ''), 'localfs');

    const stopped = spawn(CALLFS, ['tier', '-c', configFile, '--rate', '20kB/s'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const told = text(stopped.stdout);
    await waitFor(
      'a file in the bucket',
      async () => (await s3.objects(BUCKET, 'command/logs/')).length > 0,
      PATIENCE_MS,
    );
    stopped.kill('SIGINT');
    const [code] = await once(stopped, 'close');
    assert.deepEqual([code, /Stopped\. Run it again/.test(await told)], [3, true], await told);

    const killed = tier('--parallel', '1');
    await waitFor(
      'some files in the bucket',
      async () => (await s3.objects(BUCKET, 'command/logs/')).length >= 15,
      PATIENCE_MS,
    );
    await cluster.at(0).kill();
    assert.notEqual((await killed).exitCode, 0);
    await cluster.at(0).start();
    assert.notEqual(url, '');
    await assertIntact(cluster, [...due, ...others]);

    const { exitCode, stdout, stderr } = await tier('--json');
    assert.deepEqual([exitCode, stderr], [0, ''], stdout);
    const later = await heads(cluster, due);
    for (const [index, now] of later.entries()) {
      const path = due[index] ?? '';
      const then = before[index];
      assert.equal(now['x-callfs-backend-type'], 's3', path);
      assert.deepEqual([now.etag, now['x-callfs-mtime']], [then?.etag, then?.['x-callfs-mtime']], path);
    }
    for (const path of others) assert.equal(await backendOf(cluster, path), 'localfs', path);
    await assertIntact(cluster, [...due, ...others]);
    const isSettled = async () =>
      (await s3.objects(BUCKET, 'command/logs/')).length === FILES &&
      due.every((path) => !existsSync(join(dataRoot, path))) &&
      (await s3.objects(BUCKET, 'command/.callfs/staging/')).length === 0;
    await waitFor('the bytes to be in the bucket only', isSettled, PATIENCE_MS);
    assert.match((await tier()).stdout, /^Moved 0 files/);

    const back = { env: { CALLFS_TIERING: ALL_TO_DISK }, patienceMs: PATIENCE_MS };
    const returned = await run(['tier', '-c', configFile], back);
    assert.match(returned.stdout, new RegExp(`^Moved ${FILES} files`), returned.stderr);
    await assertIntact(cluster, [...due, ...others]);
    await waitFor('an empty bucket', async () => (await s3.objects(BUCKET, 'command/logs/')).length === 0, PATIENCE_MS);
  });

  test('what is wrong is told in one line', async () => {
    await using cluster = await start([NO_SUCH_PATTERN], NEVER, 'errors/');
    const { configFile } = cluster.at(0);
    const none = await run(['tier', '-c', configFile, '--plan'], { env: { CALLFS_TIERING: '[]' } });
    assert.deepEqual([none.exitCode, none.stdout], [1, '']);
    assert.match(none.stderr, /^callfs: "tiering" has no rules; one is, for example: tiering: \[\{match: .*\}\]\n$/);
    await put(cluster, '/a');
    await cluster.at(0).stop();
    const down = await run(['tier', '-c', configFile], {
      env: { CALLFS_TIERING: '[{"match": "/a", "to": "s3"}]' },
    });
    assert.equal(down.exitCode, 1);
    assert.match(down.stderr, /^callfs: No instance answers at .*does it run\?\n$/);
  });

  test('files go by themselves while they are read and written, and wait when the bucket is gone', async () => {
    await using cluster = await start([{ match: '/auto/**', to: 's3' }], '200ms', 'auto/');
    const paths = Array.from({ length: 20 }, (_, number) => `/auto/${number}`);
    for (const path of paths) await put(cluster, path);
    await waitFor('all files in the bucket', async () => {
      await assertIntact(cluster, paths);
      return (await heads(cluster, paths)).every((fields) => fields['x-callfs-backend-type'] === 's3');
    });
    // Written to again and again, each time back on the disk: a reader sees what was written last.
    for (let round = 0; round < 30; round++) {
      const answer = await call('DELETE', cluster.at(0).url, '/v1/files/auto/busy');
      assert.ok(answer.status === 204 || (round === 0 && answer.status === 404), answer.text);
      await put(cluster, '/auto/busy', `round ${round}`);
      const seen = await call('GET', cluster.at(0).url, '/v1/files/auto/busy');
      assert.deepEqual([seen.status, seen.text], [200, `round ${round}`]);
    }
    const metrics = await call('GET', cluster.at(0).url, '/metrics', { key: ADMIN_KEY });
    const moved = Number(/^callfs_tiered_files_total\{to="s3"\} (\d+)$/m.exec(metrics.text)?.[1]);
    assert.ok(moved >= paths.length, `${moved} files`);
    const lines = cluster.at(0).log.filter(({ msg }) => String(msg).startsWith('tiering:'));
    assert.ok(lines.some(({ files, bytes }) => Number(files) > 0 && Number(bytes) > 0));
    assert.ok(
      lines.every(({ failed }) => failed === 0),
      JSON.stringify(lines),
    );

    await s3[Symbol.asyncDispose]();
    await put(cluster, '/auto/late');
    const isTold = () => cluster.at(0).log.some(({ msg, obstacle }) => String(msg).startsWith('tiering:') && obstacle);
    await waitFor('a line about the bucket', isTold, 60_000);
    await assertIntact(cluster, ['/auto/late']);
    assert.equal(await cluster.at(0).stop(), 0, 'it stops cleanly all the same');
  });
});
