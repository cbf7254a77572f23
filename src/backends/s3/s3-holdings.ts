/** A bucket looked at and put right by another process than the instance's own: for checks, repairs and rebuilds. */
import { type Content, haveSameBytes } from '../../core/entry.ts';
import { RESERVED_TOP_LEVEL_NAME, ROOT_PATH, type VirtualPath } from '../../core/virtual-path.ts';
import type {
  Examination,
  FoundPlace,
  HeldFile,
  Holdings,
  ObservedContent,
  PlacedHoldings,
  StrangeFile,
  UnfinishedBytes,
} from '../backend.ts';
import type { BucketLedger } from '../object-ledger.ts';
import { S3Bucket } from './s3-bucket.ts';
import { createS3Client } from './s3-client.ts';
import { S3Keys } from './s3-keys.ts';
import { type ListedObject, S3Objects } from './s3-objects.ts';
import { S3Placer, type S3PlacerOptions } from './s3-placer.ts';
import type { S3Settings } from './s3-settings.ts';
import { S3SettleRound } from './s3-settle-round.ts';
import { S3Strangers, UPLOAD_MAY_TAKE_MS } from './s3-strangers.ts';
import { observeObject, readObserved, readSums } from './s3-sums.ts';

export interface S3HoldingsOptions {
  readonly settings: S3Settings;
  readonly instanceId: string;
  readonly ledger: BucketLedger;
  readonly nowMs: () => number;
  /** The data root of the instance: a bucket has no lock, so that one's stands for both. */
  readonly home: Pick<Holdings, 'claimed' | 'isServed'>;
}

interface HoldingsParts extends S3HoldingsOptions {
  readonly objects: S3Objects;
  readonly keys: S3Keys;
  readonly close: () => void;
}

/** Does not ask for the bucket yet. */
export function openS3Holdings(options: S3HoldingsOptions): PlacedHoldings {
  const { settings, instanceId } = options;
  const client = createS3Client(settings);
  const objects = new S3Objects(new S3Bucket(client, settings));
  const keys = new S3Keys(settings.prefix, instanceId);
  return new S3Holdings({ ...options, objects, keys, close: () => client.destroy() });
}

class S3Holdings implements PlacedHoldings {
  readonly type = 's3';
  readonly root: string;
  readonly #parts: HoldingsParts;
  readonly #work: S3PlacerOptions;
  readonly #strangers: S3Strangers;
  /** Contents that are not in their natural places. */
  readonly #misplaced = new Set<string>();
  /** What a survey saw: it proves what is there, never what is not. */
  #listed: ReadonlyMap<string, ListedObject> = new Map();

  constructor(parts: HoldingsParts) {
    const { settings, home } = parts;
    this.root = `s3://${settings.bucket}/${settings.prefix}`;
    this.#parts = parts;
    this.#work = { ...parts, onLostAndFound: () => {} };
    this.#strangers = new S3Strangers({ ...parts, isServed: () => home.isServed() });
  }

  get claimed(): boolean {
    return this.#parts.home.claimed;
  }

  isServed(): Promise<boolean> {
    return this.#parts.home.isServed();
  }

  assertPresent(): Promise<void> {
    return this.#parts.objects.check();
  }

  async survey(under: VirtualPath | undefined): Promise<void> {
    const listed = new Map<string, ListedObject>();
    for await (const object of this.#list(under)) listed.set(object.key, object);
    this.#listed = listed;
  }

  async *#list(under: VirtualPath | undefined): AsyncGenerator<ListedObject> {
    const { objects, keys } = this.#parts;
    const key = under === undefined || under === ROOT_PATH ? '' : under.slice(1);
    for await (const object of objects.list(key)) {
      const isBelow = key === '' || object.key === key || object.key.startsWith(`${key}/`);
      if (isBelow && keys.isOfContents(object.key)) yield object;
    }
  }

  async examine(content: Content, path: VirtualPath, deep: boolean): Promise<Examination> {
    try {
      return await this.#examine(content, path, deep);
    } catch (error) {
      return { kind: 'unreadable', reason: error instanceof Error ? error.message : String(error) };
    }
  }

  async #examine(content: Content, path: VirtualPath, deep: boolean): Promise<Examination> {
    const { keys } = this.#parts;
    const natural = keys.naturalKey(path, content.contentId);
    const key = content.storageKey ?? natural;
    const etag = await this.#etagAt(key, content);
    if (etag === content.storageStamp) {
      if (key === natural) return deep ? this.#verify(key, content) : { kind: 'intact' };
      return { kind: 'misplaced', area: key === keys.stagingKey(content.contentId) ? 'staging' : 'another-key' };
    }
    if (await this.#findBrought(natural, content)) return { kind: 'misplaced', area: 'another-key' };
    return etag === undefined ? { kind: 'missing' } : { kind: 'changed', adoptable: true };
  }

  async #etagAt(key: string, { storageStamp }: Content): Promise<string | undefined> {
    if (this.#listed.get(key)?.etag === storageStamp) return storageStamp;
    return (await this.#parts.objects.head(key))?.etag;
  }

  /** Where it is if its instance has brought it to its natural place, and did not come to say so. */
  async #findBrought(natural: string, content: Content): Promise<FoundPlace | undefined> {
    const { contentId, sizeBytes, storageKey } = content;
    if (storageKey === null || storageKey === natural) return undefined;
    const found = await this.#parts.objects.head(natural);
    const isBrought = found?.contentId === contentId && found.sizeBytes === sizeBytes;
    return isBrought ? { storageKey: natural, storageStamp: found.etag } : undefined;
  }

