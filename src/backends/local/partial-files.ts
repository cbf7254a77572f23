/**
 * Contents that arrive in pieces, each a file that grows. Its length on the disk is what has arrived, so a process that
 * dies loses nothing of it.
 */
import { constants, createReadStream } from 'node:fs';
import { link, mkdir, readdir, readFile, stat, truncate, unlink } from 'node:fs/promises';
import { finished } from 'node:stream/promises';
import { backendUnavailable, systemErrorCode } from '../../core/errors.ts';
import { faultPoint } from '../../core/fault-point.ts';
import type { ContentReader, StagedContent } from '../backend.ts';
import { ContentSums } from '../content-sums.ts';
import type { PartialContents, Piece } from '../partial-contents.ts';
import { closeFile, onDisk, openFile, statDescriptor, syncFile, unlessAbsent, writeFully } from './descriptor.ts';
import type { DirectorySync } from './directory-sync.ts';
import { FileReader } from './file-reader.ts';
import type { Layout } from './layout.ts';
import { FileReceiver, openStaged, stageContent } from './staging.ts';
import { stampOf } from './stamp.ts';

export interface PartialFilesOptions {
  readonly layout: Layout;
  readonly directories: DirectorySync;
  readonly durable: boolean;
  /** Rejects when the data root is not there. */
  readonly assertPresent: () => Promise<void>;
}

/** What marks the file that says from where on a piece may have to be taken back. */
const UNCHECKED = '.unchecked';
/** Uploads whose checksums so far are in memory; those of others are taken from the disk in the end. */
const MAX_KEPT_SUMS = 1000;
/** Filesystems without hard links say one of these. */
const NO_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK', 'ENOSYS']);

interface KeptSums {
  readonly sums: ContentSums;
  readonly sizeBytes: number;
}

type TakenSums = ReturnType<ContentSums['take']> & Pick<KeptSums, 'sizeBytes'>;

export class PartialFiles implements PartialContents {
  readonly #options: PartialFilesOptions;
  readonly #folder: string;
  readonly #kept = new Map<string, KeptSums>();
  readonly #taken = new Map<string, TakenSums>();
  /** Pieces that are being written and may be taken back: where they begin. */
  readonly #unchecked = new Map<string, number>();

  constructor(options: PartialFilesOptions) {
    this.#options = options;
    this.#folder = options.layout.uploads;
  }

