/** Objects that lie in a bucket enter the namespace where they are, and files in it come back when the metadata store is lost. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { CopyObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { type Answer, call } from './support/client.ts';
import { startCluster, type TestCluster, type TestInstance } from './support/cluster.ts';
import { run } from './support/command.ts';
import { startRadosgw, UNLESS_RADOSGW } from './support/radosgw.ts';
import { bucketConfig } from './support/test-bucket.ts';
import type { TestS3 } from './support/test-s3.ts';
import { waitFor } from './support/wait-for.ts';

interface Adopted {
  readonly adopted: number;
  readonly directories: number;
  readonly skipped: number;
  readonly conflicts: readonly { readonly path: string }[];
  readonly refused: readonly { readonly path: string; readonly reason: string }[];
}

interface Fsck {
  readonly findings: readonly { readonly kind: string; readonly path: string; readonly repaired: boolean }[];
}

interface Rebuilt {
  readonly instances: readonly {
    readonly restored: { readonly files: number; readonly directories: number };
    readonly findings: readonly { readonly kind: string; readonly path: string }[];
  }[];
}

const BUCKET = 'adopted';
/** More than one part. */
const LARGE = Buffer.alloc(6 * 1024 * 1024, 'large ');

suite('files that lie in a bucket', { timeout: 180_000, skip: UNLESS_RADOSGW }, () => {
  let s3: TestS3;
  let cluster: TestCluster;
  let a: TestInstance;
  let b: TestInstance;

  before(async () => {
    s3 = await startRadosgw();
    await s3.createBucket(BUCKET);
    const config = bucketConfig({ s3, name: BUCKET });
    cluster = await startCluster({ instances: 2, config, keepLog: false });
    [a, b] = [cluster.at(0), cluster.at(1)];
  });
  after(async () => {
    await cluster?.[Symbol.asyncDispose]();
    await s3?.[Symbol.asyncDispose]();
  });

  const get = ({ url }: TestInstance, path: string): Promise<Answer> => call('GET', url, `/v1/files${path}`);

  async function put({ url }: TestInstance, path: string, body: string, headers = {}): Promise<void> {
    const { status, text } = await call('PUT', url, `/v1/files${path}`, { body, headers });
    assert(status === 200 || status === 201, `PUT ${path}: ${status} ${text}`);
  }

  const settled = (): Promise<unknown> =>
    waitFor('objects in their places', async () =>
      (await s3.objects(BUCKET, '.callfs/')).every((key) => key.startsWith('.callfs/lost+found/')),
    );

  /** What a command prints, which must end with this exit code. */
  async function json<T>(exitCode: number, ...args: string[]): Promise<T> {
    const ended = await run([...args, '--json']);
    assert.equal(ended.exitCode, exitCode, (ended.stderr + ended.stdout).slice(0, 3000));
    return JSON.parse(ended.stdout) as T;
  }

  const adopt = (exitCode: number, ...args: string[]): Promise<Adopted> =>
    json(exitCode, 'adopt', '--backend', 's3', '-c', a.configFile, '--owner', 'alice', ...args);

  async function fsck({ configFile }: TestInstance): Promise<string[]> {
    const { stdout } = await run(['fsck', '-c', configFile, '--json', '--deep']);
    const { findings } = JSON.parse(stdout) as Fsck;
    return findings.map(({ kind, path }) => `${kind} ${path}`).sort();
  }

  const REFUSED = ['/bad//key', '/control\u0001', '/up/../down', '/with-bytes/'];

  test('a dry run says what would be adopted, and changes nothing', async () => {
    await s3.client.send(
      new PutObjectCommand({ Bucket: BUCKET, Key: 'photos/one', Body: 'a photo', ContentType: 'image/jpeg' }),
    );
    await new Upload({ client: s3.client, params: { Bucket: BUCKET, Key: 'photos/deep/large', Body: LARGE } }).done();
    for (const name of ['photos/deep/two.txt', 'photos-2', 'taken', 'tëxt & 100%+.txt'])
      await s3.put(BUCKET, name, name);
    await s3.put(BUCKET, 'empty/', '');
    for (const path of REFUSED) await s3.put(BUCKET, path.slice(1), 'of no path');
    await put(a, '/taken', 'on the disk', { 'x-callfs-backend': 'localfs' });
    await put(b, '/others/file', 'of the other one');
    await settled();
    const report = await adopt(3, '--dry-run');
    assert.equal(report.adopted, 5);
    assert.equal(report.directories, 3);
    assert.equal(report.skipped, 1);
    assert.deepEqual(
      report.conflicts.map(({ path }) => path),
      ['/taken'],
    );
    assert.deepEqual(report.refused.map(({ path }) => path).sort(), [...REFUSED].sort());
    assert.equal((await get(a, '/photos/one')).status, 404);
  });

  test('objects become files where they are, with their types, times and sums, in as many runs as it takes', async () => {
    const before = new Map<string, unknown>();
    for (const key of await s3.objects(BUCKET)) before.set(key, await s3.head(BUCKET, key));
    const part = await adopt(0, 'photos/');
    assert.deepEqual([part.adopted, part.directories, part.skipped], [3, 2, 0]);
    const rest = await adopt(3);
    assert.deepEqual([rest.adopted, rest.directories, rest.skipped], [2, 1, 4]);
    assert.deepEqual(rest.refused.map(({ path }) => path).sort(), [...REFUSED].sort());
    for (const [key, seen] of before) assert.deepEqual(await s3.head(BUCKET, key), seen, key);
    for (const instance of [a, b]) {
      const { headers, text } = await get(instance, '/photos/one');
      assert.equal(text, 'a photo');
      assert.equal(headers['content-type'], 'image/jpeg');
      assert.equal(headers['x-callfs-instance-id'], a.id);
      assert((Date.now() - Date.parse(String(headers['last-modified']))) / 60_000 < 10);
    }
    assert.match(String((await get(b, '/photos/deep/two.txt')).headers['content-type']), /^text\/plain/);
    const { headers } = await call('HEAD', b.url, '/v1/files/photos/deep/large', {
      headers: { 'want-repr-digest': 'sha-256=10' },
    });
    assert.equal(headers['content-length'], String(LARGE.length));
    assert.equal(headers['repr-digest'], `sha-256=:${createHash('sha256').update(LARGE).digest('base64')}:`);
    assert.equal((await call('GET', a.url, '/v1/directories/empty')).status, 200);
  });

  test('what was adopted is changed and removed as everything else', async () => {
    await put(b, '/made', 'by an instance');
    await settled();
    // With the label of the content that it is a copy of.
    await s3.client.send(new CopyObjectCommand({ Bucket: BUCKET, Key: 'photos/copy', CopySource: `${BUCKET}/made` }));
    assert.equal((await adopt(0, 'photos/')).adopted, 1);
    await put(b, '/photos/one', 'replaced', { 'content-type': 'image/jpeg' });
    for (const path of ['/photos/copy', '/photos/deep/two.txt']) {
      assert.equal((await call('DELETE', b.url, `/v1/files${path}`)).status, 204);
    }
    assert.equal((await get(a, '/made')).text, 'by an instance');
    await waitFor('the bucket to follow', async () => {
      const keys = await s3.objects(BUCKET);
      return (
        !keys.includes('photos/copy') &&
        !keys.includes('photos/deep/two.txt') &&
        (await s3.get(BUCKET, 'photos/one')).toString() === 'replaced'
      );
    });
    for (const path of REFUSED) await s3.delete(BUCKET, path.slice(1));
    await s3.delete(BUCKET, 'taken');
    assert.deepEqual(await fsck(a), []);
  });

  test('a bucket cannot be watched, nor adopted to another place', async () => {
    const watched = await run(['adopt', '--backend', 's3', '-c', a.configFile, '--watch']);
    assert.equal(watched.exitCode, 1);
    assert.match(watched.stderr, /--watch is for disks/);
    const moved = await run(['adopt', 'photos/', '--backend', 's3', '-c', a.configFile, '--into', '/x']);
    assert.match(moved.stderr, /adopted where it is/);
  });

  const KEPT = ['/photos/one', '/photos/deep/large', '/photos-2', '/made', '/others/file', '/taken'];
  const etagsOf = async (instance: TestInstance, paths: readonly string[]): Promise<unknown[]> =>
    Promise.all(paths.map(async (path) => (await call('HEAD', instance.url, `/v1/files${path}`)).headers.etag));

  const loseStore = (): void => {
    for (const suffix of ['', '-wal', '-shm']) rmSync(join(cluster.folder, `callfs.sqlite3${suffix}`), { force: true });
  };

  test('a lost store is rebuilt with the files of the bucket, and what the bucket does not have is told', async () => {
    for (const name of ['gone', 'edited']) await put(a, `/${name}`, `of ${name}`);
    const before = await etagsOf(a, KEPT);
    await settled();
    for (const instance of cluster.instances) await instance.stop();
    await s3.delete(BUCKET, 'gone');
    await s3.put(BUCKET, 'edited', 'edited by somebody');
    loseStore();
    // What the other one has is not known again before that one is rebuilt, and must not be cleared away.
    await json<Rebuilt>(3, 'rebuild', '-c', a.configFile);
    const early = await json<Fsck>(3, 'fsck', '-c', a.configFile, '--backend', 's3', '--repair');
    assert.deepEqual(
      early.findings.map(({ kind, path, repaired }) => `${kind} ${path} ${repaired}`),
      ['unknown-file /made false', 'unknown-file /others/file false'],
    );
    loseStore();
    const { instances } = await json<Rebuilt>(3, 'rebuild', '-c', a.configFile, '-c', b.configFile);
    assert.deepEqual(
      instances
        .flatMap(({ findings }) => findings)
        .map(({ kind, path }) => `${kind} ${path}`)
        .sort(),
      ['changed-file /edited', 'missing-bytes /gone'],
    );
    // Those of a but the one that is gone, and those of b.
    assert.deepEqual(
      instances.map(({ restored }) => restored.files),
      [6, 2],
    );
    const again = await json<Rebuilt>(3, 'rebuild', '-c', a.configFile, '-c', b.configFile);
    assert.deepEqual(
      again.instances.map(({ restored }) => restored.files),
      [0, 0],
    );
    await Promise.all(cluster.instances.map((instance) => instance.start()));
    assert.deepEqual(await etagsOf(b, KEPT), before);
    assert.equal((await get(b, '/edited')).text, 'edited by somebody');
    assert.equal((await get(a, '/photos/one')).text, 'replaced');
    assert.deepEqual(await fsck(a), []);
    assert.deepEqual(await fsck(b), []);
  });

  test('when the data roots are lost, too, what lies in the bucket is adopted', async () => {
    for (const instance of cluster.instances) {
      await instance.stop();
      rmSync(instance.dataRoot, { recursive: true, force: true });
    }
    loseStore();
    const report = await adopt(0);
    assert.equal(report.adopted, 7);
    await a.start();
    assert.equal((await get(a, '/photos/one')).text, 'replaced');
    assert.equal((await get(a, '/photos/one')).headers['content-type'], 'image/jpeg');
    assert.equal((await call('DELETE', a.url, '/v1/files/made')).status, 204);
    await waitFor('the object to go', async () => !(await s3.objects(BUCKET)).includes('made'));
    assert.deepEqual(await fsck(a), []);
  });
});
