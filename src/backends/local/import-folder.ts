/** Files of a folder outside the data root: they get a second name inside it, or a copy where that is not possible. */
import { constants, type Stats } from 'node:fs';
import { copyFile, link, lstat, mkdir, open, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Content, FileEntry } from '../../core/entry.ts';
import { insufficientStorage, systemErrorCode } from '../../core/errors.ts';
import type { VirtualPath } from '../../core/virtual-path.ts';
import type { ImportBatch, ImportLook, ImportOutcome, ImportSource, PathProblem } from '../import-source.ts';
import { isAbsent, unlessAbsent } from './descriptor.ts';
import type { DirectorySync } from './directory-sync.ts';
import { checkReadable, isContentAt } from './import-in-place.ts';
import { lookAt } from './import-look.ts';
import { readImport } from './import-read.ts';
import { unreadable, walkImport } from './import-walk.ts';
import type { Layout } from './layout.ts';
import { stampOf } from './stamp.ts';

export interface ImportFolderOptions {
  readonly layout: Layout;
  readonly directories: DirectorySync;
  /** Absolute. */
  readonly folder: string;
  /** Copy also what could get a second name. */
  readonly copy: boolean;
  readonly durable: boolean;
  readonly excluded: ReadonlySet<string>;
}

/** The disk cannot give this file a second name: another filesystem, none that can, too many names, somebody else's file. */
const CANNOT_LINK = new Set(['EXDEV', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK', 'EPERM']);
const NO_ROOM = new Set(['ENOSPC', 'EDQUOT']);

const OCCUPIED = 'Another file, which the namespace does not know, lies in its place in the data root.';
const CHANGED = 'It changed while it was being copied.';

interface Source {
  readonly file: string;
  readonly stats: Stats;
}

export class ImportFolderFiles implements ImportSource {
  readonly #options: ImportFolderOptions;

  constructor(options: ImportFolderOptions) {
    this.#options = options;
  }

  walk(problem: PathProblem): AsyncIterable<ImportBatch> {
    const { folder, excluded } = this.#options;
    return walkImport({ top: folder, excluded, problem });
  }

  async check(names: readonly string[], path: VirtualPath): Promise<string | undefined> {
    const source = this.#source(names);
    const obstacle = await statOf(this.#options.layout.root + path);
    if (obstacle && !isSameFile(obstacle, await statOf(source))) return OCCUPIED;
    return checkReadable(source);
  }

  async take(names: readonly string[], path: VirtualPath, contentId: string): Promise<ImportOutcome> {
    const file = this.#source(names);
    const target = this.#options.layout.naturalFile(path, contentId);
    try {
      const stats = await lstat(file);
      if (!stats.isFile()) return { kind: 'gone' };
      const reason = await this.#bring({ file, stats }, target, contentId);
      if (reason !== undefined) return { kind: 'refused', reason };
      const outcome = await readImport(target, contentId);
      // The times of a copy can be set to some 100 ns only.
      return outcome.kind === 'imported' ? { ...outcome, mtimeMs: Math.floor(stats.mtimeMs) } : outcome;
    } catch (error) {
      if (isAbsent(error)) return { kind: 'gone' };
      if (NO_ROOM.has(systemErrorCode(error) ?? '')) throw insufficientStorage(error);
      return { kind: 'refused', reason: unreadable(error) };
    }
  }

  look(names: readonly string[]): Promise<ImportLook> {
    return lookAt(this.#source(names));
  }

  isInPlace(path: VirtualPath, content: Content): Promise<boolean> {
    return isContentAt(this.#options.layout.naturalFile(path, content.contentId), content);
  }

  async isImported(names: readonly string[], path: VirtualPath, entry: FileEntry): Promise<boolean> {
    const source = await statOf(this.#source(names));
    if (!source) return true;
    if (source.size === entry.sizeBytes && Math.floor(source.mtimeMs) === entry.mtimeMs) return true;
    return isSameFile(source, await statOf(this.#options.layout.naturalFile(path, entry.contentId)));
  }

  #source(names: readonly string[]): string {
    return [this.#options.folder, ...names].join('/');
  }

  /** @returns why the file cannot be brought to its natural place */
  async #bring(source: Source, target: string, contentId: string): Promise<string | undefined> {
    const { copy, directories } = this.#options;
    await this.#makeFolder(dirname(target));
    const problem = copy ? await this.#copy(source, target, contentId) : await this.#link(source, target, contentId);
    // The name before the commit: what the namespace points to must survive power loss.
    if (problem === undefined) await directories.sync(dirname(target));
    return problem;
  }

  async #makeFolder(folder: string): Promise<void> {
    const outermost = await mkdir(folder, { recursive: true });
    if (outermost === undefined) return;
    for (let made = folder; made.length >= outermost.length; made = dirname(made)) {
      await this.#options.directories.sync(dirname(made));
    }
  }

  async #link(source: Source, target: string, contentId: string): Promise<string | undefined> {
    try {
      await link(source.file, target);
      return undefined;
    } catch (error) {
      const code = systemErrorCode(error) ?? '';
      // A run before this one may have ended between the link and its commit.
      if (code === 'EEXIST') return isSameFile(source.stats, await lstat(target)) ? undefined : OCCUPIED;
      if (CANNOT_LINK.has(code)) return this.#copy(source, target, contentId);
      throw error;
    }
  }

  /** Copied beside, then linked: the target is whole or not there, and is never replaced. */
  async #copy({ file, stats }: Source, target: string, contentId: string): Promise<string | undefined> {
    const beside = this.#options.layout.stagingFile(contentId);
    try {
      if (await statOf(target)) return OCCUPIED;
      await copyFile(file, beside, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
      await this.#finish(beside, stats);
      if (!isUnchanged(stats, await lstat(file))) return CHANGED;
      await link(beside, target);
      return undefined;
    } catch (error) {
      if (systemErrorCode(error) === 'EEXIST') return OCCUPIED;
      throw error;
    } finally {
      await unlessAbsent(unlink(beside));
    }
  }

  async #finish(copied: string, { atimeMs, mtimeMs, mode }: Stats): Promise<void> {
    const handle = await open(copied, 'r');
    try {
      await handle.utimes(atimeMs / 1000, mtimeMs / 1000);
      await handle.chmod(mode & 0o777);
      if (this.#options.durable) await handle.sync();
    } finally {
      await handle.close();
    }
  }
}

function statOf(file: string): Promise<Stats | undefined> {
  return unlessAbsent(lstat(file));
}

function isSameFile(one: Stats, other: Stats | undefined): boolean {
  return one.ino === other?.ino && one.dev === other.dev;
}

function isUnchanged(before: Stats, after: Stats): boolean {
  return before.size === after.size && stampOf(before) === stampOf(after);
}
