/** A data root looked at and put right by another process than the instance's own: for checks and repairs. */
import { constants, type Stats } from 'node:fs';
import { lstat, mkdir, readdir, realpath, rename, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Content } from '../../core/entry.ts';
import { systemErrorCode } from '../../core/errors.ts';
import type { VirtualPath } from '../../core/virtual-path.ts';
import type {
  CatalogLedger,
  ContentLedger,
  Examination,
  HeldFile,
  ObservedContent,
  RecalledCatalog,
  RecallingHoldings,
  UnreadablePlace,
} from '../backend.ts';
import { Settler } from '../settler.ts';
import { readCatalog } from './catalog-reader.ts';
import { CatalogRecorder } from './catalog-recorder.ts';
import { assertOwnRoot, claimExistingRoot } from './data-root.ts';
import {
  closeFile,
  isAbsent,
  onDisk,
  openFile,
  readFully,
  statDescriptor,
  toDiskError,
  unlessAbsent,
} from './descriptor.ts';
import { DirectorySync } from './directory-sync.ts';
import { Layout } from './layout.ts';
import { observeFile } from './local-backend.ts';
import { PartialFiles } from './partial-files.ts';
import { absolute, identityOf, scanContentFiles, scanNaturalFiles } from './scan-files.ts';
import { SettleRound } from './settle-round.ts';
import { isContent } from './stamp.ts';

export interface LocalHoldingsOptions {
  /** Absolute. */
  readonly root: string;
  readonly instanceId: string;
  /** Keep the instance from starting until disposed, if it does not run. */
  readonly claim: boolean;
  /** Absolute files below the root that are the operator's own, such as the metadata store's. */
  readonly excluded: readonly string[];
}

const OPEN_FOR_READING = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const READ_BYTES = 1024 * 1024;

/** @throws Error with one line for the operator when this is not the instance's root */
export async function openLocalHoldings(options: LocalHoldingsOptions): Promise<RecallingHoldings> {
  await assertOwnRoot(new Layout(options.root), options.instanceId);
  const layout = new Layout(await realpath(options.root));
  const claim = options.claim ? claimExistingRoot(layout) : undefined;
  return new LocalHoldings(layout, { ...options, excluded: await locationsIn(layout.root, options.excluded) }, claim);
}

/** Where files lie below the real root, if they do, whatever symbolic links lead there. */
async function locationsIn(root: string, files: readonly string[]): Promise<string[]> {
  const folders = await Promise.all(files.map((file) => realpath(dirname(file)).catch(() => dirname(file))));
  return files.map((file, index) => relative(root, join(folders[index] ?? '', basename(file))));
}

class LocalHoldings implements RecallingHoldings {
  readonly type = 'localfs';
  readonly #layout: Layout;
  readonly #instanceId: string;
  readonly #excluded: ReadonlySet<string>;
  readonly #claim: Disposable | undefined;
  readonly #directories = new DirectorySync(true);

  constructor(layout: Layout, { instanceId, excluded }: LocalHoldingsOptions, claim: Disposable | undefined) {
    this.#layout = layout;
    this.#instanceId = instanceId;
    this.#excluded = new Set(excluded);
    this.#claim = claim;
  }

  get root(): string {
    return this.#layout.root;
  }

  get claimed(): boolean {
    return this.#claim !== undefined;
  }

