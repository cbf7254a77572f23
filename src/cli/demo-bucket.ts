/** The bucket of `callfs demo --s3`: on a real S3 server of its own, in memory, gone with the demo. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { RADOSGW_PACKAGES, RADOSGW_PROGRAMS, Radosgw } from './radosgw.ts';

export interface DemoBucket {
  /** `http://127.0.0.1:…` */
  readonly endpoint: string;
  readonly region: string;
  readonly name: string;
  readonly accessKey: string;
  readonly secretKey: string;
}

/** How many ports the server takes: its own and one for its parts among themselves. */
export const BUCKET_PORTS = 2;

const run = promisify(execFile);

/** @throws Error with one line for the operator when the programs of the server are not installed */
export async function assertServerInstalled(): Promise<void> {
  const missing = 'for name do command -v "$name" >/dev/null || echo "$name"; done';
  const { stdout } = await run('sh', ['-c', missing, 'sh', ...RADOSGW_PROGRAMS]);
  const names = stdout.trim().split('\n');
  if (names[0] === '') return;
  throw new Error(
    `--s3 runs a real S3 server, Ceph's object gateway, and ${names.join(', ')} cannot be found. On Debian and Ubuntu: apt-get install --no-install-recommends ${RADOSGW_PACKAGES.join(' ')}`,
  );
}

export class BucketServer implements AsyncDisposable {
  readonly bucket: DemoBucket;
  readonly #server: Radosgw;

  /** @param directory removed with everything in it when this process ends, however it ends */
  constructor([gatewayPort = 0, monitorPort = 0]: readonly number[], directory: string) {
    const keys = { accessKey: 'callfs-demo', secretKey: 'callfs-demo-secret' };
    this.#server = new Radosgw({ gatewayPort, monitorPort, ...keys, alsoRemoved: directory });
    this.bucket = { endpoint: this.#server.endpoint, region: 'us-east-1', name: 'callfs-demo', ...keys };
  }

  /** Resolves when the bucket is there. Rejects with what the server said when it does not come up. */
  async start(): Promise<void> {
    const [{ CreateBucketCommand, S3Client }] = await Promise.all([import('@aws-sdk/client-s3'), this.#server.start()]);
    const { endpoint, region, name: Bucket, accessKey: accessKeyId, secretKey: secretAccessKey } = this.bucket;
    const client = new S3Client({
      ...{ endpoint, region, forcePathStyle: true },
      credentials: { accessKeyId, secretAccessKey },
    });
    await client.send(new CreateBucketCommand({ Bucket }));
    client.destroy();
  }

  /** Before it ends it waits for that process. */
  outlive(processId: number): void {
    this.#server.outlive(processId);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#server[Symbol.asyncDispose]();
  }
}
