/**
 * Appends to a catalog, and replaces what has grown by a snapshot, one writer at a time: the holder of the data root.
 * A file is never written to by two processes, so what a crash tore stays at its end.
 */
import { constants } from 'node:fs';
import { mkdir, open, readdir, rename, unlink } from 'node:fs/promises';
import { catalogFileName, listCatalogFiles } from './catalog-files.ts';
import { CATALOG_FORMAT, type CatalogHeader, type CatalogLine, formatHeader, formatLine } from './catalog-line.ts';
import { closeFile, onDisk, openFile, startSync, unlessAbsent, writeFully } from './descriptor.ts';
import type { DirectorySync } from './directory-sync.ts';

export interface CatalogWriterOptions {
  readonly folder: string;
  readonly instanceId: string;
  readonly storeId: string;
  /** Whether a line must survive power loss once it is written. */
  readonly durable: boolean;
  readonly directories: DirectorySync;
}

interface Journal {
  readonly fd: number;
  readonly number: number;
}

/** Ends the name of a snapshot as long as it is being written. */
const UNFINISHED = '.new';

export class CatalogWriter {
  readonly #options: CatalogWriterOptions;
  /** Of this store's files. */
  #snapshotBytes: number;
  #journalBytes: number;
  #lastNumber: number;
  #journal: Journal | undefined;
  /** A write failed in the middle: the next line must not stand behind its beginning. */
  #isTorn = false;
  /** Appends come one after the other. */
  #tail: Promise<unknown> = Promise.resolve();
  /** Whether something of this store was there when the catalog was opened. */
  readonly hadFiles: boolean;

  private constructor(options: CatalogWriterOptions, known: Known) {
    this.#options = options;
    this.#snapshotBytes = known.snapshotBytes;
    this.#journalBytes = known.journalBytes;
    this.#lastNumber = known.lastNumber;
    this.hadFiles = known.files > 0;
  }

  static async open(options: CatalogWriterOptions): Promise<CatalogWriter> {
    await onDisk(mkdir(options.folder, { recursive: true }));
    for (const name of await onDisk(readdir(options.folder))) {
      if (name.endsWith(UNFINISHED)) await onDisk(unlessAbsent(unlink(`${options.folder}/${name}`)));
    }
    const files = await onDisk(listCatalogFiles(options.folder));
    const own = files.filter(({ header }) => header?.store_id === options.storeId);
    const bytesOf = (kind: string): number =>
      own.filter((file) => file.kind === kind).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    return new CatalogWriter(options, {
      files: own.length,
      snapshotBytes: bytesOf('snapshot'),
      journalBytes: bytesOf('journal'),
      lastNumber: files.at(-1)?.number ?? 0,
    });
  }

  get snapshotBytes(): number {
    return this.#snapshotBytes;
  }

  get journalBytes(): number {
    return this.#journalBytes;
  }

  /** Resolves when the lines are written, and durable where that is asked for. */
  append(lines: readonly CatalogLine[]): Promise<void> {
    if (lines.length === 0) return Promise.resolve();
    return this.#inTurn(() => onDisk(this.#append(lines.map(formatLine).join(''))));
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#tail.then(work);
    this.#tail = done.catch(() => {});
    return done;
  }

  async #append(text: string): Promise<void> {
    this.#journal ??= await this.#begin();
    const { fd } = this.#journal;
    const bytes = Buffer.from(this.#isTorn ? `\n${text}` : text);
    this.#isTorn = true;
    await writeFully(fd, bytes);
    this.#isTorn = false;
    this.#journalBytes += bytes.length;
    if (this.#options.durable) await startSync(fd);
  }

  async #begin(): Promise<Journal> {
    const { folder, directories } = this.#options;
    this.#lastNumber += 1;
    const number = this.#lastNumber;
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
    const fd = await openFile(`${folder}/${catalogFileName(number, 'journal')}`, flags, 0o600);
    try {
      const header = Buffer.from(formatHeader(this.#header()));
      await writeFully(fd, header);
      await directories.sync(folder);
      this.#journalBytes += header.length;
      return { fd, number };
    } catch (error) {
      await closeFile(fd);
      throw error;
    }
  }

  #header(): CatalogHeader {
    const { instanceId, storeId } = this.#options;
    return { format: CATALOG_FORMAT, instance_id: instanceId, store_id: storeId };
  }

  /**
   * Writes all that is to be known into a new file and removes the older ones.
   * @param pages read after the call, so that they miss nothing that was appended before it
   * @param mayForget whether files that were written for another store may go, too
   */
  async replace(pages: AsyncIterable<readonly CatalogLine[]>, mayForget: boolean): Promise<void> {
    const number = await this.#inTurn(() => onDisk(this.#rotate()));
    const { folder, directories, storeId } = this.#options;
    const file = `${folder}/${catalogFileName(number, 'snapshot')}`;
    const sizeBytes = await onDisk(this.#write(file + UNFINISHED, pages));
    await onDisk(rename(file + UNFINISHED, file));
    await onDisk(directories.sync(folder));
    const older = (await onDisk(listCatalogFiles(folder))).filter((other) => other.number < number);
    for (const other of older) {
      if (other.header === undefined || other.header.store_id === storeId || mayForget) {
        await onDisk(unlessAbsent(unlink(other.file)));
      }
    }
    this.#snapshotBytes = sizeBytes;
  }

  /** What is appended from now on goes into another journal. @returns a number before that journal's */
  async #rotate(): Promise<number> {
    if (this.#journal) await closeFile(this.#journal.fd);
    this.#journal = undefined;
    this.#isTorn = false;
    this.#journalBytes = 0;
    this.#lastNumber += 1;
    return this.#lastNumber;
  }

  async #write(file: string, pages: AsyncIterable<readonly CatalogLine[]>): Promise<number> {
    const handle = await open(file, 'w', 0o600);
    try {
      await handle.writeFile(formatHeader(this.#header()));
      for await (const lines of pages) await handle.writeFile(lines.map(formatLine).join(''));
      await handle.sync();
      return (await handle.stat()).size;
    } finally {
      await handle.close();
    }
  }

  /** After the last append. */
  async close(): Promise<void> {
    await this.#inTurn(async () => {
      if (this.#journal) await closeFile(this.#journal.fd);
      this.#journal = undefined;
    });
  }
}

interface Known {
  readonly files: number;
  readonly snapshotBytes: number;
  readonly journalBytes: number;
  readonly lastNumber: number;
}
