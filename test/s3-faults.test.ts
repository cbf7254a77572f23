/** A bucket that fails in every way while clients use its files: right bytes or a typed error, and no trace when it is over. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { after, before, suite, test } from 'node:test';
import { request } from 'undici';
import { assertBucketAtRest, filesOnDisk, listTree } from './support/at-rest.ts';
import { type Answer, call } from './support/client.ts';
import { ALICE_KEY, type TestInstance } from './support/cluster.ts';
import { run } from './support/command.ts';
import { accessAt, DiskAndBucket } from './support/disk-and-bucket.ts';
import { newMember } from './support/member.ts';
import { startRadosgw, UNLESS_RADOSGW } from './support/radosgw.ts';
import { type S3Fault, S3Faults } from './support/s3-faults.ts';
import type { S3Operation } from './support/s3-request.ts';
import { bucketConfig } from './support/test-bucket.ts';
import type { TestS3 } from './support/test-s3.ts';
import { waitFor } from './support/wait-for.ts';

const IS_LONG = process.env.CALLFS_LONG_TESTS === '1';
const TO_DISK = { 'x-callfs-backend': 'localfs' };
const TO_BUCKET = { 'x-callfs-backend': 's3' };
const SMALL = 20_000;
/** Read while it is sent on. */
const MEDIUM = 500_000;
/** Written in two parts. */
const LARGE = 8 * 1024 * 1024 + 100_000;
const RANGE = { range: 'bytes=1000-19000' };

interface Fault {
  readonly name: string;
  readonly fault: S3Fault;
  /** A request that it strikes is not repeated. */
  readonly isFinal?: boolean;
  /** Everything succeeds, however often it strikes. */
  readonly isHarmless?: boolean;
}

const FAULTS: readonly Fault[] = [
  { name: 'internal errors', fault: 'internal-error' },
  { name: 'requests to slow down', fault: 'slow-down' },
  { name: 'refusals', fault: 'access-denied', isFinal: true },
  { name: 'resets', fault: 'reset' },
  { name: 'lost answers', fault: 'lose-answer' },
  { name: 'cut uploads', fault: 'cut-upload' },
  { name: 'cut downloads', fault: 'cut-download' },
  { name: 'truncated answers', fault: 'truncate' },
  { name: 'delays', fault: { delayMs: 100 }, isHarmless: true },
  // It takes as long as the instance waits.
  ...(IS_LONG ? [{ name: 'silence', fault: 'silence', isFinal: true } as const] : []),
];

const OPERATIONS: readonly S3Operation[] = [
  ...(['PutObject', 'CopyObject', 'GetObject', 'HeadObject', 'DeleteObject', 'DeleteObjects', 'ListObjects'] as const),
  ...(['CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload', 'AbortMultipartUpload'] as const),
];

type Outcome = { readonly answer: Answer } | { readonly cut: string };

/** What a client does with a file of its own, and what the file may be before and after. */
interface Use {
  readonly name: string;
  readonly bytes: number;
  readonly before: Readonly<Record<string, string>>;
  do(url: string, path: string, next: Buffer): Promise<Answer>;
  readonly status: number;
  readonly after: 'same' | 'next' | 'gone';
  /** What comes back: all of the file, or a part of it. */
  readonly gives?: (content: Buffer) => Buffer;
}

const target = (path: string): string => `/v1/files${path}`;
const patch = (backend: string) => (url: string, path: string) =>
  call('PATCH', url, target(path), { body: JSON.stringify({ backend }) });
const get = (headers: Readonly<Record<string, string>>) => (url: string, path: string) =>
  call('GET', url, target(path), { headers });
const whole = (content: Buffer): Buffer => content;
const part = (content: Buffer): Buffer => content.subarray(1000, 19_001);

const put = (url: string, path: string, next: Buffer) => call('PUT', url, target(path), { body: next });
const head = (url: string, path: string) => call('HEAD', url, target(path));
const remove = (url: string, path: string) => call('DELETE', url, target(path));
const IN_BUCKET = { before: TO_BUCKET, status: 200, after: 'same' } as const;

const written = (size: string, bytes: number): Use[] => [
  { ...IN_BUCKET, name: `put-${size}`, bytes, do: put, after: 'next' },
  { ...IN_BUCKET, name: `put-${size}-chunked`, bytes, do: putChunked, after: 'next' },
  { ...IN_BUCKET, name: `patch-${size}-to-bucket`, bytes, before: TO_DISK, do: patch('s3') },
];
const read = (size: string, bytes: number): Use[] => [
  { ...IN_BUCKET, name: `get-${size}`, bytes, do: get({}), gives: whole },
  { ...IN_BUCKET, name: `get-${size}-range`, bytes, do: get(RANGE), status: 206, gives: part },
  { ...IN_BUCKET, name: `patch-${size}-to-disk`, bytes, do: patch('localfs') },
];
const USES: readonly Use[] = [
  ...written('small', SMALL),
  ...written('large', LARGE),
  ...read('small', SMALL),
  ...read('medium', MEDIUM),
  { ...IN_BUCKET, name: 'head', bytes: SMALL, do: head },
  { ...IN_BUCKET, name: 'delete', bytes: SMALL, do: remove, status: 204, after: 'gone' },
];

