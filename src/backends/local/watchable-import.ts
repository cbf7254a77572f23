/** The files of an import source on this disk, with what tells of their changes. */
import { lstat, realpath, stat } from 'node:fs/promises';
import type { Content, FileEntry } from '../../core/entry.ts';
import { systemErrorCode } from '../../core/errors.ts';
import { RESERVED_TOP_LEVEL_NAME, type VirtualPath } from '../../core/virtual-path.ts';
import type { Holdings } from '../backend.ts';
import type {
  ImportBatch,
  ImportFolder,
  ImportLook,
  ImportOutcome,
  ImportSource,
  PathProblem,
  RefusedImport,
} from '../import-source.ts';
import type { SourceWatch, WatchableSource, WatchObserver } from '../watchable-source.ts';
import { isAbsent, unlessAbsent } from './descriptor.ts';
import { OF_THE_FILESYSTEM, refusalOf, toFolder } from './import-walk.ts';
import { OpenForWriting } from './open-for-writing.ts';
import { openLocalHoldings } from './scan-holdings.ts';
import { FolderWatch } from './watch-folders.ts';

export interface WatchableImportOptions {
  readonly source: ImportSource;
  /** Absolute, as the source has it. */
  readonly top: string;
  /** The same without symbolic links. */
  readonly realTop: string;
  readonly inPlace: boolean;
  /** Absolute files that are the operator's own, below the top. */
  readonly excluded: ReadonlySet<string>;
  /** The data root. */
  readonly root: string;
  readonly instanceId: string;
}

export class WatchableImport implements WatchableSource {
  readonly #options: WatchableImportOptions;
  readonly #source: ImportSource;
  readonly #openForWriting: OpenForWriting;

  constructor(options: WatchableImportOptions) {
    this.#options = options;
    this.#source = options.source;
    this.#openForWriting = new OpenForWriting(options.realTop);
  }

  get top(): string {
    return this.#options.top;
  }

  get inPlace(): boolean {
    return this.#options.inPlace;
  }

  walk(problem: PathProblem): AsyncIterable<ImportBatch> {
    return this.#source.walk(problem);
  }

  check(names: readonly string[], path: VirtualPath): Promise<string | undefined> {
    return this.#source.check(names, path);
  }

  take(names: readonly string[], path: VirtualPath, contentId: string): Promise<ImportOutcome> {
    return this.#source.take(names, path, contentId);
  }

  look(names: readonly string[]): Promise<ImportLook> {
    return this.#source.look(names);
  }

  isInPlace(path: VirtualPath, content: Content): Promise<boolean> {
    return this.#source.isInPlace(path, content);
  }

  isImported(names: readonly string[], path: VirtualPath, entry: FileEntry): Promise<boolean> {
    return this.#source.isImported(names, path, entry);
  }

  async pick(
    folder: readonly string[],
    names: readonly string[],
    problem: PathProblem,
  ): Promise<ImportBatch | undefined> {
    const folders = await this.#foldersOf(folder);
    if (!folders) return undefined;
    const files: string[] = [];
    const refused: RefusedImport[] = [];
    for (const name of names) {
      const whole = [...folder, name];
      if (this.#isLeftOut(whole)) continue;
      const stats = await unlessAbsent(lstat(this.#fileOf(whole)));
      if (!stats || stats.isDirectory()) continue;
      const reason = refusalOf(stats, problem(whole));
      if (reason === undefined) files.push(name);
      else refused.push({ names: whole, reason });
    }
    return { folders, first: true, files, refused };
  }

  /** Undefined as soon as one of them is not a folder, or only behind a symbolic link. */
  async #foldersOf(names: readonly string[]): Promise<ImportFolder[] | undefined> {
    const folders: ImportFolder[] = [toFolder('', await stat(this.top))];
    for (const [index, name] of names.entries()) {
      const stats = await unlessAbsent(lstat(this.#fileOf(names.slice(0, index + 1))));
      if (!stats?.isDirectory()) return undefined;
      folders.push(toFolder(name, stats));
    }
    return folders;
  }

  beingWritten(): ReadonlySet<string> {
    return this.#openForWriting.paths();
  }

  async identify(): Promise<string> {
    try {
      const { dev, ino } = await stat(await realpath(this.top));
      return `${dev}-${ino}`;
    } catch (error) {
      const reason = isAbsent(error) ? 'is not there' : `cannot be read (${systemErrorCode(error) ?? error})`;
      throw new Error(`The folder ${this.top} ${reason}.`, { cause: error });
    }
  }

  watch(problem: PathProblem, observer: WatchObserver): SourceWatch {
    return new FolderWatch({ top: this.top, isLeftOut: (names) => this.#isLeftOut(names), problem, observer });
  }

  #isLeftOut(names: readonly string[]): boolean {
    // Also of a folder elsewhere: it may be another instance's data root, or the top of a disk.
    const isReserved = names[0] === RESERVED_TOP_LEVEL_NAME || names[0] === OF_THE_FILESYSTEM;
    return isReserved || this.#options.excluded.has(this.#fileOf(names));
  }

  openHoldings(): Promise<Holdings> {
    const { root, instanceId } = this.#options;
    return openLocalHoldings({ root, instanceId, claim: false, excluded: [] });
  }

  #fileOf(names: readonly string[]): string {
    return [this.top === '/' ? '' : this.top, ...names].join('/') || '/';
  }
}
