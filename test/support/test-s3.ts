/** An S3 endpoint as tests see it from outside: where it is, who may write to it, and what lies in its buckets. */
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  NotFound,
  PutObjectCommand,
  paginateListObjectsV2,
  S3Client,
} from '@aws-sdk/client-s3';

export interface S3Access {
  /** `http://127.0.0.1:…` */
  readonly endpoint: string;
  readonly region: string;
  readonly accessKey: string;
  readonly secretKey: string;
}

export interface SeenObject {
  readonly sizeBytes: number;
  /** Without quotes. */
  readonly etag: string;
  /** What was given as `x-amz-meta-…`; names in lower case. */
  readonly metadata: Readonly<Record<string, string>>;
}

export class TestS3 implements AsyncDisposable, S3Access {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKey: string;
  readonly secretKey: string;
  /** Every failure shows: it does not try again. */
  readonly client: S3Client;
  readonly #stop: () => Promise<void>;

  /** @param stop ends the server, if it is this object's to end */
  constructor(access: S3Access, stop: () => Promise<void> = async () => {}) {
    this.endpoint = access.endpoint;
    this.region = access.region;
    this.accessKey = access.accessKey;
    this.secretKey = access.secretKey;
    this.#stop = stop;
    this.client = new S3Client({
      endpoint: access.endpoint,
      region: access.region,
      credentials: { accessKeyId: access.accessKey, secretAccessKey: access.secretKey },
      forcePathStyle: true,
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      maxAttempts: 1,
    });
  }

  async createBucket(bucket: string): Promise<void> {
    await this.client.send(new CreateBucketCommand({ Bucket: bucket }));
  }

  /** The keys of all objects whose key begins with `prefix`, in the server's order. */
  async objects(bucket: string, prefix = ''): Promise<string[]> {
    const keys: string[] = [];
    for await (const page of paginateListObjectsV2({ client: this.client }, { Bucket: bucket, Prefix: prefix })) {
      keys.push(...(page.Contents ?? []).flatMap(({ Key }) => Key ?? []));
    }
    return keys;
  }

  /** The keys of multipart uploads that are neither completed nor aborted; of 1000 at most. */
  async uploads(bucket: string, prefix = ''): Promise<string[]> {
    const { Uploads } = await this.client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: prefix }));
    return (Uploads ?? []).flatMap(({ Key }) => Key ?? []);
  }

  async head(bucket: string, key: string): Promise<SeenObject | undefined> {
    try {
      const seen = await this.client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
      const etag = (seen.ETag ?? '').replaceAll('"', '');
      return { sizeBytes: seen.ContentLength ?? 0, etag, metadata: seen.Metadata ?? {} };
    } catch (error) {
      if (error instanceof NotFound) return undefined;
      throw error;
    }
  }

  /** The whole object; rejects when there is none. */
  async get(bucket: string, key: string): Promise<Buffer> {
    const { Body } = await this.client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
    return Buffer.from((await Body?.transformToByteArray()) ?? []);
  }

  async put(bucket: string, key: string, body: string | Buffer, metadata: Record<string, string> = {}): Promise<void> {
    // The client warns of an empty string as of a stream whose length nobody knows.
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    await this.client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: bytes, Metadata: metadata }));
  }

  async delete(bucket: string, key: string): Promise<void> {
    await this.client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.destroy();
    await this.#stop();
  }
}
