/** A cluster of two: one instance that has a disk only, one that keeps its files in a bucket unless it is told otherwise. */
import { randomUUID } from 'node:crypto';
import { startCluster, type TestCluster, type TestInstance } from './cluster.ts';
import { newMember } from './member.ts';
import { bucketConfig, type TestBucket } from './test-bucket.ts';
import { type S3Access, TestS3 } from './test-s3.ts';

export class DiskAndBucket implements AsyncDisposable {
  readonly cluster: TestCluster;
  readonly disk: TestInstance;
  readonly keeper: TestInstance;
  /** Past any proxy that the instances go through. */
  readonly bucket: TestBucket;

  private constructor(cluster: TestCluster, keeper: TestInstance, bucket: TestBucket) {
    this.cluster = cluster;
    this.disk = cluster.at(0);
    this.keeper = keeper;
    this.bucket = bucket;
  }

  /** @param endpoint where the instance looks for the bucket, if not where it is */
  static async start(s3: TestS3, endpoint = s3.endpoint): Promise<DiskAndBucket> {
    const bucket = { s3, name: `disk-and-${randomUUID()}` };
    await s3.createBucket(bucket.name);
    const cluster = await startCluster({ instances: 1 });
    const keeper = newMember(cluster, 'keeper', bucketConfig({ s3: accessAt(s3, endpoint), name: bucket.name }));
    const both = new DiskAndBucket(cluster, keeper, bucket);
    try {
      await keeper.start();
      return both;
    } catch (error) {
      await both[Symbol.asyncDispose]();
      throw error;
    }
  }

  get instances(): readonly TestInstance[] {
    return [this.disk, this.keeper];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.keeper[Symbol.asyncDispose]();
    await this.cluster[Symbol.asyncDispose]();
  }
}

/** The same access by another way. */
export function accessAt({ region, accessKey, secretKey }: S3Access, endpoint: string): TestS3 {
  return new TestS3({ endpoint, region, accessKey, secretKey });
}
