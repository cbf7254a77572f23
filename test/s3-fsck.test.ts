/** `callfs fsck` finds every kind of damage in a bucket, repairs what is safe, and leaves alone what is not the instance's. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, suite, test } from 'node:test';
import { crc32 } from 'node:zlib';
import { CreateMultipartUploadCommand } from '@aws-sdk/client-s3';
import { call } from './support/client.ts';
import { startCluster, type TestCluster, type TestInstance } from './support/cluster.ts';
import { run } from './support/command.ts';
import { startRadosgw, UNLESS_RADOSGW } from './support/radosgw.ts';
import { bucketConfig } from './support/test-bucket.ts';
import type { TestS3 } from './support/test-s3.ts';
import { waitFor } from './support/wait-for.ts';

interface Finding {
  readonly kind: string;
  readonly path: string;
  readonly backend_type: string;
  readonly repair: string;
  readonly repaired: boolean;
}

interface Report {
  readonly bucket?: string;
  readonly running: boolean;
  readonly checked: { readonly entries: number; readonly files: number };
  readonly findings: readonly Finding[];
}

const BUCKET = 'checked';
const LABEL = 'callfs-content-id';

suite('callfs fsck of an instance with a bucket', { timeout: 180_000, skip: UNLESS_RADOSGW }, () => {
  let s3: TestS3;
  let cluster: TestCluster;
  let a: TestInstance;
  let b: TestInstance;

  before(async () => {
    s3 = await startRadosgw();
    await s3.createBucket(BUCKET);
    const config = { backend: { ...bucketConfig({ s3, name: BUCKET }).backend, s3_prefix: 'team/' } };
    cluster = await startCluster({ instances: 2, config, keepLog: false });
    [a, b] = [cluster.at(0), cluster.at(1)];
  });
  after(async () => {
    await cluster?.[Symbol.asyncDispose]();
    await s3?.[Symbol.asyncDispose]();
  });

  const keys = async (): Promise<string[]> =>
    (await s3.objects(BUCKET, 'team/')).map((key) => key.slice('team/'.length)).sort();

  async function put({ url }: TestInstance, path: string, body: string, headers = {}): Promise<void> {
    const { status, text } = await call('PUT', url, `/v1/files${path}`, { body, headers });
    assert(status === 200 || status === 201, `PUT ${path}: ${status} ${text}`);
  }

  const textAt = async ({ url }: TestInstance, path: string): Promise<string> =>
    (await call('GET', url, `/v1/files${path}`)).text;

  /** The report of a check that must end with this exit code. */
  async function check(exitCode: number, { configFile }: TestInstance, ...options: string[]): Promise<Report> {
    const ended = await run(['fsck', '-c', configFile, '--json', ...options]);
    assert.equal(ended.exitCode, exitCode, (ended.stderr + ended.stdout).slice(0, 3000));
    assert.equal(ended.stderr, '');
    return JSON.parse(ended.stdout) as Report;
  }

  const found = ({ findings }: Report): string[] =>
    findings.map(({ kind, path, backend_type: type }) => `${kind} ${path} ${type}`).sort();

  /** Runs SQL on the namespace, as nothing but damage would. */
  function tamper(sql: string, ...values: (string | number)[]): void {
    using database = new DatabaseSync(join(cluster.folder, 'callfs.sqlite3'), { timeout: 5000 });
    assert.equal(database.prepare(sql).run(...values).changes, 1, sql);
  }

  function entryOf(name: string): { readonly contentId: string; readonly stamp: string } {
    using database = new DatabaseSync(join(cluster.folder, 'callfs.sqlite3'), { readOnly: true });
    const row = database.prepare('SELECT content_id, storage_stamp FROM entries WHERE name = ?').get(name);
    return { contentId: String(row?.content_id), stamp: String(row?.storage_stamp) };
  }

  const discardRow = (instanceId: string, path: string, contentId: string, key: string, stamp: string): void =>
    tamper(
      `INSERT INTO outbox (kind, entry_id, instance_id, backend_type, path, content_id, size_bytes, checksum, storage_key, storage_stamp)
       VALUES ('discard', '', ?, 's3', ?, ?, 7, '00000000', ?, ?)`,
      ...[instanceId, path, contentId, key, stamp],
    );

  const NAMES = ['sound', 'corrupt', 'missing', 'changed', 'edited', 'restored', 'astray', 'brought', 'staged'];

  test('finds nothing while two instances are at work in one bucket', async () => {
    for (const name of NAMES) await put(a, `/docs/${name}`, `of ${name}`);
    await put(a, '/on-disk', 'on a disk', { 'x-callfs-backend': 'localfs' });
    await put(b, '/others/file', 'of the other one');
    await waitFor('objects in their places', async () => (await keys()).every((key) => !key.startsWith('.callfs/')));
    const report = await check(0, a, '--deep');
    assert.deepEqual(report.findings, []);
    assert.equal(report.bucket, `s3://${BUCKET}/team/`);
    assert.deepEqual(report.checked, { entries: NAMES.length + 1, files: NAMES.length + 2 });
    assert(report.running);
  });

  const PLANTED = [
    'missing-bytes /docs/missing s3',
    'corrupt-bytes /docs/corrupt s3',
    'changed-file /docs/changed s3',
    'changed-file /docs/edited s3',
    'restored-file /docs/restored s3',
    'misplaced-bytes /docs/astray s3',
    'misplaced-bytes /docs/brought s3',
    'misplaced-bytes /docs/staged s3',
    'unknown-file /stranger s3',
    'unknown-file bad//key s3',
    'unknown-file /garbage s3',
    'pending-removal /removed s3',
    'dangling-removal /dangling s3',
    'unknown-file /on-disk-too localfs',
  ].sort();
  const staging = `.callfs/staging/callfs-1/`;
  const left = { staged: staging + randomUUID(), parts: staging + randomUUID(), others: '' };

  async function plant(): Promise<void> {
    const at = (key: string): string => `team/${key}`;
    await s3.delete(BUCKET, at('docs/missing'));
    await s3.put(BUCKET, at('docs/changed'), 'changed by somebody');
    // As tools do that keep what an object carries.
    await s3.put(BUCKET, at('docs/edited'), 'changed by somebody', { [LABEL]: entryOf('edited').contentId });
    tamper("UPDATE entries SET checksum = '00000000' WHERE name = 'corrupt'");
    tamper("UPDATE entries SET storage_stamp = 'another' WHERE name = 'restored'");
    for (const [name, key] of [
      ['astray', 'elsewhere/astray'],
      ['staged', `${staging}${entryOf('staged').contentId}`],
    ] as const) {
      await s3.put(BUCKET, at(key), `of ${name}`, { [LABEL]: entryOf(name).contentId });
      await s3.delete(BUCKET, at(`docs/${name}`));
      tamper('UPDATE entries SET storage_key = ? WHERE name = ?', key, name);
    }
    tamper('UPDATE entries SET storage_key = ? WHERE name = ?', `${staging}${entryOf('brought').contentId}`, 'brought');
    await s3.put(BUCKET, at('stranger'), 'of nobody');
    await s3.put(BUCKET, at('bad//key'), 'of nobody');
    await s3.put(BUCKET, at('shown/'), '');
    await s3.put(BUCKET, at('garbage'), 'left by a crash', { [LABEL]: randomUUID() });
    await s3.put(BUCKET, at(left.staged), 'left by a crash');
    left.others = `.callfs/staging/callfs-2/${randomUUID()}`;
    await s3.put(BUCKET, at(left.others), 'of the other one');
    await s3.client.send(new CreateMultipartUploadCommand({ Bucket: BUCKET, Key: at(left.parts) }));
    const removed = randomUUID();
    await s3.put(BUCKET, at('removed'), 'removed', { [LABEL]: removed });
    discardRow('callfs-1', '/removed', removed, 'removed', (await s3.head(BUCKET, at('removed')))?.etag ?? '');
    discardRow('nobody', '/dangling', randomUUID(), 'dangling', 'none');
    writeFileSync(join(a.dataRoot, 'on-disk-too'), 'of nobody');
  }

  test('finds all that was planted, and only that', async () => {
    for (const instance of cluster.instances) await instance.stop();
    await plant();
    const all = [...PLANTED, `leftover-staging ${left.staged} s3`, `unfinished-upload ${left.parts} s3`].sort();
    const before = await keys();
    const report = await check(3, a, '--deep');
    assert.deepEqual(found(report), all);
    assert(!report.running);
    assert.deepEqual(await keys(), before, 'a look changes nothing');
    const only = await check(3, a, '--path', '/docs', '--backend', 's3');
    assert.deepEqual(
      found(only),
      all.filter((line) => line.includes(' /docs/') && !line.startsWith('corrupt')),
    );
    // The others do not lie there.
    assert.deepEqual(only.checked, { entries: NAMES.length, files: NAMES.length - 3 });
  });

  test('repairs what is safe, and is clean then', async () => {
    const repaired = await check(3, a, '--repair');
    const failed = repaired.findings.filter((finding) => !finding.repaired);
    assert.deepEqual(
      failed.map(({ kind, path }) => `${kind} ${path}`),
      ['missing-bytes /docs/missing'],
    );
    await check(0, a, '--repair', '--forget-lost');
    const right = crc32('of corrupt').toString(16).padStart(8, '0');
    tamper("UPDATE entries SET checksum = ? WHERE name = 'corrupt'", right);
    assert.deepEqual((await check(0, a, '--deep')).findings, []);
    const docs = NAMES.filter((name) => name !== 'missing').map((name) => `docs/${name}`);
    const after = await keys();
    const lost = after.filter((key) => key.startsWith('.callfs/lost+found/'));
    assert.equal(lost.length, 3);
    const rest = after.filter((key) => !lost.includes(key));
    assert.deepEqual(rest, [...docs, 'others/file', 'shown/', left.others].sort());
    assert.deepEqual(await s3.uploads(BUCKET), []);
    const kept = await Promise.all(lost.map(async (key) => (await s3.get(BUCKET, `team/${key}`)).toString()));
    assert.deepEqual(kept.sort(), ['left by a crash', 'of nobody', 'of nobody']);
  });

  test('leaves to running instances what may be on its way, and still finds what is not theirs', async () => {
    await Promise.all(cluster.instances.map((instance) => instance.start()));
    for (const name of NAMES.filter((each) => each !== 'missing')) {
      const isChanged = name === 'changed' || name === 'edited';
      assert.equal(await textAt(b, `/docs/${name}`), isChanged ? 'changed by somebody' : `of ${name}`);
    }
    await s3.put(BUCKET, 'team/young', 'perhaps on its way', { [LABEL]: randomUUID() });
    await s3.put(BUCKET, 'team/late', 'of nobody');
    assert.deepEqual(found(await check(0, a, '--repair')), ['unknown-file /late s3']);
    await check(0, b);
    assert((await keys()).includes('young'));
    // What was adopted goes away as everything else does.
    for (const name of ['changed', 'edited']) {
      assert.equal((await call('DELETE', a.url, `/v1/files/docs/${name}`)).status, 204);
      await waitFor(`${name} to go`, async () => !(await keys()).includes(`docs/${name}`));
    }
  });

  test('says so when the bucket cannot be reached, and checks the disk alone when it shall', async () => {
    await s3[Symbol.asyncDispose]();
    const ended = await run(['fsck', '-c', a.configFile]);
    assert.equal(ended.exitCode, 1, ended.stdout);
    assert.match(ended.stderr, /bucket/);
    assert.equal((await check(0, a, '--backend', 'localfs')).bucket, undefined);
  });
});