  async isServed(): Promise<boolean> {
    if (this.#claim) return false;
    const claim = claimExistingRoot(this.#layout);
    claim?.[Symbol.dispose]();
    return claim === undefined;
  }

  assertPresent(): Promise<void> {
    return assertOwnRoot(this.#layout, this.#instanceId);
  }

  async examine(content: Content, path: VirtualPath, deep: boolean): Promise<Examination> {
    try {
      return await this.#examine(content, path, deep);
    } catch (error) {
      return { kind: 'unreadable', reason: systemErrorCode(error) ?? String(error) };
    }
  }

  async #examine(content: Content, path: VirtualPath, deep: boolean): Promise<Examination> {
    const natural = this.#layout.naturalFile(path, content.contentId);
    const staged = this.#layout.stagingFile(content.contentId);
    const aside = `${this.#layout.longNames}/${content.contentId}`;
    // The natural place twice: settling may bring the content there between the first look and the second.
    for (const file of [natural, staged, natural]) {
      const stats = await unlessAbsent(lstat(file));
      if (!stats || !isContent(stats, content)) continue;
      if (file === staged) return { kind: 'misplaced', area: 'staging' };
      return deep ? await verify(natural, content) : { kind: 'intact' };
    }
    if (aside !== natural && (await isContentAt(aside, content))) return { kind: 'misplaced', area: 'long-names' };
    const found = await unlessAbsent(lstat(natural));
    // As for the instance: behind a symbolic link lies something else than its data.
    if (!found?.isFile() || (await realpath(dirname(natural))) !== dirname(natural)) return { kind: 'missing' };
    return { kind: 'changed', adoptable: natural !== aside };
  }

  observe(path: VirtualPath, contentId: string): Promise<ObservedContent | undefined> {
    return onDisk(observeFile(this.#layout.naturalFile(path, contentId), contentId));
  }

  async *files(under: VirtualPath | undefined): AsyncGenerator<HeldFile | UnreadablePlace> {
    const scan = { root: this.root, excluded: this.#excluded };
    yield* scanNaturalFiles(scan, under);
    if (under === undefined) yield* scanContentFiles(scan, relative(this.root, this.#layout.longNames));
  }

  async isThere({ rawLocation, identity }: HeldFile): Promise<boolean> {
    const stats = await unlessAbsent(lstat(absolute(this, rawLocation)));
    return stats !== undefined && identityOf(stats) === identity;
  }

  async staged(): Promise<readonly string[]> {
    return (await onDisk(unlessAbsent(readdir(this.#layout.staging)))) ?? [];
  }

  async stagedAtMs(contentId: string): Promise<number | undefined> {
    return (await onDisk(unlessAbsent(stat(this.#layout.stagingFile(contentId)))))?.mtimeMs;
  }

  async uploads(): Promise<readonly string[]> {
    return [...new Set((await this.#partials().list()).map(({ id }) => id))];
  }

  removeUpload(id: string): Promise<void> {
    return this.#partials().remove(id);
  }

  #partials(): PartialFiles {
    const parts = { layout: this.#layout, directories: this.#directories, durable: true };
    return new PartialFiles({ ...parts, assertPresent: () => this.assertPresent() });
  }

  async moveAside(file: HeldFile): Promise<string | undefined> {
    const from = absolute(this, file.rawLocation);
    const to = await this.#reservePlace(file.location);
    if (!(await this.isThere(file))) {
      await unlink(to);
      return undefined;
    }
    await onDisk(rename(from, to));
    // Between the look and the move the instance may have put something else there: that goes back.
    if (!isSame(await lstat(to), file)) {
      if ((await unlessAbsent(lstat(from))) === undefined) await rename(to, from);
      return undefined;
    }
    await this.#directories.sync(this.#layout.lostAndFound);
    await this.#directories.sync(dirname(from.toString()));
    return relative(this.root, to);
  }

  /** An empty file under a name of its own; those that the instance gives begin with a number. */
  async #reservePlace(location: string): Promise<string> {
    await onDisk(mkdir(this.#layout.lostAndFound, { recursive: true }));
    const place = Buffer.from(location.replaceAll('/', '%2F')).subarray(0, MAX_ASIDE_BYTES).toString();
    for (let number = 1; ; number++) {
      const to = `${this.#layout.lostAndFound}/fsck-${number}-${place}`;
      if (await isCreated(to)) return to;
    }
  }

  async bringBack(contentId: string): Promise<void> {
    this.#assertClaimed();
    await onDisk(rename(`${this.#layout.longNames}/${contentId}`, this.#layout.stagingFile(contentId)));
  }

  async settle(ledger: ContentLedger, catalog?: CatalogLedger): Promise<void> {
    this.#assertClaimed();
    await onDisk(mkdir(this.#layout.staging, { recursive: true }));
    await onDisk(mkdir(this.#layout.lostAndFound, { recursive: true }));
    let failure: unknown;
    const onFailure = (error: unknown): void => {
      failure = error;
    };
    const parts = { instanceId: this.#instanceId, directories: this.#directories, onFailure };
    const holdsFiles = async (): Promise<boolean> => true;
    const options = { ...parts, folder: this.#layout.catalog, durable: true, holdsFiles };
    const recorder = catalog && (await CatalogRecorder.open({ ...options, ledger: catalog }));
    const work = { ...parts, layout: this.#layout, ledger, recorder, onLostAndFound: () => {} };
    const workWith = (report: (error: unknown) => void) => new SettleRound({ ...work, onFailure: report });
    const settler = new Settler({ workWith, onFailure });
    try {
      await settler.recover(await readdir(this.#layout.staging));
    } finally {
      await settler.stop();
      await recorder?.stop();
    }
    if (failure !== undefined) throw failure;
  }

  recall(): Promise<RecalledCatalog> {
    this.#assertClaimed();
    return onDisk(readCatalog(this.#layout.catalog));
  }

  async *stagedFiles(): AsyncGenerator<HeldFile | UnreadablePlace> {
    const scan = { root: this.root, excluded: this.#excluded };
    yield* scanContentFiles(scan, relative(this.root, this.#layout.staging));
  }

  #assertClaimed(): void {
    if (!this.#claim) throw new Error(`The data root ${this.root} is in use by its running instance.`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#claim?.[Symbol.dispose]();
  }
}

/** Room for a number before it, and for a name that was cut within a character. */
const MAX_ASIDE_BYTES = 200;

function isSame(stats: Stats, { identity }: HeldFile): boolean {
  return identityOf(stats) === identity;
}

/** False when something has the name already. */
async function isCreated(file: string): Promise<boolean> {
  try {
    await closeFile(await openFile(file, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600));
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') return false;
    throw error instanceof Error ? toDiskError(error) : error;
  }
}

async function isContentAt(file: string, content: Content): Promise<boolean> {
  const stats = await unlessAbsent(lstat(file));
  return stats !== undefined && isContent(stats, content);
}

/** Reads all bytes of a file that looked intact. */
async function verify(file: string, content: Content): Promise<Examination> {
  let fd: number;
  try {
    fd = await openFile(file, OPEN_FOR_READING);
  } catch (error) {
    if (isAbsent(error)) return { kind: 'missing' };
    throw error;
  }
  try {
    const checksum = await checksumOf(fd, content.sizeBytes);
    if (!isContent(await statDescriptor(fd), content)) return { kind: 'changed', adoptable: false };
    return checksum === content.checksum ? { kind: 'intact' } : { kind: 'corrupt', checksum };
  } finally {
    await closeFile(fd);
  }
}

async function checksumOf(fd: number, sizeBytes: number): Promise<string> {
  // One byte more than there should be: the end shows with the first read of a small file.
  const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, sizeBytes + 1));
  let crc = 0;
  for (let at = 0; ; ) {
    const length = await readFully(fd, buffer, buffer.length, at);
    crc = crc32(buffer.subarray(0, length), crc);
    at += length;
    if (length < buffer.length) return crc.toString(16).padStart(8, '0');
  }
}