  async #verify(key: string, content: Content): Promise<Examination> {
    const { storageStamp: etag, sizeBytes } = content;
    const sums = await readSums(this.#parts.objects, { key, etag, sizeBytes });
    return haveSameBytes({ sizeBytes, ...sums }, content)
      ? { kind: 'intact' }
      : { kind: 'corrupt', checksum: sums.checksum };
  }

  isMisplaced({ contentId, storageKey }: Content, path: VirtualPath): boolean {
    return storageKey !== null && storageKey !== this.#parts.keys.naturalKey(path, contentId);
  }

  async find(content: Content, path: VirtualPath): Promise<FoundPlace | undefined> {
    const natural = this.#parts.keys.naturalKey(path, content.contentId);
    const storageKey = content.storageKey ?? natural;
    const { storageStamp } = content;
    if ((await this.#etagAt(storageKey, content)) === storageStamp) return { storageKey, storageStamp };
    return this.#findBrought(natural, content);
  }

  /** Where the entry has it, if one points to the content: only an unknown content is looked for in the natural place. */
  async observe(path: VirtualPath, contentId: string): Promise<ObservedContent | undefined> {
    const { objects, ledger, keys } = this.#parts;
    const [place] = await ledger.describeContents([contentId]);
    const placedAt = place?.entry.type === 'file' ? place.entry.storageKey : null;
    return observeObject(objects, ledger, placedAt ?? keys.naturalKey(path, contentId), { path, contentId });
  }

  async observeInstead(content: Content, path: VirtualPath, contentId: string): Promise<ObservedContent | undefined> {
    const { objects, keys } = this.#parts;
    const key = content.storageKey ?? keys.naturalKey(path, content.contentId);
    const found = await objects.head(key);
    if (!found || (found.contentId ?? content.contentId) !== content.contentId) return undefined;
    return readObserved(objects, key, found, contentId);
  }

  async *files(): AsyncGenerator<HeldFile> {
    const { keys } = this.#parts;
    for (const { key, etag, sizeBytes } of this.#listed.values()) {
      yield {
        ...{ location: key, rawLocation: Buffer.from(key), path: keys.pathOf(key), contentId: keys.contentOf(key) },
        ...{ sizeBytes, storageStamp: etag, identity: etag },
      };
    }
  }

  findStrange(files: readonly HeldFile[]): Promise<readonly StrangeFile[]> {
    return this.#strangers.among(files);
  }

  async isThere({ location, identity }: HeldFile): Promise<boolean> {
    return (await this.#parts.objects.head(location))?.etag === identity;
  }

  /** Staged objects are among the files: entries say of theirs that they lie there. */
  async staged(): Promise<readonly string[]> {
    return [];
  }

  async stagedAtMs(contentId: string): Promise<number | undefined> {
    const { objects, keys } = this.#parts;
    return (await objects.head(keys.stagingKey(contentId)))?.modifiedMs;
  }

  async removeStaged(file: HeldFile): Promise<void> {
    if ((await this.findStrange([file])).length > 0) await this.#parts.objects.remove(file.location);
  }

  /** They grow on the disk. */
  async uploads(): Promise<readonly string[]> {
    return [];
  }

  async removeUpload(): Promise<void> {}

  async unfinished(): Promise<readonly UnfinishedBytes[]> {
    const { objects, keys, ledger, nowMs } = this.#parts;
    const { known } = await ledger.neighbours();
    const served = await this.isServed();
    const unfinished: UnfinishedBytes[] = [];
    for await (const { key, uploadId, begunMs } of objects.unfinishedUploads(`${RESERVED_TOP_LEVEL_NAME}/`)) {
      const isOld = nowMs() - begunMs >= UPLOAD_MAY_TAKE_MS;
      const isOwn = key.startsWith(keys.staging);
      const isNobodys = !known.has(keys.stagedBy(key) ?? '');
      if (isOld ? isOwn || isNobodys : isOwn && !served) unfinished.push({ location: key, id: uploadId });
    }
    return unfinished;
  }

  removeUnfinished({ location, id }: UnfinishedBytes): Promise<void> {
    return this.#parts.objects.abortUpload({ key: location, uploadId: id });
  }

  async moveAside(file: HeldFile): Promise<string | undefined> {
    const found = await this.#parts.objects.head(file.location);
    if (found?.etag !== file.identity || (await this.findStrange([file])).length === 0) return undefined;
    return new S3Placer(this.#work).moveAside(file.location, found);
  }

  async bringBack(contentId: string): Promise<void> {
    this.#assertClaimed();
    this.#misplaced.add(contentId);
  }

  async settle(): Promise<void> {
    this.#assertClaimed();
    const failures: unknown[] = [];
    const round = new S3SettleRound({ ...this.#work, onFailure: (error) => failures.push(error) });
    await this.#recordBrought();
    for (const contentId of this.#misplaced) round.add(contentId, false);
    while ((await round.settleSome()).hasMore);
    this.#misplaced.clear();
    if (failures.length > 0) throw failures[0];
  }

  /** A namespace that is older than the bucket does not say yet where some contents are. */
  async #recordBrought(): Promise<void> {
    const { ledger } = this.#parts;
    for (const { entry, path } of await ledger.describeContents([...this.#misplaced])) {
      const found = entry.type === 'file' ? await this.find(entry, path) : undefined;
      if (entry.type !== 'file' || !found || found.storageKey === entry.storageKey) continue;
      const { contentId, storageKey: fromKey } = entry;
      const { storageKey: toKey, storageStamp } = found;
      if (fromKey !== null && toKey !== null) await ledger.recordPlace({ contentId, fromKey, toKey, storageStamp });
    }
  }

  #assertClaimed(): void {
    if (!this.claimed) throw new Error(`The bucket ${this.root} is in use by the running instance.`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#parts.close();
  }
}
