/** Files on a disk of this instance, at rest under their own names. */
import { constants } from 'node:fs';
import { access, lstat, realpath, statfs, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Content } from '../../core/entry.ts';
import { backendUnavailable, insufficientStorage } from '../../core/errors.ts';
import type { VirtualPath } from '../../core/virtual-path.ts';
import type { Backend, ContentLedger, FoundContent, ObservedContent, StagedContent, StageOptions } from '../backend.ts';
import { canonicalRoot, claimDataRoot } from './data-root.ts';
import { closeReader, onDisk, openFile, statDescriptor, statReader, unlessAbsent } from './descriptor.ts';
import { DirectorySync } from './directory-sync.ts';
import { FileReader } from './file-reader.ts';
import { Layout } from './layout.ts';
import { Settler, type SettlerOptions } from './settler.ts';
import { stageContent } from './staging.ts';
import { isContent, stampOf } from './stamp.ts';

export interface LocalBackendOptions extends Pick<SettlerOptions, 'onLostAndFound' | 'onFailure'> {
  /** Absolute. */
  readonly root: string;
  readonly instanceId: string;
  readonly ledger: ContentLedger;
  /** Whether content must survive power loss, not only the death of the process. */
  readonly durable: boolean;
}

/** Claims the root, finishes what an earlier process left there, and serves it until disposed. */
export async function openLocalBackend(options: LocalBackendOptions): Promise<LocalBackend> {
  const layout = new Layout(await canonicalRoot(options.root));
  const claim = await claimDataRoot(layout, options.instanceId);
  const directories = new DirectorySync(options.durable);
  const settler = new Settler({ ...options, layout, directories });
  try {
    await settler.recover();
  } catch (error) {
    await settler.stop();
    claim[Symbol.dispose]();
    throw error;
  }
  return new LocalBackend(layout, directories, settler, claim, options.durable);
}

/** A file opened by its path: no symbolic link, and never waiting for a pipe. */
const OPEN_FOR_READING = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Below this size the answer of the disk itself comes soon enough. */
const ALWAYS_ROOM_BYTES = 1024 * 1024;

export class LocalBackend implements Backend {
  readonly type = 'localfs';
  readonly #layout: Layout;
  readonly #directories: DirectorySync;
  readonly #settler: Settler;
  readonly #claim: Disposable;
  readonly #durable: boolean;

  constructor(layout: Layout, directories: DirectorySync, settler: Settler, claim: Disposable, durable: boolean) {
    this.#layout = layout;
    this.#directories = directories;
    this.#settler = settler;
    this.#claim = claim;
    this.#durable = durable;
  }

  async check(): Promise<void> {
    await onDisk(access(this.#layout.staging, constants.W_OK | constants.X_OK));
    await this.assertRoom(ALWAYS_ROOM_BYTES);
  }

  async assertRoom(sizeBytes: number): Promise<void> {
    if (sizeBytes < ALWAYS_ROOM_BYTES) return;
    const { bavail, bsize } = await statfs(this.#layout.staging);
    if (sizeBytes > bavail * bsize) {
      throw insufficientStorage(new Error(`${sizeBytes} bytes are wanted, ${bavail * bsize} are free.`));
    }
  }

  stage(contentId: string, bytes: AsyncIterable<Uint8Array>, options: StageOptions): Promise<StagedContent> {
    return stageContent(this.#layout, this.#directories, contentId, bytes, { ...options, durable: this.#durable });
  }

  committed({ content }: StagedContent): void {
    this.#settler.add(content.contentId, false);
  }

  async discard({ content }: StagedContent): Promise<void> {
    await unlessAbsent(unlink(this.#layout.stagingFile(content.contentId)));
  }

  reconcile({ content }: StagedContent): void {
    this.#settler.add(content.contentId, true);
  }

  outboxPending(): void {
    this.#settler.outboxPending();
  }

  settled(): Promise<void> {
    return this.#settler.settled();
  }

  open(content: Content, path: VirtualPath): Promise<FoundContent> {
    return onDisk(this.#open(content, path));
  }

  async #open(content: Content, path: VirtualPath): Promise<FoundContent> {
    const natural = this.#layout.naturalFile(path, content.contentId);
    let found: FoundContent = { kind: 'missing' };
    // The natural place twice: settling may bring the content there between the first look and the second.
    for (const file of [natural, this.#layout.stagingFile(content.contentId), natural]) {
      found = await openIfContent(file, content);
      if (found.kind === 'intact') return found;
    }
    // It stays there when its directory gets a shorter path.
    const kept = await openIfContent(this.#layout.longNameFile(content.contentId), content);
    if (kept.kind === 'intact') return kept;
    return found.kind === 'changed' && (await isReachedByLink(natural)) ? { kind: 'missing' } : found;
  }

  async probe(content: Content, path: VirtualPath): Promise<FoundContent['kind']> {
    const natural = this.#layout.naturalFile(path, content.contentId);
    const stats = await onDisk(unlessAbsent(lstat(natural)));
    if (stats && isContent(stats, content)) return 'intact';
    const found = await this.open(content, path);
    if (found.kind === 'intact') await found.reader[Symbol.asyncDispose]();
    return found.kind;
  }

  observe(path: VirtualPath, contentId: string): Promise<ObservedContent | undefined> {
    return onDisk(observeFile(this.#layout.naturalFile(path, contentId), contentId));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#settler.settled();
    await this.#settler.stop();
    this.#claim[Symbol.dispose]();
  }
}

/** Behind a symbolic link lies something else than this instance's data. */
async function isReachedByLink(file: string): Promise<boolean> {
  const directory = dirname(file);
  return (await unlessAbsent(realpath(directory))) !== directory;
}

async function openIfContent(file: string, content: Content): Promise<FoundContent> {
  const fd = await unlessAbsent(openFile(file, OPEN_FOR_READING));
  if (fd === undefined) return { kind: 'missing' };
  const stats = statReader(fd);
  if (isContent(stats, content)) return { kind: 'intact', reader: new FileReader(fd, content.sizeBytes) };
  closeReader(fd);
  return { kind: stats.isFile() ? 'changed' : 'missing' };
}

export async function observeFile(file: string, contentId: string): Promise<ObservedContent | undefined> {
  if (await isReachedByLink(file)) return undefined;
  const fd = await unlessAbsent(openFile(file, OPEN_FOR_READING));
  if (fd === undefined) return undefined;
  const before = await statDescriptor(fd);
  await using reader = new FileReader(fd, before.size);
  if (!before.isFile()) return undefined;
  let crc = 0;
  const sink = {
    async write(chunk: Uint8Array): Promise<void> {
      crc = crc32(chunk, crc);
    },
  };
  await reader.copyTo(sink, 0, before.size);
  const after = await statDescriptor(fd);
  if (stampOf(before) !== stampOf(after) || before.size !== after.size) {
    throw backendUnavailable('The file is being changed on disk, outside CallFS, right now.');
  }
  const checksum = crc.toString(16).padStart(8, '0');
  const content = { contentId, sizeBytes: before.size, checksum, storageKey: null, storageStamp: stampOf(before) };
  return { content, mtimeMs: Math.floor(before.mtimeMs) };
}
