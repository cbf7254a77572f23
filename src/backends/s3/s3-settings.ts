/** What an operator says about a bucket. */
import { createHash } from 'node:crypto';

export interface S3Settings {
  /** Base URL of the service; empty: AWS. */
  readonly endpoint: string;
  readonly bucket: string;
  readonly region: string;
  /** Empty, with an empty secret: taken from where AWS tools look for credentials. */
  readonly accessKey: string;
  readonly secretKey: string;
  /** `AES256`, `aws:kms` or empty. */
  readonly serverSideEncryption: string;
  readonly kmsKeyId: string;
  /** Canned ACL of new objects; empty: that of the bucket. */
  readonly acl: string;
  /** What every key begins with: empty, or ending with a slash. */
  readonly prefix: string;
}

/** The same for all who keep their files in the same place: same service, bucket and prefix. */
export function bucketIdOf({ endpoint, region, bucket, prefix }: S3Settings): string {
  const service = endpoint === '' ? `aws ${region}` : endpoint;
  return createHash('sha256').update([service, bucket, prefix].join('\n')).digest('hex').slice(0, 32);
}