suite('a bucket that fails', { timeout: IS_LONG ? 1_200_000 : 300_000, skip: UNLESS_RADOSGW }, () => {
  let s3: TestS3;
  let faults: S3Faults;
  let both: DiskAndBucket;
  before(async () => {
    s3 = await startRadosgw();
    faults = await S3Faults.start(s3.endpoint);
    both = await DiskAndBucket.start(s3, faults.endpoint);
    await putBytes(both.keeper, '/here/first', Buffer.from('first'));
  });
  after(async () => {
    await both?.[Symbol.asyncDispose]();
    await faults?.[Symbol.asyncDispose]();
    await s3?.[Symbol.asyncDispose]();
  });

  /** Files in a round: each has been written by nobody but this test. */
  interface Subject {
    readonly use: Use;
    readonly path: string;
    readonly at: TestInstance;
    readonly other: TestInstance;
    readonly old: Buffer;
    readonly next: Buffer;
  }

  let rounds = 0;
  /** What the files are, by path. */
  const contents = new Map<string, Buffer>();

  async function prepare(): Promise<Subject[]> {
    rounds++;
    return Promise.all(
      USES.map(async (use, index): Promise<Subject> => {
        const path = `/files/${use.name}`;
        const next = Buffer.alloc(use.bytes, `${rounds} ${path} `);
        const old = contents.get(path) ?? next;
        const isReady = old !== next && !use.name.startsWith('patch');
        if (!isReady) await putBytes(both.keeper, path, old, use.before);
        // In turns directly and through the instance that has no bucket.
        const [at, other] = (index + rounds) % 2 ? [both.keeper, both.disk] : [both.disk, both.keeper];
        return { use, path, at, other, old, next };
      }),
    );
  }

  async function tryIt({ use, path, at, next }: Subject): Promise<Outcome> {
    try {
      return { answer: await use.do(at.url, path, next) };
    } catch (error) {
      return { cut: String((error as Error).cause ?? error) };
    }
  }

  function assertOutcome({ use, path, at, old }: Subject, outcome: Outcome, mayFail: boolean): void {
    if ('cut' in outcome) {
      assert(use.gives && mayFail, `${path} was cut: ${outcome.cut}`);
      return;
    }
    const { status, body, headers, text } = outcome.answer;
    if (status === use.status) {
      if (use.gives) assert(body.equals(use.gives(old)), `${path}: wrong bytes`);
      return;
    }
    assert(mayFail, `${path}: ${status} ${text}`);
    // The other instance lost the keeper's answer before it had passed any of it on.
    if (status === 502 && use.gives && at === both.disk) return;
    // An instance waits no longer for another one that waits for the bucket.
    if (status === 504 && IS_LONG) return;
    assert.equal(status, 503, `${path}: ${status} ${text}`);
    assert.match(String(headers['retry-after']), /^\d+$/);
    if (use.name !== 'head') assert.equal(outcome.answer.json().code, 'BACKEND_UNAVAILABLE', text);
  }

  /** What is there now that the bucket works again. */
  async function assertContent({ use, path, other, old, next }: Subject, outcome: Outcome): Promise<void> {
    const succeeded = 'answer' in outcome && outcome.answer.status === use.status;
    const is = succeeded ? use.after : 'same';
    const expected = is === 'gone' ? undefined : is === 'same' ? old : next;
    const { status, body, text } = await call('GET', other.url, target(path));
    assert.equal(status, expected ? 200 : 404, `${path} at ${other.id}: ${text.slice(0, 300)}`);
    if (expected) {
      assert(body.equals(expected), `${path} at ${other.id}: not the ${is} content`);
      contents.set(path, expected);
    } else {
      contents.delete(path);
    }
  }

  async function round(strike: () => void, mayFail: boolean): Promise<string> {
    const subjects = await prepare();
    strike();
    const outcomes = await Promise.all(subjects.map(tryIt));
    faults.clear();
    let failed = 0;
    const check = async (subject: Subject, index: number): Promise<void> => {
      const outcome = outcomes[index];
      assert(outcome);
      assertOutcome(subject, outcome, mayFail);
      if ('cut' in outcome || outcome.answer.status !== subject.use.status) failed++;
      await assertContent(subject, outcome);
    };
    await Promise.all(subjects.map(check));
    return `${failed} of ${subjects.length} failed`;
  }

  // Before all that follows: after an outage the SDK is slow to repeat anything, until enough has succeeded.
  for (const { name, fault, isFinal = false } of FAULTS) {
    test(`${name}, once for each kind of request: it is repeated`, async (t) => {
      const once = () => {
        for (const operation of OPERATIONS) faults.on({ operation, times: 1 }, fault);
      };
      t.diagnostic(await round(once, isFinal));
      await assertAtRest();
    });
  }

  for (const { name, fault, isHarmless = false } of FAULTS) {
    test(`${name}, for all requests: what fails is told, and nothing is lost`, async (t) => {
      t.diagnostic(await round(() => faults.on({}, fault), !isHarmless));
      await assertAtRest();
    });
  }

  /** The bucket comes to rest by itself: each file under its key, nothing else, and no unfinished upload. */
  async function assertAtRest(): Promise<void> {
    const tree = await listTree(both.disk);
    await assertBucketAtRest(both.bucket, tree);
    const onDisk = tree.filter(({ type, backend_type: backend }) => type === 'file' && backend === 'localfs');
    const paths = onDisk.map(({ path }) => path).sort();
    await waitFor('the disk to follow', () => JSON.stringify(filesOnDisk(both.keeper)) === JSON.stringify(paths));
  }

  test('is told about at /ready, and keeps nobody from the disk; it is used again when it is back', async () => {
    const { keeper } = both;
    await keeper.stop();
    const down = faults.on({}, 'reset');
    await keeper.start();
    const checks = await readiness(keeper);
    assert.match(String(checks.s3), /The bucket cannot be used now/);
    assert.equal(checks.localfs, 'ok');
    await putBytes(keeper, '/on-the-disk', Buffer.from('there'), TO_DISK);
    assert.equal((await call('GET', keeper.url, target('/on-the-disk'))).text, 'there');
    const refused = await call('PUT', keeper.url, target('/in-the-bucket'), { body: 'x' });
    assert.equal(refused.json().code, 'BACKEND_UNAVAILABLE', refused.text);
    down.remove();
    await putBytes(keeper, '/in-the-bucket', Buffer.from('there'));
    assert.deepEqual(await readiness(keeper), { store: 'ok', localfs: 'ok', s3: 'ok' });
    await assertAtRest();
  });

  test('is told about at /ready when nobody may use it or there is none, without its secrets', async () => {
    const wrong = accessAt({ ...s3, accessKey: 'nobody-knows-this-key', secretKey: 'secret-of-nobody' }, s3.endpoint);
    const forged = accessAt({ ...s3, accessKey: s3.accessKey, secretKey: 'secret-of-nobody' }, s3.endpoint);
    const cases = [
      ['unknown', bucketConfig({ s3: wrong, name: both.bucket.name }), /credentials.*backend\.s3_access_key/],
      ['forged', bucketConfig({ s3: forged, name: both.bucket.name }), /credentials.*backend\.s3_access_key/],
      ['absent', bucketConfig({ s3, name: 'no-such-bucket' }), /no such bucket/],
    ] as const;
    await Promise.all(
      cases.map(async ([id, config, problem]) => {
        await using member = newMember(both.cluster, id, config);
        await member.start();
        const checks = await readiness(member);
        assert.match(String(checks.s3), problem, id);
        const told = JSON.stringify([checks, member.log, member.stderr]);
        for (const secret of ['secret-of-nobody', s3.secretKey]) assert(!told.includes(secret), told);
      }),
    );
  });

  test('has left nothing for callfs fsck', async () => {
    const ended = await run(['fsck', '-c', both.keeper.configFile, '--json', '--deep', '--repair'], {
      patienceMs: 60_000,
    });
    assert.equal(ended.exitCode, 0, ended.stdout + ended.stderr);
    assert.deepEqual(JSON.parse(ended.stdout).findings, []);
    await assertAtRest();
  });
});

async function readiness({ url }: TestInstance): Promise<Record<string, unknown>> {
  return (await call('GET', url, '/ready')).json().checks as Record<string, unknown>;
}

async function putBytes(
  { url }: TestInstance,
  path: string,
  body: Buffer,
  headers: Readonly<Record<string, string>> = {},
): Promise<void> {
  const { status, text } = await call('PUT', url, target(path), { body, headers });
  assert(status === 200 || status === 201, `${path}: ${status} ${text}`);
}

async function putChunked(url: string, path: string, bytes: Buffer): Promise<Answer> {
  async function* chunks(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000);
  }
  const headers = { authorization: `Bearer ${ALICE_KEY}` };
  const answer = await request(url + target(path), { method: 'PUT', headers, body: Readable.from(chunks()) });
  const body = Buffer.from(await answer.body.arrayBuffer());
  const text = body.toString('utf8');
  return { status: answer.statusCode, headers: answer.headers, body, text, json: () => JSON.parse(text) };
}
