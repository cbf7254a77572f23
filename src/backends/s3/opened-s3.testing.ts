/** A backend on a bucket of its own, for tests: what lies there, and what the backend complained of. */
import type { TestS3 } from '../../../test/support/test-s3.ts';
import type { Content, FileEntry } from '../../core/entry.ts';
import type { LocatedEntry } from '../../core/located-entry.ts';
import { isWithin, type VirtualPath } from '../../core/virtual-path.ts';
import { TestLedger } from '../backend.contract.ts';
import type { Unsettled } from '../backend.ts';
import type { ObjectLedger } from '../object-ledger.ts';
import { openS3Backend, type S3Backend } from './s3-backend.ts';
import type { S3Settings } from './s3-settings.ts';

/** The namespace of the contract suite, as a bucket's settler sees it. */
export class TestObjectLedger extends TestLedger implements ObjectLedger {
  #relocations = 0;
  /** Whose the files are. */
  readonly owners = new Map<VirtualPath, string>();

  #locate(path: VirtualPath, content: Content): LocatedEntry {
    const entry = { type: 'file', backendType: 's3', contentType: null, ...content } as Partial<FileEntry>;
    return { entry: { ...entry, instanceId: this.owners.get(path) ?? 'instance' } as FileEntry, path, above: [] };
  }

  #all(): LocatedEntry[] {
    return [...this.paths].map(([path, content]) => this.#locate(path, content));
  }

  async describeContents(contentIds: readonly string[]): Promise<readonly LocatedEntry[]> {
    return this.#all().filter(({ entry }) => entry.type === 'file' && contentIds.includes(entry.contentId));
  }

  async describeKeys(keys: readonly string[]): Promise<readonly LocatedEntry[]> {
    return this.#all().filter(({ entry }) => entry.type === 'file' && keys.includes(entry.storageKey ?? ''));
  }

  async announcePlace(contentId: string, key: string): ReturnType<ObjectLedger['announcePlace']> {
    const isBusy = this.outbox.some(
      (row) => row.kind === 'discard' && row.contentId === contentId && row.storageKey === key,
    );
    if (isBusy) return { kind: 'busy' };
    const [path, content] = [...this.paths].find(([, each]) => each.contentId === contentId) ?? [];
    if (!path || !content) return { kind: 'gone' };
    const seq = 1e6 + ++this.#relocations;
    const announced = { ...content, storageKey: key, storageStamp: '' };
    this.outbox.push({ kind: 'discard', ...announced, seq, backendType: 's3', path });
    return { kind: 'announced', seq };
  }

  /** @param directoryId its path */
  async *filesBelow(directoryId: string): AsyncIterable<LocatedEntry> {
    for (const each of this.#all()) if (isWithin(each.path, directoryId as VirtualPath)) yield each;
  }

  async relocateContent(request: Parameters<ObjectLedger['relocateContent']>[0]): Promise<boolean> {
    const { contentId, fromKey, toKey, storageStamp, announced } = request;
    const [path, content] = [...this.paths].find(([, each]) => each.contentId === contentId) ?? [];
    if (!path || !content || content.storageKey !== fromKey) return false;
    await this.forgetOutbox([announced]);
    this.paths.set(path, { ...content, storageKey: toKey, storageStamp });
    const seq = 1e6 + ++this.#relocations;
    this.outbox.push({ kind: 'discard', ...content, seq, backendType: 's3', path });
    return true;
  }

  override async listOutbox(instanceId: string, limit: number): Promise<readonly Unsettled[]> {
    const rows = await super.listOutbox(instanceId, limit);
    return rows.map((row) => (row.kind === 'move' ? { ...row, entryId: row.to } : row));
  }
}

let buckets = 0;

export class OpenedS3 implements AsyncDisposable {
  readonly s3: TestS3;
  readonly settings: S3Settings;
  readonly ledger: TestObjectLedger;
  readonly lostAndFound: string[] = [];
  readonly failures: unknown[] = [];
  backend: S3Backend;

  constructor(s3: TestS3, settings: S3Settings, ledger = new TestObjectLedger()) {
    this.s3 = s3;
    this.settings = settings;
    this.ledger = ledger;
    this.backend = this.open();
  }

  static async create(s3: TestS3, given: Partial<S3Settings> = {}): Promise<OpenedS3> {
    const bucket = `bucket-${++buckets}`;
    await s3.createBucket(bucket);
    return new OpenedS3(s3, { ...settingsFor(s3, bucket), ...given });
  }

  open(instanceId = 'instance'): S3Backend {
    this.backend = openS3Backend({
      settings: this.settings,
      instanceId,
      ledger: this.ledger,
      nowMs: Date.now,
      onLostAndFound: (_from, to) => this.lostAndFound.push(to),
      onFailure: (error) => this.failures.push(error),
    });
    return this.backend;
  }

  async restart(): Promise<void> {
    await this.backend[Symbol.asyncDispose]();
    this.open();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.backend[Symbol.asyncDispose]();
  }
}

export function settingsFor({ endpoint, region, accessKey, secretKey }: TestS3, bucket: string): S3Settings {
  return {
    ...{ endpoint, region, accessKey, secretKey, bucket },
    ...{ serverSideEncryption: '', kmsKeyId: '', acl: '', prefix: '' },
  };
}