  async sizeOf(id: string): Promise<number> {
    const unchecked = this.#unchecked.get(id);
    if (unchecked !== undefined) return unchecked;
    await this.#takeBack(id);
    const fd = await onDisk(unlessAbsent(openFile(this.#file(id), constants.O_RDONLY)));
    if (fd === undefined) {
      await this.#options.assertPresent();
      return 0;
    }
    try {
      const { size } = await statDescriptor(fd);
      if (this.#options.durable) await onDisk(syncFile(fd));
      return size;
    } finally {
      await closeFile(fd);
    }
  }

  async append(id: string, piece: Piece): Promise<number> {
    await onDisk(mkdir(this.#folder, { recursive: true }));
    await this.#takeBack(id);
    const { offset, check } = piece;
    if (check) await this.#announce(id, offset);
    try {
      const size = await this.#write(id, piece);
      if (check) await this.#settle(id);
      return size;
    } catch (error) {
      if (check) await this.#takeBack(id, true);
      throw error;
    }
  }

  async #write(id: string, { offset, bytes, check }: Piece): Promise<number> {
    const { directories, durable, layout } = this.#options;
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND;
    const fd = await onDisk(openFile(this.#file(id), flags, 0o644));
    try {
      const { size } = await statDescriptor(fd);
      if (size !== offset) throw backendUnavailable(`${offset} bytes of the upload should be there, ${size} are.`);
      const before = this.#sumsAt(id, offset);
      this.#kept.delete(id);
      const receiver = new FileReceiver(fd, { durable, maxBytes: undefined }, before);
      let failure: unknown;
      try {
        await fill(receiver, bytes, check);
      } catch (error) {
        failure = error;
      }
      // However it ended: what has arrived is kept.
      await onDisk(concluded(receiver));
      const { size: sizeBytes } = await statDescriptor(fd);
      if (durable) await onDisk(syncFile(fd));
      faultPoint('stage:synced');
      if (offset === 0) await onDisk(this.#syncNames(directories, layout));
      await this.#options.assertPresent();
      if (before) this.#keep(id, { sums: before, sizeBytes });
      if (failure !== undefined) throw failure;
      check?.verify();
      return sizeBytes;
    } finally {
      await closeFile(fd);
    }
  }

  async #syncNames(directories: DirectorySync, layout: Layout): Promise<void> {
    await directories.sync(this.#folder);
    await directories.sync(layout.internal);
  }

  /** The checksums of what is there already; undefined: they must be taken from the disk in the end. */
  #sumsAt(id: string, offset: number): ContentSums | undefined {
    if (offset === 0) return new ContentSums();
    const kept = this.#kept.get(id);
    return kept?.sizeBytes === offset ? kept.sums : undefined;
  }

  #keep(id: string, kept: KeptSums): void {
    const [oldest] = this.#kept.size >= MAX_KEPT_SUMS ? this.#kept.keys() : [];
    if (oldest !== undefined) this.#kept.delete(oldest);
    this.#kept.set(id, kept);
  }

  /** From now on a crash takes back what comes after `offset`. */
  async #announce(id: string, offset: number): Promise<void> {
    const fd = await onDisk(openFile(this.#file(id) + UNCHECKED, 'w', 0o600));
    try {
      await onDisk(writeFully(fd, Buffer.from(`${offset}\n`)));
      if (this.#options.durable) await onDisk(syncFile(fd));
    } finally {
      await closeFile(fd);
    }
    await onDisk(this.#options.directories.sync(this.#folder));
    this.#unchecked.set(id, offset);
  }

  async #settle(id: string): Promise<void> {
    await onDisk(unlessAbsent(unlink(this.#file(id) + UNCHECKED)));
    await onDisk(this.#options.directories.sync(this.#folder));
    this.#unchecked.delete(id);
  }

  /** Undoes a piece that was never found to be right. @param isOver the piece is of this process */
  async #takeBack(id: string, isOver = false): Promise<void> {
    if (!isOver && this.#unchecked.has(id)) return;
    const text = await onDisk(unlessAbsent(readFile(this.#file(id) + UNCHECKED, 'utf8')));
    if (text === undefined) return;
    const offset = /^(\d+)\n$/.exec(text)?.[1];
    // Torn: nothing had been written behind it yet.
    if (offset !== undefined) await onDisk(unlessAbsent(truncate(this.#file(id), Number(offset))));
    this.#kept.delete(id);
    await this.#settle(id);
  }

  async stage(id: string, contentId: string): Promise<StagedContent> {
    const { layout, directories, assertPresent } = this.#options;
    const sizeBytes = await this.sizeOf(id);
    if (sizeBytes === 0) await this.append(id, { offset: 0, bytes: nothing() });
    const sums = await this.#sums(id, sizeBytes);
    if (!(await onDisk(isLinked(this.#file(id), layout.stagingFile(contentId))))) {
      const copied = createReadStream(this.#file(id));
      return await stageContent(layout, directories, contentId, copied, { ...this.#options, maxBytes: undefined });
    }
    await onDisk(directories.sync(layout.staging));
    faultPoint('stage:durable');
    const file = layout.stagingFile(contentId);
    const stats = await onDisk(stat(file));
    await assertPresent();
    if (stats.size !== sizeBytes) throw backendUnavailable(`${sizeBytes} bytes had arrived, ${stats.size} are there.`);
    const { checksum, sha256 } = sums;
    const content = { contentId, sizeBytes, checksum, sha256, storageKey: null, storageStamp: stampOf(stats) };
    return { content, mtimeMs: Math.floor(stats.mtimeMs), open: () => openStaged(file, sizeBytes) };
  }

  async #sums(id: string, sizeBytes: number): Promise<TakenSums> {
    const known = this.#taken.get(id);
    if (known?.sizeBytes === sizeBytes) return known;
    const taken = { ...(await this.#completeSums(id, sizeBytes)).take(), sizeBytes };
    this.#kept.delete(id);
    this.#taken.set(id, taken);
    return taken;
  }

  async #completeSums(id: string, sizeBytes: number): Promise<ContentSums> {
    const kept = this.#sumsAt(id, sizeBytes);
    if (kept) return kept;
    const sums = new ContentSums();
    await using reader = await this.open(id);
    const sink = {
      async write(chunk: Uint8Array): Promise<void> {
        sums.update(chunk);
      },
    };
    await reader.copyTo(sink, 0, sizeBytes);
    return sums;
  }

  async open(id: string): Promise<ContentReader> {
    const fd = await onDisk(openFile(this.#file(id), constants.O_RDONLY));
    return new FileReader(fd, (await statDescriptor(fd)).size);
  }

  async remove(id: string): Promise<void> {
    this.#kept.delete(id);
    this.#taken.delete(id);
    this.#unchecked.delete(id);
    for (const file of [this.#file(id), this.#file(id) + UNCHECKED]) await onDisk(unlessAbsent(unlink(file)));
  }

  async list(): Promise<readonly { readonly id: string; readonly mtimeMs: number }[]> {
    const found: { id: string; mtimeMs: number }[] = [];
    for (const name of (await onDisk(unlessAbsent(readdir(this.#folder)))) ?? []) {
      const stats = await onDisk(unlessAbsent(stat(`${this.#folder}/${name}`)));
      if (stats) found.push({ id: name.replace(UNCHECKED, ''), mtimeMs: stats.mtimeMs });
    }
    return found;
  }

  #file(id: string): string {
    return `${this.#folder}/${id}`;
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

async function fill(receiver: FileReceiver, bytes: AsyncIterable<Uint8Array>, check: Piece['check']): Promise<void> {
  receiver.on('error', () => {});
  for await (const chunk of bytes) {
    if (receiver.errored) return;
    check?.update(chunk);
    if (!receiver.write(chunk)) await drained(receiver);
  }
}

/** Also when the receiver fails instead. */
function drained(receiver: FileReceiver): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      receiver.off('drain', settle).off('close', settle);
      resolve();
    };
    receiver.on('drain', settle).on('close', settle);
  });
}

/** Resolves when everything is written. */
async function concluded(receiver: FileReceiver): Promise<void> {
  try {
    receiver.end();
    await finished(receiver);
    await receiver.syncing;
  } catch (error) {
    // The caller closes the descriptor: a write still on its way could end up in whatever file gets its number next.
    await Promise.allSettled([receiver.writing, receiver.syncing]);
    throw error;
  }
}

/** False: the filesystem has no hard links. */
async function isLinked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (NO_LINKS.has(systemErrorCode(error) ?? '')) return false;
    throw error;
  }
}
