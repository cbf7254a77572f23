/** A real bucket that two instances share, beside one that has none: the owner of its files is killed, frozen, drained. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { listTree } from './support/at-rest.ts';
import { type Answer, call } from './support/client.ts';
import { ALICE_KEY, startCluster, type TestCluster, type TestInstance } from './support/cluster.ts';
import { run } from './support/command.ts';
import { newMember } from './support/member.ts';
import { startRadosgw, UNLESS_RADOSGW } from './support/radosgw.ts';
import { RawConnection } from './support/raw-connection.ts';
import type { TestS3 } from './support/test-s3.ts';
import { timedCall } from './support/timing.ts';
import { waitFor } from './support/wait-for.ts';

const BUCKET = 'shared-bucket';
const IS_LONG = process.env.CALLFS_LONG_TESTS === '1';
const WORKERS = IS_LONG ? 24 : 10;
const ROUNDS = IS_LONG ? 8 : 1;
const CHANGES_EACH = 8;
const urlOf = (path: string): string => `/v1/files${path}`;
const ms = (value: number): string => `${Math.round(value)} ms`;

suite('a bucket that instances share', { timeout: IS_LONG ? 1_200_000 : 300_000, skip: UNLESS_RADOSGW }, () => {
  let s3: TestS3;
  let cluster: TestCluster;
  /** Has no bucket. */
  let other: TestInstance;

  before(async () => {
    s3 = await startRadosgw();
    await s3.createBucket(BUCKET);
    const bucket = { s3_endpoint: s3.endpoint, s3_bucket_name: BUCKET, s3_access_key: s3.accessKey };
    const backend = { ...bucket, s3_secret_key: s3.secretKey, default_backend: 's3' };
    cluster = await startCluster({ instances: 2, config: { backend } });
    other = newMember(cluster, 'other');
    await other.start();
  });
  after(async () => {
    await other?.[Symbol.asyncDispose]();
    await cluster?.[Symbol.asyncDispose]();
    await s3?.[Symbol.asyncDispose]();
  });

  const members = (): readonly TestInstance[] => [...cluster.instances, other];

  let probes = 0;
  /** Restarts it and waits until the others leave its files to it: they may know its new address up to 2 s late. */
  async function restart(owner: TestInstance): Promise<void> {
    await owner.start();
    for (const member of members().filter((each) => each !== owner)) {
      const seesIt = async () => {
        const path = `/probes/${++probes}`;
        await put(owner, path, 'whose?');
        const { status } = await call('PUT', member.url, urlOf(path), { body: 'whose?' });
        return (
          status === 200 && (await call('HEAD', member.url, urlOf(path))).headers['x-callfs-instance-id'] === owner.id
        );
      };
      await waitFor(`${member.id} to see ${owner.id}`, seesIt);
    }
  }

  async function put(at: TestInstance, path: string, body: string): Promise<void> {
    const { status, text } = await call('PUT', at.url, urlOf(path), { body });
    assert(status < 300, `${path}: ${status} ${text}`);
  }

  /** Waits until the bucket holds the namespace's files under their paths, and nothing else. */
  async function assertAtRest(): Promise<void> {
    const wanted = (await listTree(other)).filter(({ type, backend_type: type_ }) => type === 'file' && type_ === 's3');
    const keys = wanted.map(({ path }) => path.slice(1)).sort();
    let seen: string[] = [];
    const isAtRest = async () => {
      seen = (await s3.objects(BUCKET)).sort();
      return JSON.stringify(seen) === JSON.stringify(keys);
    };
    await waitFor('the bucket to follow', isAtRest, 30_000).catch(() => assert.deepEqual(seen, keys));
  }

  test('loses no acknowledged write when the owner is killed under load; reads and writes go on at the others', async (t) => {
    const [owner, sharer] = [cluster.at(0), cluster.at(1)];
    for (let round = 0; round < ROUNDS; round++) {
      const files = Array.from({ length: WORKERS }, (_, number) => new WatchedFile(`/round-${round}/file-${number}`));
      for (const { path } of files) await put(owner, path, `${path} 0`);
      const work = Promise.all(files.map((file, number) => file.change([sharer, other][number % 2] ?? sharer, sharer)));
      const moment = 1 + (round % (CHANGES_EACH - 2));
      await waitFor('the load to be under way', () => files.every(({ acknowledged }) => acknowledged >= moment));
      await owner.kill();
      await work;
      const slowest = Math.max(...files.map(({ slowestMs }) => slowestMs));
      t.diagnostic(`round ${round}: the slowest change took ${ms(slowest)} with its repetitions`);
      assert(slowest < 5000, `a change took ${ms(slowest)}`);
      assert.deepEqual(
        files.flatMap(({ failedReads }) => failedReads),
        [],
      );
      for (const file of files) await file.assertLast(sharer);
      const restartedAt = performance.now();
      await restart(owner);
      const settlingAt = performance.now();
      await assertAtRest();
      t.diagnostic(`restarted in ${ms(settlingAt - restartedAt)}, at rest ${ms(performance.now() - settlingAt)} later`);
      for (const member of members()) for (const file of files) await file.assertLast(member);
    }
    assert.match(
      (await call('GET', sharer.url, '/metrics')).text,
      /^callfs_takeovers_total\{from_instance="callfs-1"\} \d/m,
    );
    assert(sharer.log.some(({ msg }) => msg === 'took over a file whose owner does not answer'));
  });

  test('gives each kind of change to a sharer within a second of the death, wherever it is asked', async (t) => {
    const [owner, sharer] = [cluster.at(0), cluster.at(1)];
    const changes = [
      ['PUT', 'put', { body: 'new' }, 200],
      ['DELETE', 'delete', {}, 204],
      ['PATCH', 'mode', { body: '{"mode":"0600"}' }, 200],
      ['PATCH', 'name', { body: '{"name":"renamed"}' }, 200],
    ] as const;
    const paths = (name: string): string[] => [sharer, other].map(({ id }) => `/each-${id}/${name}`);
    for (const [, name] of changes) for (const path of paths(name)) await put(owner, path, 'old');
    await owner.kill();
    for (const [method, name, options, status] of changes) {
      for (const [index, path] of paths(name).entries()) {
        const answer = await timedCall(method, [sharer, other][index]?.url ?? '', urlOf(path), options);
        t.diagnostic(`${method} (${name}) at ${[sharer, other][index]?.id}: ${ms(answer.ms)}`);
        assert.equal(answer.status, status, answer.text);
        assert(answer.ms < 1000, `${method} took ${ms(answer.ms)}`);
      }
    }
    await restart(owner);
    await assertAtRest();
  });

  test('goes on while the owner is frozen; what that had under way is done in its turn when it thaws', async (t) => {
    const [owner, sharer] = [cluster.at(0), cluster.at(1)];
    const paths = ['/frozen/a', '/frozen/b', '/frozen/c'] as const;
    for (const path of paths) await put(owner, path, 'old');
    const late = Buffer.alloc(1024 * 1024, 'late ');
    using client = await RawConnection.open(owner.url);
    const expect = { expect: '100-continue', 'content-length': String(late.length) };
    client.sendHead('PUT', urlOf(paths[2]), { authorization: `Bearer ${ALICE_KEY}`, ...expect });
    await client.continued();
    owner.signal('SIGSTOP');
    const first = await timedCall('PUT', sharer.url, urlOf(paths[0]), { body: 'new' });
    const read = await timedCall('GET', sharer.url, urlOf(paths[1]));
    const second = await timedCall('PUT', other.url, urlOf(paths[1]), { body: 'new' });
    const third = await timedCall('PUT', sharer.url, urlOf(paths[2]), { body: 'new' });
    t.diagnostic(`PUT ${ms(first.ms)}, GET ${ms(read.ms)}, PUTs after it ${ms(second.ms)} and ${ms(third.ms)}`);
    for (const { status, text } of [first, read, second, third]) assert.equal(status, 200, text);
    assert(first.ms < 5000 && read.ms < 500 && second.ms < 4000 && third.ms < 500);
    owner.signal('SIGCONT');
    const isBack = async () => (await call('GET', owner.url, urlOf(paths[0]))).text === 'new';
    await waitFor('the owner to serve again', isBack);
    assert.equal((await call('GET', owner.url, urlOf(paths[2]))).text, 'new');
    client.send(late);
    const written = await client.answer('PUT');
    assert.equal(written.status, 200, written.text);
    for (const { url } of members()) assert((await call('GET', url, urlOf(paths[2]))).body.equals(late));
    await assertAtRest();
  });

  test('is drained without a byte being copied, also when the owner is gone, and that may be removed then', async () => {
    const [owner, sharer] = [cluster.at(0), cluster.at(1)];
    for (let number = 0; number < 20; number++) await put(owner, `/drained/${number}`, `file ${number}`);
    await assertAtRest();
    const before = await call('HEAD', sharer.url, urlOf('/drained/7'));
    const object = await s3.head(BUCKET, 'drained/7');
    await owner.kill();
    const config = ['-c', sharer.configFile];
    const refused = await run(['node', 'remove', owner.id, '--force', '--forget-files', '20', ...config]);
    assert.equal(refused.exitCode, 1, refused.stdout);
    assert.match(refused.stderr, /in a bucket that callfs-2 has, too/);
    const drained = await run(['node', 'drain', owner.id, '--json', ...config], { patienceMs: 60_000 });
    assert.equal(drained.exitCode, 0, drained.stdout + drained.stderr);
    const removed = await run(['node', 'remove', owner.id, ...config]);
    assert.equal(removed.exitCode, 0, removed.stderr);
    const after = await call('HEAD', other.url, urlOf('/drained/7'));
    assert.equal(after.headers['x-callfs-instance-id'], sharer.id);
    assert.equal(after.headers.etag, before.headers.etag);
    assert.deepEqual(await s3.head(BUCKET, 'drained/7'), object);
    await assertAtRest();
  });
});

