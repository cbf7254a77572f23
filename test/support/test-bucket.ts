/**
 * Clusters whose instances, all but the first, keep their files in a bucket that they share: for test files that are run
 * once more that way (s3-suite.test.ts).
 */
import { randomUUID } from 'node:crypto';
import { type S3Access, TestS3 } from './test-s3.ts';

/** Where the service is, as JSON; unset: all files lie on disks. */
const VARIABLE = 'CALLFS_TEST_BUCKET';

/** For the option `skip` of a test that looks at what instances have on their disks. */
export const ONLY_ON_DISKS = process.env[VARIABLE] !== undefined && 'looks at disks';

const OWNED_BY_FIRST = 'callfs-1';

export interface TestBucket {
  readonly s3: TestS3;
  readonly name: string;
}

export const usingBucket = ({ endpoint, region, accessKey, secretKey }: S3Access): NodeJS.ProcessEnv => ({
  [VARIABLE]: JSON.stringify({ endpoint, region, accessKey, secretKey }),
});

export async function prepareBucket(): Promise<TestBucket | undefined> {
  const access = process.env[VARIABLE];
  if (access === undefined) return undefined;
  const bucket = { s3: new TestS3(JSON.parse(access) as S3Access), name: `cluster-${randomUUID()}` };
  await bucket.s3.createBucket(bucket.name);
  return bucket;
}

/** The configuration that lets an instance keep its files there. */
export function bucketConfig({ s3, name }: TestBucket): { readonly backend: object } {
  const access = {
    s3_endpoint: s3.endpoint,
    s3_region: s3.region,
    s3_access_key: s3.accessKey,
    s3_secret_key: s3.secretKey,
  };
  return { backend: { ...access, s3_bucket_name: name, default_backend: 's3' } };
}

/** What an instance of a cluster gets of it. */
export function sectionsOf(bucket: TestBucket | undefined, instanceId: string): Readonly<Record<string, object>> {
  return bucket && instanceId !== OWNED_BY_FIRST ? bucketConfig(bucket) : {};
}
