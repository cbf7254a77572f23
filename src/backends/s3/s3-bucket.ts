/** What every request to the bucket says: which object, how it is protected, what it is labelled with. */
import type { ObjectCannedACL, S3Client, ServerSideEncryption } from '@aws-sdk/client-s3';
import type { S3Settings } from './s3-settings.ts';

/** What an object carries with its bytes. */
export interface ObjectLabels {
  /** The content it is; undefined: CallFS has not written it. */
  readonly contentId: string | undefined;
  /** The media type; undefined: none. */
  readonly contentType?: string | undefined;
}

export const CONTENT_ID = 'callfs-content-id';

export const unquoted = (etag: string | undefined): string => (etag ?? '').replaceAll('"', '');

export class S3Bucket {
  readonly client: S3Client;
  readonly name: string;
  readonly prefix: string;
  readonly #protection: {
    readonly ServerSideEncryption?: ServerSideEncryption;
    readonly SSEKMSKeyId?: string;
    readonly ACL?: ObjectCannedACL;
  };

  constructor(client: S3Client, { bucket, prefix, serverSideEncryption, kmsKeyId, acl }: S3Settings) {
    this.client = client;
    this.name = bucket;
    this.prefix = prefix;
    this.#protection = {
      ...(serverSideEncryption !== '' && { ServerSideEncryption: serverSideEncryption as ServerSideEncryption }),
      ...(kmsKeyId !== '' && { SSEKMSKeyId: kmsKeyId }),
      ...(acl !== '' && { ACL: acl as ObjectCannedACL }),
    };
  }

  at(key: string) {
    return { Bucket: this.name, Key: this.prefix + key };
  }

  written({ contentId, contentType }: ObjectLabels) {
    return {
      ...this.#protection,
      ...(contentId !== undefined && { Metadata: { [CONTENT_ID]: contentId } }),
      ...(contentType !== undefined && { ContentType: contentType }),
    };
  }

  /** How a copy names its source. */
  source(key: string, etag: string) {
    const path = `${this.name}/${this.prefix}${key}`.split('/').map(encodeURIComponent).join('/');
    return { CopySource: path, CopySourceIfMatch: `"${etag}"` };
  }
}
