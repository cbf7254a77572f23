/** What a request to an S3 server asks for, read from its method, address and headers; path style only. */
import type { IncomingMessage } from 'node:http';

export type S3Operation =
  | 'PutObject'
  | 'CopyObject'
  | 'GetObject'
  | 'HeadObject'
  | 'DeleteObject'
  | 'DeleteObjects'
  | 'ListObjects'
  | 'ListMultipartUploads'
  | 'CreateMultipartUpload'
  | 'UploadPart'
  | 'UploadPartCopy'
  | 'CompleteMultipartUpload'
  | 'AbortMultipartUpload'
  /** The rest: of buckets, and what CallFS does not use. */
  | 'other';

export interface S3Request {
  readonly method: string;
  readonly bucket: string;
  /** '' when the request is about the bucket. */
  readonly key: string;
  readonly operation: S3Operation;
}

export function s3Request({ method = '', url = '', headers }: IncomingMessage): S3Request {
  const [path = '', query = ''] = url.split('?');
  const [, bucket = '', ...rest] = path.split('/');
  const key = decodeURIComponent(rest.join('/'));
  const isCopy = headers['x-amz-copy-source'] !== undefined;
  return { method, bucket, key, operation: operationOf(method, key !== '', new URLSearchParams(query), isCopy) };
}

function operationOf(method: string, isObject: boolean, query: URLSearchParams, isCopy: boolean): S3Operation {
  if (!isObject) {
    if (method === 'POST' && query.has('delete')) return 'DeleteObjects';
    if (method !== 'GET') return 'other';
    if (query.has('uploads')) return 'ListMultipartUploads';
    return query.has('list-type') ? 'ListObjects' : 'other';
  }
  const isMultipart = query.has('uploadId');
  switch (method) {
    case 'PUT':
      if (isMultipart) return isCopy ? 'UploadPartCopy' : 'UploadPart';
      return isCopy ? 'CopyObject' : 'PutObject';
    case 'POST':
      if (isMultipart) return 'CompleteMultipartUpload';
      return query.has('uploads') ? 'CreateMultipartUpload' : 'other';
    case 'DELETE':
      return isMultipart ? 'AbortMultipartUpload' : 'DeleteObject';
    case 'GET':
      return isMultipart ? 'other' : 'GetObject';
    case 'HEAD':
      return 'HeadObject';
    default:
      return 'other';
  }
}
