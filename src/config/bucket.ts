/** What the operator says about the bucket of the `s3` backend: how single values are read, and what must fit together. */
import type { Config } from './config.ts';
import type { Problem } from './config-error.ts';
import { InvalidValue } from './invalid-value.ts';

const ENCRYPTIONS = ['AES256', 'aws:kms'];
/** An object's key has 1024 bytes at most, and a path of the namespace comes behind this. */
const MAX_PREFIX_BYTES = 256;
const CONTROL = /\p{Cc}/u;

/** Throws InvalidValue. */
export function parseBucketName(text: string): string {
  if (!/[\s/]|\p{Cc}/u.test(text)) return text;
  throw new InvalidValue(
    'must be the name of a bucket, without slashes and spaces; a folder in it is backend.s3_prefix',
  );
}

/** Without a slash at its beginning, and with one at its end. Throws InvalidValue. */
export function parseBucketPrefix(text: string): string {
  const names = text.replace(/^\/+|\/+$/g, '').split('/');
  if (names.length === 1 && names[0] === '') return '';
  if (CONTROL.test(text) || names.some((name) => ['', '.', '..'].includes(name))) {
    throw new InvalidValue('must be names with single slashes between them, none of them . or ..');
  }
  const prefix = `${names.join('/')}/`;
  if (Buffer.byteLength(prefix) <= MAX_PREFIX_BYTES) return prefix;
  throw new InvalidValue(`must have at most ${MAX_PREFIX_BYTES} bytes`);
}

/** Throws InvalidValue. */
export function parseServerSideEncryption(text: string): string {
  if (ENCRYPTIONS.includes(text)) return text;
  throw new InvalidValue(`must be empty or one of ${ENCRYPTIONS.join(', ')}`);
}

/** What does not fit together; secrets are not told. */
export function findBrokenBucket({ backend }: Config): readonly Problem[] {
  const problems: Problem[] = [];
  const need = (key: string, reason: string): void => {
    problems.push({ path: ['backend', key], message: `is needed because ${reason}` });
  };
  if (backend.s3_bucket_name === '') {
    if (backend.default_backend === 's3') need('s3_bucket_name', 'backend.default_backend is s3');
    else if (backend.s3_endpoint !== '') need('s3_bucket_name', 'backend.s3_endpoint is set');
  }
  if (backend.s3_access_key !== '' && backend.s3_secret_key === '') {
    need('s3_secret_key', 'backend.s3_access_key is set');
  }
  if (backend.s3_secret_key !== '' && backend.s3_access_key === '') {
    need('s3_access_key', 'backend.s3_secret_key is set');
  }
  if (backend.s3_kms_key_id !== '' && backend.s3_server_side_encryption !== 'aws:kms') {
    const message = 'means something only with backend.s3_server_side_encryption aws:kms';
    problems.push({ path: ['backend', 's3_kms_key_id'], message });
  }
  return problems;
}
