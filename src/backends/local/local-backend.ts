/** Files on a disk of this instance, at rest under their own names. */
import { constants } from 'node:fs';
import { access, lstat, readdir, realpath, statfs, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Content } from '../../core/entry.ts';
import { backendUnavailable, insufficientStorage } from '../../core/errors.ts';
import type { VirtualPath } from '../../core/virtual-path.ts';
import type {
  Backend,
  CatalogLedger,
  ContentLedger,
  FoundContent,
  ObservedContent,
  StagedContent,
  StageOptions,
} from '../backend.ts';
import { ContentSums } from '../content-sums.ts';
import { Settler } from '../settler.ts';
import { CatalogRecorder } from './catalog-recorder.ts';
import { cloneContent } from './clone-content.ts';
import { assertExpected, type ClaimedRoot, canonicalRoot, claimDataRoot } from './data-root.ts';
import { closeReader, onDisk, openFile, statDescriptor, statReader, unlessAbsent } from './descriptor.ts';
import { DirectorySync } from './directory-sync.ts';
import { FileReader } from './file-reader.ts';
import { Layout } from './layout.ts';
import { PartialFiles } from './partial-files.ts';
import { SettleRound, type SettleRoundOptions } from './settle-round.ts';
import { stageContent } from './staging.ts';
import { isContent, stampOf } from './stamp.ts';

export interface LocalBackendOptions extends Pick<SettleRoundOptions, 'onLostAndFound' | 'onFailure'> {
  /** Absolute. */
  readonly root: string;
  readonly instanceId: string;
  readonly ledger: ContentLedger;
  /** Undefined: nothing is kept of what the namespace says about the data. */
  readonly catalog?: CatalogLedger;
  /** Whether the namespace has files that must lie in this root. */
  readonly holdsFiles: () => Promise<boolean>;
  /** Whether content must survive power loss, not only the death of the process. */
  readonly durable: boolean;
}

/** Claims the root, finishes what an earlier process left there, and serves it until disposed. */
export async function openLocalBackend(options: LocalBackendOptions): Promise<LocalBackend> {
  await assertExpected(new Layout(options.root), options.instanceId, options.holdsFiles);
  const layout = new Layout(await canonicalRoot(options.root));
  const claim = await claimDataRoot(layout, options.instanceId);
  const directories = new DirectorySync(options.durable);
  const onFailure = onceEach(options.onFailure);
  let recorder: CatalogRecorder | undefined;
  let settler: Settler | undefined;
  try {
    if (options.catalog) {
      const { catalog: ledger } = options;
      recorder = await CatalogRecorder.open({ ...options, folder: layout.catalog, ledger, directories, onFailure });
    }
    const ledger = whilePresent(options, claim);
    const parts = { ...options, layout, directories, ledger, recorder };
    settler = new Settler({ workWith: (report) => new SettleRound({ ...parts, onFailure: report }), onFailure });
    await settler.recover(await readdir(layout.staging));
  } catch (error) {
    await settler?.stop();
    await recorder?.close();
    claim[Symbol.dispose]();
    throw error;
  }
  recorder?.start();
  return new LocalBackend({ layout, directories, settler, recorder, claim, durable: options.durable });
}

interface OpenedParts {
  readonly layout: Layout;
  readonly directories: DirectorySync;
  readonly settler: Settler;
  readonly recorder: CatalogRecorder | undefined;
  readonly claim: ClaimedRoot;
  readonly durable: boolean;
}

/** The settler takes what is missing for done, so it must not be told to do anything while the root is not there. */
function whilePresent({ ledger }: LocalBackendOptions, claim: ClaimedRoot): ContentLedger {
  const present = async <T>(ask: () => Promise<T>): Promise<T> => {
    await claim.assertPresent();
    return ask();
  };
  return {
    locateContents: (contentIds) => present(() => ledger.locateContents(contentIds)),
    listOutbox: (instanceId, limit) => present(() => ledger.listOutbox(instanceId, limit)),
    forgetOutbox: (seqs) => present(() => ledger.forgetOutbox(seqs)),
    hasFile: (path) => ledger.hasFile(path),
  };
}

