/** Instances with a disk and a bucket: files go where the client says, move between the two, and both follow the namespace. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { filesOnDisk, listTree, lostFiles } from './support/at-rest.ts';
import { call } from './support/client.ts';
import { ADMIN_KEY, startCluster, type TestCluster, type TestInstance } from './support/cluster.ts';
import { type ClusterFiles, clusterFiles } from './support/cluster-files.ts';
import { run } from './support/command.ts';
import { startRadosgw, UNLESS_RADOSGW } from './support/radosgw.ts';
import type { TestS3 } from './support/test-s3.ts';
import { queryStore, STORE_TYPE } from './support/test-store.ts';
import { begin, patch as patchUpload } from './support/tus.ts';
import { waitFor } from './support/wait-for.ts';

const BUCKET = 'two-backends';
const PREFIX = 'team/files/';
const TO_BUCKET = { 'x-callfs-backend': 's3' };
const TO_DISK = { 'x-callfs-backend': 'localfs' };

suite('two backends', { timeout: 240_000, skip: UNLESS_RADOSGW }, () => {
  let s3: TestS3;
  let cluster: TestCluster;
  let first: TestInstance;
  let files: ClusterFiles;
  before(async () => {
    s3 = await startRadosgw();
    await s3.createBucket(BUCKET);
    const access = { s3_endpoint: s3.endpoint, s3_access_key: s3.accessKey, s3_secret_key: s3.secretKey };
    const backend = { ...access, s3_region: s3.region, s3_bucket_name: BUCKET, s3_prefix: PREFIX };
    cluster = await startCluster({ instances: 2, config: { backend } });
    first = cluster.at(0);
    files = clusterFiles(() => cluster);
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
    await s3[Symbol.asyncDispose]();
  });

  /** Paths of the files in the bucket, CallFS's own left out. */
  async function inBucket(): Promise<string[]> {
    const keys = (await s3.objects(BUCKET, PREFIX)).map((key) => key.slice(PREFIX.length - 1));
    return keys.filter((key) => !key.startsWith('/.callfs/')).sort();
  }

  function onDisks(): string[] {
    return cluster.instances.flatMap(filesOnDisk).sort();
  }

  /** Until nothing is left to do; then every file is in its natural place and nowhere else. */
  async function atRest(): Promise<void> {
    const sql = 'SELECT (SELECT COUNT(*) FROM outbox) + (SELECT COUNT(*) FROM notes) AS items';
    await waitFor('disks, bucket and catalogs to follow', async () => {
      const [left] = (await queryStore(cluster.folder, sql)) as { items: number }[];
      const staged = await s3.objects(BUCKET, `${PREFIX}.callfs/staging/`);
      return Number(left?.items) === 0 && staged.length === 0;
    });
    const rows = await queryStore(cluster.folder, "SELECT id FROM entries WHERE type = 'file' AND backend_type = 's3'");
    assert.equal((await inBucket()).length, rows.length);
  }

  async function backendOf(path: string): Promise<string> {
    const { headers, status } = await call('HEAD', cluster.at(1).url, `/v1/files${path}`);
    assert.equal(status, 200, path);
    return String(headers['x-callfs-backend-type']);
  }

  test('are told by every instance', async () => {
    for (const { url } of cluster.instances) {
      const ready = await call('GET', url, '/ready');
      assert.deepEqual(ready.json().checks, { store: 'ok', localfs: 'ok', s3: 'ok' });
      const status = await call('GET', url, '/v1/cluster', { key: ADMIN_KEY });
      const instances = status.json().instances as { backends: string[] }[];
      assert.deepEqual(
        instances.map(({ backends }) => backends),
        [
          ['localfs', 's3'],
          ['localfs', 's3'],
        ],
      );
    }
  });

  test('take a file as the client says, at whichever instance it asks', async () => {
    const created = await files.put(0, '/docs/a.txt', 'one');
    assert.equal(created.headers['x-callfs-backend-type'], 'localfs');
    const replaced = await files.put(1, '/docs/a.txt', 'two', TO_BUCKET);
    assert.equal(replaced.headers['x-callfs-backend-type'], 's3');
    assert.equal(replaced.headers['x-callfs-instance-id'], first.id, 'the header went to the owner');
    const stayed = await files.put(1, '/docs/a.txt', 'three');
    assert.equal(stayed.headers['x-callfs-backend-type'], 's3');
    await files.assertEverywhere('/docs/a.txt', 'three');
    await atRest();
    assert.deepEqual([await inBucket(), onDisks()], [['/docs/a.txt'], []]);
    await files.put(0, '/docs/a.txt', 'four', TO_DISK);
    await files.assertEverywhere('/docs/a.txt', 'four');
    await atRest();
    assert.deepEqual([await inBucket(), onDisks()], [[], ['/docs/a.txt']]);
  });

  test('exchange a file, in place or with another path, and it stays the same version', async () => {
    const { etag } = (await call('HEAD', first.url, '/v1/files/docs/a.txt')).headers;
    for (const [backend, change] of [
      ['s3', { backend: 's3' }],
      ['localfs', { backend: 'localfs', instance: first.id }],
      ['s3', { backend: 's3', destination: '/docs/b.txt' }],
      ['s3', { destination: '/docs/a.txt' }],
    ] as const) {
      const path = 'destination' in change && change.destination === '/docs/a.txt' ? '/docs/b.txt' : '/docs/a.txt';
      const moved = await files.patch(1, path, change);
      assert.equal(moved.status, 200, moved.text);
      const at = String(moved.json().path);
      assert.deepEqual([moved.headers['x-callfs-backend-type'], moved.headers.etag], [backend, etag]);
      await files.assertEverywhere(at, 'four');
      await atRest();
      assert.deepEqual([await inBucket(), onDisks()], backend === 's3' ? [[at], []] : [[], [at]]);
    }
  });

  test('exchange the files of a tree, and follow when it gets another path', async () => {
    const paths = ['/tree/a', '/tree/deep/b', '/tree/deep/deeper/c', '/tree/d'];
    for (const [at, path] of paths.entries()) await files.put(at % 2, path, path, at < 2 ? TO_BUCKET : {});
    const renamed = await files.patch(0, '/tree', { destination: '/moved' });
    assert.equal(renamed.status, 200, renamed.text);
    for (const path of paths) await files.assertEverywhere(path.replace('/tree', '/moved'), path);
    await atRest();
    assert.deepEqual(await inBucket(), ['/docs/a.txt', '/moved/a', '/moved/deep/b']);
    assert.deepEqual(onDisks(), ['/moved/d', '/moved/deep/deeper/c']);
    const relocated = await files.patch(1, '/moved', { backend: 's3' });
    assert.equal(relocated.status, 200, relocated.text);
    const listed = await listTree(first, '/moved');
    const backends = listed.filter(({ type }) => type === 'file').map(({ backend_type }) => backend_type);
    assert.deepEqual(backends, ['s3', 's3', 's3', 's3']);
    await atRest();
    assert.deepEqual(onDisks(), []);
    for (const path of paths) await files.assertEverywhere(path.replace('/tree', '/moved'), path);
  });

  test('take a resumable upload, whose pieces are gathered on the disk', async () => {
    const text = 'hello world, piece by piece';
    const url = await begin(first, '/uploads/big.txt', text.length, { backend: 's3' });
    assert.equal((await patchUpload(cluster.at(1), url, 0, text.slice(0, 11))).status, 204);
    const last = await patchUpload(cluster.at(1), url, 11, text.slice(11));
    assert.equal(last.status, 204, last.text);
    assert.equal(last.headers['x-callfs-backend-type'], 's3');
    await files.assertEverywhere('/uploads/big.txt', text);
    await atRest();
    assert((await inBucket()).includes('/uploads/big.txt'));
    assert.deepEqual(onDisks(), []);
  });

  test('are told apart by the metrics', async () => {
    await files.put(0, '/removed', 'x', TO_BUCKET);
    assert.equal((await call('DELETE', first.url, '/v1/files/removed')).status, 204);
    const { text } = await call('GET', first.url, '/metrics');
    for (const operation of ['create', 'remove', 'move']) {
      assert(text.includes(`callfs_file_operations_total{operation="${operation}",backend_type="s3"} `), operation);
    }
    for (const type of ['localfs', 's3']) {
      assert(
        text.includes(`callfs_backend_op_duration_seconds_count{backend_type="${type}",operation="stage"} `),
        type,
      );
    }
    await atRest();
  });

  test('follow a directory each for itself, also when the instance dies on the way', async () => {
    const old = Array.from({ length: 20 }, (_, number) => `/crash/deep/${number}`);
    for (const [at, path] of old.entries()) await files.put(0, path, `old ${path}`, at % 2 === 0 ? TO_BUCKET : {});
    await atRest();
    assert.equal((await files.patch(0, '/crash', { destination: '/crashed' })).status, 200);
    // What has the old paths from now on must not go with what had them.
    for (const [at, path] of old.entries()) await files.put(0, path, `new ${path}`, at % 2 === 0 ? TO_DISK : TO_BUCKET);
    await first.kill();
    await first.start();
    const read = () => call('GET', cluster.at(1).url, `/v1/files${old[0]}`);
    await waitFor('the owner to be known as back', async () => (await read()).status === 200);
    for (const path of old) {
      await files.assertEverywhere(path, `new ${path}`);
      await files.assertEverywhere(path.replace('/crash', '/crashed'), `old ${path}`);
    }
    await atRest();
    const isOdd = (path: string): boolean => Number(path.split('/').at(-1)) % 2 === 1;
    const moved = old.map((path) => path.replace('/crash', '/crashed'));
    const below = (paths: readonly string[]) => paths.filter((path) => path.startsWith('/crash')).sort();
    assert.deepEqual(below(await inBucket()), [...old.filter(isOdd), ...moved.filter((path) => !isOdd(path))].sort());
    assert.deepEqual(below(onDisks()), [...old.filter((path) => !isOdd(path)), ...moved.filter(isOdd)].sort());
    assert.deepEqual(cluster.instances.flatMap(lostFiles), []);
  });

  test('come back from a lost store with all that they held', { skip: STORE_TYPE === 'postgres' }, async () => {
    await files.put(0, '/kept/disk', 'on a disk');
    await files.put(1, '/kept/bucket', 'in the bucket', TO_BUCKET);
    await atRest();
    const before = await listTree(first);
    for (const instance of cluster.instances) await instance.stop();
    for (const suffix of ['', '-wal', '-shm']) rmSync(join(cluster.folder, `callfs.sqlite3${suffix}`), { force: true });
    const configs = cluster.instances.flatMap(({ configFile }) => ['-c', configFile]);
    const rebuilt = await run(['rebuild', ...configs]);
    assert.equal(rebuilt.exitCode, 0, rebuilt.stdout + rebuilt.stderr);
    for (const instance of cluster.instances) await instance.start();
    assert.deepEqual(await listTree(first), before);
    await files.assertEverywhere('/kept/disk', 'on a disk');
    await files.assertEverywhere('/kept/bucket', 'in the bucket');
    assert.equal(await backendOf('/kept/bucket'), 's3');
    await files.put(1, '/kept/bucket', 'in the bucket still');
    await files.assertEverywhere('/kept/bucket', 'in the bucket still');
    await atRest();
  });
});
