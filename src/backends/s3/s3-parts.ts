/** Objects that are made of parts, because one request is too small for them. */

import { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  type S3Client,
  type S3ServiceException,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { forEachParallel } from '../../core/for-each-parallel.ts';
import { type ObjectLabels, type S3Bucket, unquoted } from './s3-bucket.ts';

/** The least that S3 takes is 5 MiB. Up to here an object is sent in one request. */
export const PART_BYTES = 8 * 1024 * 1024;
/** Parts on their way at the same time; each is in memory, and so is the next. */
const PARTS_AT_ONCE = 2;
const MAX_PARTS = 10_000;
const COPIED_PART_BYTES = 256 * 1024 * 1024;
const COPIED_PARTS_AT_ONCE = 4;

export interface UploadParts extends ObjectLabels {
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Undefined: nobody knows; then at most 10,000 parts of 8 MiB can be sent. */
  readonly sizeBytes: number | undefined;
}

/**
 * Sends bytes of any length. When a part cannot be sent nothing more is asked of the source; when anything fails nothing is left.
 * @returns the ETag; empty: the server does not say
 */
export async function uploadParts(
  bucket: S3Bucket,
  key: string,
  { bytes, sizeBytes, ...labels }: UploadParts,
): Promise<string> {
  const watch = new SendWatch(bucket.client);
  const upload = new Upload({
    client: watch.client,
    params: { ...bucket.at(key), ...bucket.written(labels), Body: Readable.from(watch.whileSending(bytes)) },
    queueSize: PARTS_AT_ONCE,
    partSize: Math.max(PART_BYTES, Math.ceil((sizeBytes ?? 0) / (MAX_PARTS - 1))),
  });
  try {
    const { ETag } = await upload.done();
    if (watch.repeated) await abortUploads(bucket, key);
    return unquoted(ETag);
  } catch (error) {
    // What came first is the cause; taking the parts back may have failed as well.
    throw watch.failure ?? error;
  }
}

/** The uploader of the SDK sends parts side by side, and would go on with the others when one has failed. */
class SendWatch {
  readonly client: S3Client;
  failure: unknown;
  /** The first answer to a request may have been lost: there may be an upload that nobody knows. */
  repeated = false;

  constructor(client: S3Client) {
    const send = async (...request: Parameters<S3Client['send']>): Promise<unknown> => {
      try {
        const answer: unknown = await client.send(...request);
        if (((answer as Pick<S3ServiceException, '$metadata'>).$metadata.attempts ?? 1) > 1) this.repeated = true;
        return answer;
      } catch (error) {
        this.failure ??= error;
        throw error;
      }
    };
    this.client = Object.assign(Object.create(client) as S3Client, { send });
  }

  async *whileSending(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of bytes) {
        if (this.failure !== undefined) throw this.failure;
        // The source may use its buffer again.
        yield Buffer.from(chunk);
      }
    } catch (error) {
      this.failure ??= error;
      throw error;
    }
  }
}

/** Those of exactly this key, which nothing adds parts to any more. What cannot be aborted now is left to `callfs fsck`. */
async function abortUploads(bucket: S3Bucket, key: string): Promise<void> {
  const { client } = bucket;
  const target = bucket.at(key);
  try {
    const found = await client.send(new ListMultipartUploadsCommand({ Bucket: target.Bucket, Prefix: target.Key }));
    for (const { Key, UploadId } of found.Uploads ?? []) {
      if (Key === target.Key) await client.send(new AbortMultipartUploadCommand({ ...target, UploadId }));
    }
  } catch {}
}

export interface CopyParts extends ObjectLabels {
  readonly from: string;
  readonly to: string;
  readonly etag: string;
  readonly sizeBytes: number;
}

/** Copies within the bucket. @returns the ETag; empty: the server does not say */
export async function copyParts(
  bucket: S3Bucket,
  { from, to, etag, sizeBytes, ...labels }: CopyParts,
): Promise<string> {
  const { client } = bucket;
  const target = bucket.at(to);
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ ...target, ...bucket.written(labels) }));
  const upload = { ...target, UploadId };
  try {
    const parts: CompletedPart[] = [];
    const count = Math.ceil(sizeBytes / COPIED_PART_BYTES);
    await forEachParallel(Array.from({ length: count }).keys(), COPIED_PARTS_AT_ONCE, async (index) => {
      const start = index * COPIED_PART_BYTES;
      const CopySourceRange = `bytes=${start}-${Math.min(start + COPIED_PART_BYTES, sizeBytes) - 1}`;
      const PartNumber = index + 1;
      const part = { ...upload, ...bucket.source(from, etag), CopySourceRange, PartNumber };
      const { CopyPartResult: copied } = await client.send(new UploadPartCopyCommand(part));
      parts[index] = { PartNumber, ETag: copied?.ETag };
    });
    const { ETag } = await client.send(
      new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: parts } }),
    );
    // Also of earlier attempts to make this copy.
    await abortUploads(bucket, to);
    return unquoted(ETag);
  } catch (error) {
    await client.send(new AbortMultipartUploadCommand(upload)).catch(() => {});
    throw error;
  }
}
