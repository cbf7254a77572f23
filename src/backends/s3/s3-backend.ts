/** Files in a bucket, at rest under the keys of their paths. */
import type { Content } from '../../core/entry.ts';
import type { VirtualPath } from '../../core/virtual-path.ts';
import type { Backend, FoundContent, ObservedContent, StagedContent, StageOptions } from '../backend.ts';
import { BytesReader } from '../bytes-reader.ts';
import type { ObjectLedger } from '../object-ledger.ts';
import { Settler } from '../settler.ts';
import { S3Bucket } from './s3-bucket.ts';
import { createS3Client } from './s3-client.ts';
import { S3Keys } from './s3-keys.ts';
import { S3Objects } from './s3-objects.ts';
import type { S3PlacerOptions } from './s3-placer.ts';
import { S3Reader, WHOLE_BYTES, type Whereabouts } from './s3-reader.ts';
import { bucketIdOf, type S3Settings } from './s3-settings.ts';
import { S3SettleRound } from './s3-settle-round.ts';
import { type StagedObject, stageObject } from './s3-stage.ts';
import { observeObject } from './s3-sums.ts';

export interface S3BackendOptions extends Omit<S3PlacerOptions, 'objects' | 'keys'> {
  readonly settings: S3Settings;
  readonly onFailure: (error: unknown) => void;
}

/** Does not ask for the bucket: an instance starts, and serves what it has elsewhere, while the bucket cannot be reached. */
export function openS3Backend(options: S3BackendOptions): S3Backend {
  const { settings, instanceId } = options;
  const client = createS3Client(settings);
  const objects = new S3Objects(new S3Bucket(client, settings));
  const keys = new S3Keys(settings.prefix, instanceId);
  let work: S3SettleRound | undefined;
  const onFailure = whenChanged(options.onFailure);
  const settler = new Settler({
    onFailure,
    workWith: (report) => {
      work = new S3SettleRound({ ...options, objects, keys, onFailure: report });
      return work;
    },
  });
  if (!work) throw new Error('The settler has not made its work.');
  settler.start();
  settler.outboxPending();
  const close = (): void => client.destroy();
  const { ledger, nowMs } = options;
  return new S3Backend({ objects, keys, settler, work, close, bucketId: bucketIdOf(settings), ledger, nowMs });
}

/** A bucket that cannot be reached is told once, not every time. */
function whenChanged(onFailure: (error: unknown) => void): (error: unknown) => void {
  let last: string | undefined;
  return (error) => {
    const message = error instanceof Error ? error.message : String(error);
    if (message !== last) onFailure(error);
    last = message;
  };
}

interface OpenedParts {
  readonly objects: S3Objects;
  readonly keys: S3Keys;
  readonly settler: Settler;
  readonly work: S3SettleRound;
  readonly bucketId: string;
  readonly ledger: ObjectLedger;
  readonly nowMs: () => number;
  readonly close: () => void;
}

export class S3Backend implements Backend {
  readonly type = 's3';
  readonly bucketId: string;
  readonly #parts: OpenedParts;

  constructor(parts: OpenedParts) {
    this.#parts = parts;
    this.bucketId = parts.bucketId;
  }

  check(): Promise<void> {
    return this.#parts.objects.check();
  }

  /** A bucket has no size. */
  async assertRoom(): Promise<void> {}

  async freeBytes(): Promise<undefined> {}

  async stage(contentId: string, bytes: AsyncIterable<Uint8Array>, options: StageOptions): Promise<StagedObject> {
    const { objects, keys, nowMs, work } = this.#parts;
    work.begin(contentId);
    const key = keys.stagingKey(contentId);
    let isSent = false;
    const onSend = (): void => {
      isSent = true;
    };
    try {
      return await stageObject(objects, { ...options, contentId, key, bytes, nowMs, onSend });
    } catch (error) {
      if (isSent) this.#remove(contentId);
      throw error;
    }
  }

