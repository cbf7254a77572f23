/** The bucket of an instance, as its configuration names it. */
import { bucketIdOf, type S3Settings } from '../backends/s3/s3-settings.ts';
import type { Config } from '../config/config.ts';

/** Undefined: it has none. */
export function bucketSettings({ backend }: Config): S3Settings | undefined {
  if (backend.s3_bucket_name === '') return undefined;
  return {
    endpoint: backend.s3_endpoint,
    bucket: backend.s3_bucket_name,
    region: backend.s3_region,
    accessKey: backend.s3_access_key,
    secretKey: backend.s3_secret_key,
    serverSideEncryption: backend.s3_server_side_encryption,
    kmsKeyId: backend.s3_kms_key_id,
    acl: backend.s3_acl,
    prefix: backend.s3_prefix,
  };
}

/** Empty: it has none. */
export function bucketIdentity(config: Config): string {
  const settings = bucketSettings(config);
  return settings ? bucketIdOf(settings) : '';
}