/** A file that one client changes, one change after the other, while others read it. */
class WatchedFile {
  readonly path: string;
  /** The last version that was acknowledged. */
  acknowledged = 0;
  /** Of all changes, repetitions included, in milliseconds. */
  slowestMs = 0;
  readonly failedReads: string[] = [];

  constructor(path: string) {
    this.path = path;
  }

  async change(at: TestInstance, reader: TestInstance): Promise<void> {
    for (let version = 1; version <= CHANGES_EACH; version++) {
      const startedAt = performance.now();
      await waitFor(`${this.path} to be written`, () => this.#write(at, version), 20_000);
      this.slowestMs = Math.max(this.slowestMs, performance.now() - startedAt);
      this.acknowledged = version;
      const read = await call('GET', reader.url, urlOf(this.path));
      if (read.text !== this.#text(version)) this.failedReads.push(`${this.path}: ${read.status} ${read.text}`);
    }
  }

  async #write(at: TestInstance, version: number): Promise<boolean> {
    const answer = await call('PUT', at.url, urlOf(this.path), { body: this.#text(version) });
    if (answer.status === 200) return true;
    assert([502, 503, 504].includes(answer.status), `${answer.status} ${answer.text}`);
    return false;
  }

  #text(version: number): string {
    return `${this.path} ${version}`;
  }

  async assertLast(at: TestInstance): Promise<void> {
    const got: Answer = await call('GET', at.url, urlOf(this.path));
    assert.equal(got.text, this.#text(this.acknowledged), `${this.path} at ${at.id}: ${got.status}`);
  }
}