  /** Soon, and again until the bucket has done it. */
  #remove(contentId: string): void {
    const { work, settler } = this.#parts;
    work.addBroken(contentId);
    settler.wake();
  }

  async stageClone(contentId: string, original: Content): Promise<StagedContent | undefined> {
    const { objects, keys, nowMs, work } = this.#parts;
    const { storageKey: from, storageStamp: etag, sizeBytes } = original;
    if (from === null) return undefined;
    work.begin(contentId);
    const to = keys.stagingKey(contentId);
    const storageStamp = await objects.copy({ from, to, etag, sizeBytes, contentId }).catch((error: unknown) => {
      this.#remove(contentId);
      throw error;
    });
    if (storageStamp === undefined) return undefined;
    const content = { ...pickSums(original), contentId, storageKey: to, storageStamp };
    const open = async () => new S3Reader(objects, { key: to, etag: storageStamp, sizeBytes }, undefined);
    return { content, mtimeMs: nowMs(), open };
  }

  committed(staged: StagedContent): void {
    this.#settle(staged, false);
  }

  reconcile(staged: StagedContent): void {
    this.#settle(staged, true);
  }

  takenOver(contentId: string): void {
    this.#parts.work.add(contentId, false);
    this.#parts.settler.wake();
  }

  #settle(staged: StagedContent, mayRemove: boolean): void {
    const { work, settler } = this.#parts;
    const bytes = 'bytes' in staged ? (staged as StagedObject).bytes : undefined;
    work.add(staged.content.contentId, mayRemove, bytes);
    settler.wake();
  }

  async discard({ content }: StagedContent): Promise<void> {
    if (content.storageKey === null) return;
    await this.#parts.objects.remove(content.storageKey).catch((error: unknown) => {
      this.#remove(content.contentId);
      throw error;
    });
  }

  outboxPending(): void {
    this.#parts.settler.outboxPending();
  }

  settled(): Promise<void> {
    return this.#parts.settler.settled();
  }

  async open(content: Content): Promise<FoundContent> {
    const { objects } = this.#parts;
    const { contentId, storageKey: key, storageStamp: etag, sizeBytes } = content;
    if (key === null) return { kind: 'missing' };
    if (sizeBytes > WHOLE_BYTES) {
      const found = await this.probe(content);
      if (found !== 'intact') return { kind: found };
      const reader = new S3Reader(objects, { key, etag, sizeBytes }, undefined, () => this.#find(contentId));
      return { kind: 'intact', reader };
    }
    if (sizeBytes === 0) {
      const found = await this.probe(content);
      return found === 'intact' ? { kind: 'intact', reader: new BytesReader(new Uint8Array()) } : { kind: found };
    }
    const found = await objects.open(key, { etag, sizeBytes, start: 0, end: sizeBytes });
    if (found.kind !== 'opened') return found;
    await using reader = new S3Reader(objects, { key, etag, sizeBytes }, found.body);
    return { kind: 'intact', reader: new BytesReader(await reader.readAll()) };
  }

  async #find(contentId: string): ReturnType<Whereabouts> {
    const [place] = await this.#parts.ledger.describeContents([contentId]);
    if (place?.entry.type !== 'file' || place.entry.backendType !== 's3' || place.entry.storageKey === null) return;
    return { key: place.entry.storageKey, etag: place.entry.storageStamp };
  }

  async probe({ storageKey, storageStamp }: Content): Promise<FoundContent['kind']> {
    if (storageKey === null) return 'missing';
    const found = await this.#parts.objects.head(storageKey);
    if (!found) return 'missing';
    return found.etag === storageStamp ? 'intact' : 'changed';
  }

  observe(path: VirtualPath, contentId: string): Promise<ObservedContent | undefined> {
    const { objects, keys, ledger } = this.#parts;
    return observeObject(objects, ledger, keys.naturalKey(path, contentId), { path, contentId });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { settler, close } = this.#parts;
    await settler.settled();
    await settler.stop();
    close();
  }
}

function pickSums({ sizeBytes, checksum, sha256 }: Content): Pick<Content, 'sizeBytes' | 'checksum' | 'sha256'> {
  return { sizeBytes, checksum, sha256 };
}
