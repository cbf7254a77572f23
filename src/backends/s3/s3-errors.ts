/** What S3 says, in our words: who asks for a file learns that it cannot be had now, the operator why. */
import { backendUnavailable, CallFSError, insufficientStorage } from '../../core/errors.ts';

interface Told {
  readonly name: string;
  readonly status: number | undefined;
}

function told(error: unknown): Told {
  const { name = '', $metadata } = error as { name?: string; $metadata?: { httpStatusCode?: number } };
  return { name, status: $metadata?.httpStatusCode };
}

/** There is nothing under the key. */
export function isAbsent(error: unknown): boolean {
  const { name, status } = told(error);
  return status === 404 && name !== 'NoSuchBucket' && name !== 'NoSuchUpload';
}

/** There is something else under the key than the condition says, or something changes it at the same moment. */
export function isRefused(error: unknown): boolean {
  const { name, status } = told(error);
  return status === 412 || (status === 409 && name === 'ConditionalRequestConflict');
}

export function isNoSuchUpload(error: unknown): boolean {
  return told(error).name === 'NoSuchUpload';
}

const FULL = new Set(['QuotaExceeded', 'InsufficientStorage', 'XMinioStorageFull', 'StorageFull']);
const CREDENTIALS = new Set([
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'CredentialsProviderError',
  'ExpiredToken',
]);

export function translateS3Error(error: unknown): CallFSError {
  if (error instanceof CallFSError) return error;
  const { name, status } = told(error);
  if (FULL.has(name) || status === 507) return insufficientStorage(error);
  return backendUnavailable(problemOf(name, status), error);
}

function problemOf(name: string, status: number | undefined): string {
  if (CREDENTIALS.has(name)) {
    return `The bucket does not accept the credentials (${name}); check backend.s3_access_key and backend.s3_secret_key.`;
  }
  if (name === 'NoSuchBucket') return `There is no such bucket; create it, or check backend.s3_bucket_name.`;
  if (name === 'PermanentRedirect' || name === 'AuthorizationHeaderMalformed') {
    return `The bucket is in another region; check backend.s3_region.`;
  }
  if (status === 403) {
    return `The bucket does not allow this to the configured credentials; check its policy and backend.s3_access_key.`;
  }
  if (name === 'SlowDown' || status === 503) return `The bucket asks to slow down; try again.`;
  return `The bucket cannot be used now${name === '' ? '' : ` (${name})`}; try again.`;
}
