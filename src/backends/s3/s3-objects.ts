/**
 * The objects below a prefix of a bucket: the requests of S3 that CallFS is made of, with keys relative to the prefix and
 * ETags without quotes.
 *
 * Errors: CallFSError BACKEND_UNAVAILABLE when the bucket cannot be used, INSUFFICIENT_STORAGE when it has no room.
 */
import type { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  CopyObjectCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { backendUnavailable } from '../../core/errors.ts';
import { CONTENT_ID, type ObjectLabels, type S3Bucket, unquoted } from './s3-bucket.ts';
import { isAbsent, isNoSuchUpload, isRefused, translateS3Error } from './s3-errors.ts';
import { type CopyParts, copyParts, type UploadParts, uploadParts } from './s3-parts.ts';

export interface FoundObject extends ObjectLabels {
  readonly etag: string;
  readonly sizeBytes: number;
  /** By the clock of S3. */
  readonly modifiedMs: number;
}

export interface ListedObject extends Pick<FoundObject, 'etag' | 'sizeBytes' | 'modifiedMs'> {
  readonly key: string;
}

export interface UnfinishedUpload {
  readonly key: string;
  readonly uploadId: string;
  readonly begunMs: number;
}

/** Some bytes of exactly one object. */
export interface ReadObject {
  readonly etag: string;
  readonly sizeBytes: number;
  /** Inclusive. */
  readonly start: number;
  /** Exclusive; more than `start`. */
  readonly end: number;
}

export type OpenedObject =
  | { readonly kind: 'opened'; readonly body: Readable }
  | { readonly kind: 'missing' | 'changed' };

export interface PutObject extends ObjectLabels {
  readonly body: Uint8Array;
  /** Only where nothing is. */
  readonly exclusive?: boolean;
}

/** Up to here one request copies, within the time that a request may take. */
export const COPIED_AT_ONCE_BYTES = 256 * 1024 * 1024;

export class S3Objects {
  readonly #bucket: S3Bucket;

  constructor(bucket: S3Bucket) {
    this.#bucket = bucket;
  }

  /** Rejects when the bucket cannot be used. */
  async check(): Promise<void> {
    const { client, name } = this.#bucket;
    await client.send(new HeadBucketCommand({ Bucket: name })).catch((error: unknown) => {
      // The answer has no body that would say what there is not.
      throw translateS3Error(isAbsent(error) ? Object.assign(new Error('404'), { name: 'NoSuchBucket' }) : error);
    });
  }

  /** Undefined: there is none. */
  async head(key: string): Promise<FoundObject | undefined> {
    const { client } = this.#bucket;
    const found = await unless(isAbsent, client.send(new HeadObjectCommand(this.#bucket.at(key))));
    return (
      found && {
        etag: unquoted(found.ETag),
        sizeBytes: found.ContentLength ?? 0,
        modifiedMs: found.LastModified?.getTime() ?? 0,
        contentId: found.Metadata?.[CONTENT_ID],
        contentType: found.ContentType,
      }
    );
  }

  async open(key: string, { etag, sizeBytes, start, end }: ReadObject): Promise<OpenedObject> {
    const { client } = this.#bucket;
    const range = start === 0 && end === sizeBytes ? {} : { Range: `bytes=${start}-${end - 1}` };
    const request = new GetObjectCommand({ ...this.#bucket.at(key), ...range, IfMatch: `"${etag}"` });
    try {
      return { kind: 'opened', body: (await client.send(request)).Body as Readable };
    } catch (error) {
      if (isAbsent(error)) return { kind: 'missing' };
      if (isRefused(error)) return { kind: 'changed' };
      throw translateS3Error(error);
    }
  }

  /** @returns the ETag; undefined: something is there */
  async put(key: string, { body, exclusive = false, ...labels }: PutObject): Promise<string | undefined> {
    const { client } = this.#bucket;
    const condition = exclusive ? { IfNoneMatch: '*' } : {};
    const request = { ...this.#bucket.at(key), ...this.#bucket.written(labels), ...condition, Body: body };
    const done = client.send(new PutObjectCommand(request));
    const put = await unless((error) => exclusive && isRefused(error), done);
    return put && unquoted(put.ETag);
  }

  /** Sends what is too large for one request. When the source fails it rejects with the source's own error. @returns the ETag */
  async upload(key: string, request: UploadParts): Promise<string> {
    let ofSource: { readonly error: unknown } | undefined;
    async function* bytes(): AsyncGenerator<Uint8Array> {
      try {
        yield* request.bytes;
      } catch (error) {
        ofSource = { error };
        throw error;
      }
    }
    try {
      return (await uploadParts(this.#bucket, key, { ...request, bytes: bytes() })) || (await this.#etagOf(key));
    } catch (error) {
      if (ofSource) throw ofSource.error;
      throw translateS3Error(error);
    }
  }

  /** Copies within the bucket, whatever is at the target. @returns the copy's ETag; undefined: the source is not that object (any more) */
  async copy(request: CopyParts): Promise<string | undefined> {
    const { from, to, etag, sizeBytes, ...labels } = request;
    const copying =
      sizeBytes > COPIED_AT_ONCE_BYTES ? copyParts(this.#bucket, request) : this.#copyAtOnce(from, to, etag, labels);
    const copied = await unless((error) => isAbsent(error) || isRefused(error), copying);
    return copied === '' ? this.#etagOf(to) : copied;
  }

  async #copyAtOnce(from: string, to: string, etag: string, labels: ObjectLabels): Promise<string> {
    const { client } = this.#bucket;
    const { CopyObjectResult: copied } = await client.send(
      new CopyObjectCommand({
        ...this.#bucket.at(to),
        ...this.#bucket.source(from, etag),
        ...this.#bucket.written(labels),
        MetadataDirective: 'REPLACE',
      }),
    );
    return unquoted(copied?.ETag);
  }

  async #etagOf(key: string): Promise<string> {
    const found = await this.head(key);
    if (!found) throw backendUnavailable('The bucket does not have what was just written.');
    return found.etag;
  }

  /** Nothing there is not an error. */
  async remove(key: string): Promise<void> {
    const { client } = this.#bucket;
    await unless(isAbsent, client.send(new DeleteObjectCommand(this.#bucket.at(key))));
  }

  /** In byte order of the keys. */
  async *list(below: string): AsyncGenerator<ListedObject, undefined> {
    const { client, name, prefix } = this.#bucket;
    const request = { Bucket: name, Prefix: prefix + below, EncodingType: 'url' as const };
    for (let ContinuationToken: string | undefined; ; ) {
      const page = await unless(() => false, client.send(new ListObjectsV2Command({ ...request, ContinuationToken })));
      for (const { Key: key = '', ETag, Size: sizeBytes = 0, LastModified } of page?.Contents ?? []) {
        const modifiedMs = LastModified?.getTime() ?? 0;
        yield { key: decodeKey(key).slice(prefix.length), etag: unquoted(ETag), sizeBytes, modifiedMs };
      }
      ContinuationToken = page?.NextContinuationToken;
      if (!ContinuationToken) return undefined;
    }
  }

  async *unfinishedUploads(below: string): AsyncGenerator<UnfinishedUpload, undefined> {
    const { client, name, prefix } = this.#bucket;
    const request = { Bucket: name, Prefix: prefix + below, EncodingType: 'url' as const };
    for (let marker = {}; ; ) {
      const page = await unless(() => false, client.send(new ListMultipartUploadsCommand({ ...request, ...marker })));
      for (const { Key: key = '', UploadId: uploadId = '', Initiated } of page?.Uploads ?? []) {
        yield { key: decodeKey(key).slice(prefix.length), uploadId, begunMs: Initiated?.getTime() ?? 0 };
      }
      if (!page?.IsTruncated) return undefined;
      marker = { KeyMarker: decodeKey(page.NextKeyMarker ?? ''), UploadIdMarker: page.NextUploadIdMarker };
    }
  }

  async abortUpload({ key, uploadId }: Pick<UnfinishedUpload, 'key' | 'uploadId'>): Promise<void> {
    const { client } = this.#bucket;
    const request = new AbortMultipartUploadCommand({ ...this.#bucket.at(key), UploadId: uploadId });
    await unless((error) => isNoSuchUpload(error) || isAbsent(error), client.send(request));
  }
}

/** What fails as expected is undefined, what else fails is told in our words. */
async function unless<T>(isExpected: (error: unknown) => boolean, done: Promise<T>): Promise<T | undefined> {
  try {
    return await done;
  } catch (error) {
    if (isExpected(error)) return undefined;
    throw translateS3Error(error);
  }
}

/** As `encoding-type=url` spells keys, which XML could not carry as they are. */
function decodeKey(key: string): string {
  return decodeURIComponent(key.replaceAll('+', ' '));
}
