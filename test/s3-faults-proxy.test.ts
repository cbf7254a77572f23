/** The endpoint that lets requests to S3 fail does what it says, seen with the S3 client that CallFS uses. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  PutObjectCommand,
  S3ServiceException,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { startRadosgw, UNLESS_RADOSGW } from './support/radosgw.ts';
import { type S3Fault, S3Faults } from './support/s3-faults.ts';
import { TestS3 } from './support/test-s3.ts';
import { waitFor } from './support/wait-for.ts';

const BUCKET = 'bucket';
const ODD_KEY = `odd/ä +%2F?#&"'//.`;
const LARGE = Buffer.alloc(3_000_001, 'large ');

describe('the S3 endpoint with faults', { skip: UNLESS_RADOSGW }, () => {
  let server: TestS3;
  let faults: S3Faults;
  /** By way of the faults. */
  let client: TestS3;

  before(async () => {
    server = await startRadosgw();
    faults = await S3Faults.start(server.endpoint);
    client = new TestS3({ ...server, endpoint: faults.endpoint });
    await server.createBucket(BUCKET);
    await server.put(BUCKET, 'large', LARGE);
  });
  after(async () => {
    await client?.[Symbol.asyncDispose]();
    await faults?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });
  beforeEach(() => faults.clear());

  const get = async (key: string): Promise<Buffer> => client.get(BUCKET, key);
  const put = async (key: string, body: string | Buffer): Promise<void> => client.put(BUCKET, key, body);

  test('passes everything on unchanged, and knows what was asked', async () => {
    await client.put(BUCKET, ODD_KEY, LARGE, { name: 'value' });
    assert.deepEqual(await client.get(BUCKET, ODD_KEY), LARGE);
    assert.deepEqual((await client.head(BUCKET, ODD_KEY))?.metadata, { name: 'value' });
    assert.equal(await client.head(BUCKET, 'missing'), undefined);
    assert.deepEqual(await client.objects(BUCKET, 'odd/'), [ODD_KEY]);
    await client.client.send(new CopyObjectCommand({ Bucket: BUCKET, Key: 'copy', CopySource: `${BUCKET}/large` }));
    const upload = { Bucket: BUCKET, Key: 'parts' };
    const { UploadId } = await client.client.send(new CreateMultipartUploadCommand(upload));
    assert.deepEqual(await client.uploads(BUCKET), ['parts']);
    const part = { ...upload, UploadId, PartNumber: 1 };
    const { ETag } = await client.client.send(new UploadPartCommand({ ...part, Body: LARGE }));
    const parts = { MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] } };
    await client.client.send(new CompleteMultipartUploadCommand({ ...upload, UploadId, ...parts }));
    assert.deepEqual(await server.get(BUCKET, 'parts'), LARGE);
    await client.delete(BUCKET, ODD_KEY);
    assert.deepEqual(await server.objects(BUCKET), ['copy', 'large', 'parts']);
    for (const operation of ['PutObject', 'GetObject', 'CopyObject', 'UploadPart', 'DeleteObject'] as const) {
      assert.equal(faults.asked(operation), 1, operation);
    }
    assert.equal(faults.asked('HeadObject'), 2);
    assert.equal(faults.asked(), 11);
  });

  const answers: readonly [S3Fault, number, string][] = [
    ['internal-error', 500, 'InternalError'],
    ['slow-down', 503, 'SlowDown'],
    ['access-denied', 403, 'AccessDenied'],
  ];
  for (const [fault, status, name] of answers) {
    test(`${fault}: ${status}, and nothing is stored`, async () => {
      const rule = faults.on({ operation: 'PutObject', key: /^refused-/, times: 2 }, fault);
      const key = `refused-${status}`;
      for (const body of ['small', LARGE]) {
        await assert.rejects(put(key, body), (error) => {
          assert(error instanceof S3ServiceException);
          assert.deepEqual([error.$metadata.httpStatusCode, error.name], [status, name]);
          return true;
        });
      }
      await put('accepted', 'other keys are not meant');
      assert.equal(await server.head(BUCKET, key), undefined);
      await put(key, 'twice was all');
      assert.equal(rule.hits, 2);
    });
  }

  test('silence: no answer, until the client gives up', async () => {
    const rule = faults.on({ method: 'PUT' }, 'silence');
    const command = new PutObjectCommand({ Bucket: BUCKET, Key: 'silent', Body: LARGE });
    const stop = new AbortController();
    const asked = client.client.send(command, { abortSignal: stop.signal });
    const outcome = assert.rejects(asked, { name: 'AbortError' });
    await waitFor('the request', () => rule.hits === 1);
    stop.abort();
    await outcome;
    assert.equal(await server.head(BUCKET, 'silent'), undefined);
  });

  test('reset: nothing is done; lose-answer: it is done, and the client does not hear of it', async () => {
    const lost: readonly [S3Fault, boolean][] = [
      ['reset', false],
      ['lose-answer', true],
    ];
    for (const [fault, isDone] of lost) {
      faults.on({ method: 'PUT', times: 1 }, fault);
      await assert.rejects(put(`${fault}`, LARGE), /ECONNRESET|EPIPE|socket hang up/);
      assert.equal((await server.head(BUCKET, `${fault}`)) !== undefined, isDone, `${fault}`);
    }
  });

  test('cut-upload: a reset, and nothing is stored', async () => {
    faults.on({ method: 'PUT' }, 'cut-upload');
    for (const body of [LARGE, 'small']) {
      await assert.rejects(put('cut', body), /ECONNRESET|EPIPE|socket hang up/);
      assert.equal(await server.head(BUCKET, 'cut'), undefined);
    }
  });

  for (const fault of ['cut-download', 'truncate'] as const) {
    test(`${fault}: the answer begins as if all were well, and ends half way`, async () => {
      faults.on({ operation: 'GetObject', times: 1 }, fault);
      const { Body, ContentLength } = await client.client.send(new GetObjectCommand({ Bucket: BUCKET, Key: 'large' }));
      assert.equal(ContentLength, LARGE.length);
      const received: Buffer[] = [];
      const read = async (): Promise<void> => {
        for await (const chunk of Body as AsyncIterable<Buffer>) received.push(chunk);
      };
      await assert.rejects(read(), { code: 'ECONNRESET' });
      const bytes = Buffer.concat(received);
      const half = Math.floor(LARGE.length / 2);
      // A reset may overtake bytes that were not read in time.
      assert(fault === 'truncate' ? bytes.length === half : bytes.length <= half, `${bytes.length} bytes`);
      assert.deepEqual(bytes, LARGE.subarray(0, bytes.length));
      assert.deepEqual(await get('large'), LARGE);
    });
  }

  test('a delay, and a probability', async () => {
    const slow = faults.on({ key: /large/ }, { delayMs: 200 });
    const startedAt = performance.now();
    assert.deepEqual(await get('large'), LARGE);
    assert(performance.now() - startedAt >= 190);
    slow.remove();
    const never = faults.on({ probability: 0 }, 'reset');
    const often = faults.on({ probability: 0.5 }, 'slow-down');
    const outcomes = await Promise.allSettled(Array.from({ length: 60 }, () => client.head(BUCKET, 'large')));
    assert.equal(outcomes.filter(({ status }) => status === 'rejected').length, often.hits);
    assert(often.hits > 0 && often.hits < 60, `${often.hits} of 60`);
    assert.equal(never.hits, 0);
  });
});
