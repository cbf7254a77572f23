/** The tests of clusters once more, with one instance on a disk and the others on a bucket that they share. */
import { after, before, suite, test } from 'node:test';
import { startRadosgw, UNLESS_RADOSGW } from './support/radosgw.ts';
import { usingBucket } from './support/test-bucket.ts';
import { assertTestFilePasses } from './support/test-file.ts';
import type { TestS3 } from './support/test-s3.ts';

const FILES = ['cluster-races', 'cluster-basics', 'http-contract', 'http-move', 'http-ranges'];
const AT_ONCE = 2;

suite('over a disk and a shared bucket', { concurrency: AT_ONCE, skip: UNLESS_RADOSGW }, () => {
  let s3: TestS3;
  before(async () => {
    s3 = await startRadosgw();
  });
  after(() => s3?.[Symbol.asyncDispose]());

  for (const name of FILES) {
    test(`test/${name}.test.ts passes`, { timeout: 600_000 }, async (t) => {
      await assertTestFilePasses(name, usingBucket(s3), t.signal);
    });
  }
});
