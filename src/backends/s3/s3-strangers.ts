/** Tells objects that nothing accounts for from those that somebody is at work with, or that are none of our business. */
import { forEachParallel } from '../../core/for-each-parallel.ts';
import type { HeldFile, StrangeFile } from '../backend.ts';
import type { BucketLedger, Neighbours } from '../object-ledger.ts';
import type { S3Keys } from './s3-keys.ts';
import type { FoundObject, S3Objects } from './s3-objects.ts';

export interface StrangersOptions {
  readonly objects: S3Objects;
  readonly keys: S3Keys;
  readonly ledger: BucketLedger;
  readonly nowMs: () => number;
  /** Whether the instance runs. */
  readonly isServed: () => Promise<boolean>;
}

interface Surroundings extends Neighbours {
  readonly served: boolean;
}

type Verdict = 'staged' | 'unknown';

/** Uploads may take so long that their clients are slow, but not longer. */
export const UPLOAD_MAY_TAKE_MS = 24 * 60 * 60 * 1000;
/** An instance that dies leaves an object which nobody knows; so long it may as well be about to become known. */
export const SETTLING_MAY_TAKE_MS = 60 * 60 * 1000;
const PARALLEL = 16;

export class S3Strangers {
  readonly #options: StrangersOptions;

  constructor(options: StrangersOptions) {
    this.#options = options;
  }

  /** Those of some objects that no entry points to. */
  async among(files: readonly HeldFile[]): Promise<readonly StrangeFile[]> {
    const { ledger, isServed } = this.#options;
    const located = await ledger.describeKeys(files.map(({ location }) => location));
    const known = new Set(located.map(({ entry }) => (entry.type === 'file' ? entry.storageKey : null)));
    const unknown = files.filter(({ location }) => !known.has(location));
    if (unknown.length === 0) return [];
    const around = { ...(await ledger.neighbours()), served: await isServed() };
    const strange: StrangeFile[] = [];
    await forEachParallel(unknown, PARALLEL, async (file) => {
      const verdict = await this.#judge(file, around);
      if (verdict !== undefined) strange.push({ file, isStaged: verdict === 'staged' });
    });
    return strange;
  }

  /** Undefined: it is gone, or perhaps somebody is at work with it. */
  async #judge(file: HeldFile, around: Surroundings): Promise<Verdict | undefined> {
    const { objects, keys, nowMs } = this.#options;
    const found = await objects.head(file.location);
    if (found?.etag !== file.storageStamp) return undefined;
    const ageMs = nowMs() - found.modifiedMs;
    const stager = keys.stagedBy(file.location);
    if (stager !== undefined) return this.#judgeStaged(file, stager, ageMs, around);
    if (found.contentId === undefined) return isMarker(file, found) ? undefined : 'unknown';
    if (ageMs < SETTLING_MAY_TAKE_MS && (around.served || around.mayRun)) return undefined;
    return (await this.#isOnItsWay(file, found.contentId)) ? undefined : 'unknown';
  }

  #judgeStaged(
    { location }: HeldFile,
    stager: string,
    ageMs: number,
    { served, known }: Surroundings,
  ): Verdict | undefined {
    const isOld = ageMs >= UPLOAD_MAY_TAKE_MS;
    if (location.startsWith(this.#options.keys.staging)) return isOld || !served ? 'staged' : undefined;
    return isOld && !known.has(stager) ? 'unknown' : undefined;
  }

  /** Whether the entry that points to the content has its natural place there: the instance will find it. */
  async #isOnItsWay({ location }: HeldFile, contentId: string): Promise<boolean> {
    const { ledger, keys } = this.#options;
    const [place] = await ledger.describeContents([contentId]);
    return place?.entry.backendType === 's3' && keys.naturalKey(place.path, contentId) === location;
  }
}

/** What consoles put into a bucket to show an empty folder. */
function isMarker({ location }: HeldFile, { sizeBytes }: FoundObject): boolean {
  return location.endsWith('/') && sizeBytes === 0;
}
