/** What the demo tells its user about files in a bucket. */
import { dirname } from 'node:path';
import type { DemoBucket } from './demo-bucket.ts';
import type { InstancePlan } from './demo-plan.ts';
import { curlLine, quoted, type Step, steps, table } from './demo-text.ts';

export function bucketTable({ endpoint, name, accessKey, secretKey }: DemoBucket): string {
  return table([
    ['BUCKET', 'S3 SERVER', 'ACCESS KEY', 'SECRET KEY'],
    [name, endpoint, accessKey, secretKey],
  ]);
}

export interface BucketTour {
  /** Keeps its files on its disk. */
  readonly onDisk: InstancePlan;
  /** Keeps its files in the bucket. */
  readonly inBucket: InstancePlan;
  readonly bucket: DemoBucket;
  /** Of a user. */
  readonly key: string;
  /** A path at which nothing exists yet, such as `/demo/hello.txt`. */
  readonly newFile: string;
}

/** How a file gets into a bucket, and that it does not matter to who reads it. */
export function bucketTour(tour: BucketTour): string {
  const { onDisk, inBucket, key, newFile } = tour;
  const folder = dirname(newFile);
  const files = (plan: InstancePlan, path: string): string => `${plan.url}/v1/files${path}`;
  const [object, moved] = [`${folder}/object.txt`, `${folder}/moved.txt`];
  const all: readonly Step[] = [
    {
      what: `Create a file at ${onDisk.id}: it lies on its disk.`,
      line: curlLine(key, '-X POST --data "content" ', files(onDisk, newFile)),
    },
    {
      what: `Create it at ${inBucket.id} too: a conflict (409) that says where it is.`,
      line: curlLine(key, '-X POST --data "different content" ', files(inBucket, newFile)),
    },
    {
      what: `Create another one at ${inBucket.id}: it lies in the bucket.`,
      line: curlLine(key, '-X POST --data "content of an object" ', files(inBucket, object)),
    },
    { what: `Read it through ${onDisk.id}, which has no bucket.`, line: curlLine(key, '', files(onDisk, object)) },
    {
      what: 'Ask where it is: X-CallFS-Instance-ID and X-CallFS-Backend-Type.',
      line: curlLine(key, '-I ', files(onDisk, object)),
    },
    {
      what: `Create one on the disk of ${inBucket.id}: X-CallFS-Backend says where.`,
      line: curlLine(key, '-X PUT --data "moved content" -H "X-CallFS-Backend: localfs" ', files(inBucket, moved)),
    },
    {
      what: 'Move it into the bucket; it can be read and written all the while.',
      line: curlLine(key, `-X PATCH --data '{"backend":"s3"}' `, files(inBucket, moved)),
    },
    {
      what: `Move the first one there, too, from ${onDisk.id}.`,
      line: curlLine(key, `-X PATCH --data '{"instance":"${inBucket.id}","backend":"s3"}' `, files(onDisk, newFile)),
    },
    {
      what: 'List the bucket, without CallFS.',
      line: s3Line(tour.bucket, `?list-type=2&prefix=${encodeURIComponent(`${folder.slice(1)}/`)}`),
    },
    { what: 'And an object in it: the plain file, under its name.', line: s3Line(tour.bucket, newFile) },
  ];
  return steps(all);
}

/** A request to the S3 server itself. */
function s3Line({ endpoint, region, name, accessKey, secretKey }: DemoBucket, rest: string): string {
  const signature = `--aws-sigv4 aws:amz:${region}:s3 --user ${accessKey}:${secretKey}`;
  // Of what it signs, curl does not tell the server by itself that it has no body.
  const signed = `${signature} -H "x-amz-content-sha256: UNSIGNED-PAYLOAD"`;
  return `curl ${signed} -w '\\n' ${quoted(`${endpoint}/${name}${rest}`)}`;
}