/** Tells of the very same failure once, however often it stops something. */
function onceEach(onFailure: (error: unknown) => void): (error: unknown) => void {
  let last: unknown;
  return (error) => {
    if (error !== last) onFailure(error);
    last = error;
  };
}

/** A file opened by its path: no symbolic link, and never waiting for a pipe. */
const OPEN_FOR_READING = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Below this size the answer of the disk itself comes soon enough. */
const ALWAYS_ROOM_BYTES = 1024 * 1024;

export class LocalBackend implements Backend {
  readonly type = 'localfs';
  readonly partials: PartialFiles;
  readonly #layout: Layout;
  readonly #directories: DirectorySync;
  readonly #settler: Settler;
  readonly #recorder: CatalogRecorder | undefined;
  readonly #claim: ClaimedRoot;
  readonly #durable: boolean;

  constructor({ layout, directories, settler, recorder, claim, durable }: OpenedParts) {
    this.#layout = layout;
    this.#directories = directories;
    this.#settler = settler;
    this.#recorder = recorder;
    this.#claim = claim;
    this.#durable = durable;
    this.partials = new PartialFiles({ layout, directories, durable, assertPresent: () => claim.assertPresent() });
  }

  async check(): Promise<void> {
    await this.#claim.assertPresent();
    await onDisk(access(this.#layout.staging, constants.W_OK | constants.X_OK));
    await this.assertRoom(ALWAYS_ROOM_BYTES);
  }

  async assertRoom(sizeBytes: number): Promise<void> {
    if (sizeBytes < ALWAYS_ROOM_BYTES) return;
    const freeBytes = await this.freeBytes();
    if (sizeBytes > freeBytes) {
      throw insufficientStorage(new Error(`${sizeBytes} bytes are wanted, ${freeBytes} are free.`));
    }
  }

  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.#layout.staging);
    return bavail * bsize;
  }

  async stage(contentId: string, bytes: AsyncIterable<Uint8Array>, options: StageOptions): Promise<StagedContent> {
    const durable = this.#durable;
    const staged = await stageContent(this.#layout, this.#directories, contentId, bytes, { ...options, durable });
    return this.#assertStagedHere(staged);
  }

  async #assertStagedHere(staged: StagedContent): Promise<StagedContent> {
    try {
      // Now, when the path has led to where the bytes are: it may lead to another folder than it did before.
      await this.#claim.assertPresent();
    } catch (error) {
      await this.discard(staged);
      throw error;
    }
    return staged;
  }

  async stageClone(contentId: string, original: Content, path: VirtualPath): Promise<StagedContent | undefined> {
    const options = { layout: this.#layout, directories: this.#directories, durable: this.#durable };
    const clone = await cloneContent(options, this.#layout.naturalFile(path, original.contentId), original, contentId);
    return clone && this.#assertStagedHere(clone);
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
    // Nothing can be concluded from a root that is not there, or from another folder in its place.
    await this.#claim.assertPresent();
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

  async observe(path: VirtualPath, contentId: string): Promise<ObservedContent | undefined> {
    const observed = await onDisk(observeFile(this.#layout.naturalFile(path, contentId), contentId));
    await this.#claim.assertPresent();
    return observed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#settler.settled();
    await this.#settler.stop();
    await this.#recorder?.stop();
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
  const sums = new ContentSums();
  const sink = {
    async write(chunk: Uint8Array): Promise<void> {
      sums.update(chunk);
    },
  };
  await reader.copyTo(sink, 0, before.size);
  const after = await statDescriptor(fd);
  if (stampOf(before) !== stampOf(after) || before.size !== after.size) {
    throw backendUnavailable('The file is being changed on disk, outside CallFS, right now.');
  }
  const storageStamp = stampOf(before);
  const content = { contentId, sizeBytes: before.size, ...sums.take(), storageKey: null, storageStamp };
  return { content, mtimeMs: Math.floor(before.mtimeMs) };
}
