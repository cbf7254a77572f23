/**
 * Requests and bytes per second of an instance that keeps its files in a bucket, beside the S3 server (radosgw, in memory)
 * asked directly and without signatures, in the same run and by the same client. Usage: node bench/s3.ts [seconds per case]
 */
import { PutBucketAclCommand } from '@aws-sdk/client-s3';
import { Agent, request } from 'undici';
import { ALICE_KEY } from '../test/support/cluster.ts';
import { DiskAndBucket } from '../test/support/disk-and-bucket.ts';
import { startRadosgw } from '../test/support/radosgw.ts';

const SECONDS = Number(process.argv[2] ?? 5);
const SMALL = Buffer.alloc(1024, 's');
const LARGE = Buffer.alloc(64 * 1024 * 1024, 'l');
const OPEN_TO_ALL = 'open-to-all';
const authorization = `Bearer ${ALICE_KEY}`;

interface Side {
  readonly name: string;
  /** What the path of a file is added to. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

interface Case {
  readonly name: string;
  readonly method: 'GET' | 'PUT';
  readonly body: Buffer;
  /** Requests at the same time. */
  readonly lanes: number;
}

const CASES: readonly Case[] = [
  { name: 'PUT of a new 1 KiB', method: 'PUT', body: SMALL, lanes: 32 },
  { name: 'GET 1 KiB', method: 'GET', body: SMALL, lanes: 32 },
  { name: 'PUT 64 MiB, one stream', method: 'PUT', body: LARGE, lanes: 1 },
  { name: 'GET 64 MiB, one stream', method: 'GET', body: LARGE, lanes: 1 },
];

await using s3 = await startRadosgw();
await using both = await DiskAndBucket.start(s3);
await s3.createBucket(OPEN_TO_ALL);
await s3.client.send(new PutBucketAclCommand({ Bucket: OPEN_TO_ALL, ACL: 'public-read-write' }));
const direct: Side = {
  name: 'radosgw',
  url: `${s3.endpoint}/${OPEN_TO_ALL}`,
  headers: { 'x-amz-acl': 'public-read-write' },
};
const sides: readonly Side[] = [
  { name: 'instance', url: `${both.keeper.url}/v1/files`, headers: { authorization } },
  { name: 'through a peer', url: `${both.disk.url}/v1/files`, headers: { authorization } },
];
const agent = new Agent();
let created = 0;

for (const measured of CASES) {
  const reference = await measure(measured, direct);
  print(measured, direct, reference, 1);
  // A new file of the other instance would go to its own disk.
  for (const side of isNew(measured) ? sides.slice(0, 1) : sides) {
    const perSecond = await measure(measured, side);
    print(measured, side, perSecond, perSecond / reference);
  }
}

await agent.close();

function isNew({ method, body }: Case): boolean {
  return method === 'PUT' && body === SMALL;
}

/** @returns requests per second */
async function measure(measured: Case, side: Side): Promise<number> {
  const { method, body, lanes } = measured;
  const fixed = `bench/${body.length}`;
  // By the instance that has the bucket: whoever replaces it leaves it there.
  const first = side === direct ? direct : (sides[0] ?? side);
  await ask(first, 'PUT', fixed, body);
  const run = async (seconds: number): Promise<number> => {
    let done = 0;
    const startedAt = performance.now();
    const lane = async (): Promise<void> => {
      do {
        await ask(
          side,
          method,
          isNew(measured) ? `bench/new/${created++}` : fixed,
          method === 'PUT' ? body : undefined,
        );
        done++;
      } while (performance.now() - startedAt < seconds * 1000);
    };
    await Promise.all(Array.from({ length: lanes }, lane));
    return (done * 1000) / (performance.now() - startedAt);
  };
  await run(1);
  return run(SECONDS);
}

async function ask({ url, headers }: Side, method: string, path: string, body: Buffer | undefined): Promise<void> {
  const answer = await request(`${url}/${path}`, {
    method: method as 'GET',
    headers,
    body: body ?? null,
    dispatcher: agent,
  });
  if (answer.statusCode >= 300) throw new Error(`${method} ${path}: ${answer.statusCode} ${await answer.body.text()}`);
  let received = 0;
  for await (const chunk of answer.body) received += (chunk as Buffer).length;
  if (received !== Number(answer.headers['content-length'] ?? 0)) throw new Error(`${method} ${path}: cut`);
}

function print({ name, body }: Case, side: Side, perSecond: number, ratio: number): void {
  const rate = body === SMALL ? `${perSecond.toFixed(0)} /s` : `${((perSecond * body.length) / 1e6).toFixed(0)} MB/s`;
  process.stdout.write(`${name.padEnd(24)}${side.name.padEnd(16)}${rate.padStart(10)}  ${ratio.toFixed(2)}\n`);
}
