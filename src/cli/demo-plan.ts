/** What the demo's instances are called, where they listen and where their files lie. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DemoBucket } from './demo-bucket.ts';

export const CALLFS = fileURLToPath(new URL('../../bin/callfs', import.meta.url));

export interface InstancePlan {
  readonly id: string;
  readonly port: number;
  readonly url: string;
  /** Absolute, like the other paths. */
  readonly dataRoot: string;
  readonly configFile: string;
  readonly logFile: string;
  /** Where its files go; undefined: on the disk. */
  readonly bucket: DemoBucket | undefined;
}

/** One with its files on the disk, one with its files in the bucket. */
export const INSTANCES_WITH_BUCKET = 2;

/** @param bucket of the second one; undefined: all keep their files on the disk */
export function planInstances(
  directory: string,
  ports: readonly number[],
  bucket: DemoBucket | undefined,
): readonly InstancePlan[] {
  return ports.map((port, index) => {
    const number = index + 1;
    const hasBucket = bucket !== undefined && number === INSTANCES_WITH_BUCKET;
    return {
      id: hasBucket ? 'callfs-s3-1' : `callfs-localfs-${number}`,
      port,
      url: `http://127.0.0.1:${port}`,
      dataRoot: join(directory, `data-${number}`),
      configFile: join(directory, `instance-${number}.yaml`),
      logFile: join(directory, `instance-${number}.log`),
      bucket: hasBucket ? bucket : undefined,
    };
  });
}
