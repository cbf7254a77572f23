/** Takes what was touched on disk into the namespace, or tells why not, a few names of one folder at a time. */
import type { Holdings } from '../backends/backend.ts';
import type { ImportLook } from '../backends/import-source.ts';
import type { WatchableSource } from '../backends/watchable-source.ts';
import type { DirectoryEntry, FileEntry } from '../core/entry.ts';
import { CallFSError } from '../core/errors.ts';
import { forEachParallel } from '../core/for-each-parallel.ts';
import { namesOf, pathOfNames, type VirtualPath } from '../core/virtual-path.ts';
import { adoptContent } from './adopt-content.ts';
import {
  type AdoptionWatcher,
  type AdoptTreeRequest,
  adoptBatches,
  type ImportNames,
  problemOf,
} from './adopt-tree.ts';
import type { WatchEvents } from './adopt-watch-events.ts';
import type { MissingFiles } from './adopt-watch-missing.ts';
import { isQuiet, QUIET_MS, type Touched, type TouchedNames } from './adopt-watch-queue.ts';
import type { RecentlyAdopted } from './adopt-watch-recent.ts';
import type { EngineContext } from './engine-context.ts';

export interface TouchedFilesOptions {
  readonly context: EngineContext;
  readonly source: WatchableSource;
  readonly holdings: Holdings;
  readonly request: Pick<AdoptTreeRequest, 'owner' | 'into'> & { readonly signal: AbortSignal };
  readonly events: WatchEvents;
  readonly queue: TouchedNames;
  readonly missing: MissingFiles;
  readonly recent: RecentlyAdopted;
}

/** One look at one thing that was touched. */
interface Seen {
  readonly touched: Touched;
  readonly names: ImportNames;
  readonly path: VirtualPath;
  readonly look: ImportLook;
}

/** A file that is kept open for writing, such as a log, is taken to be whole when nobody wrote to it for so long. */
const OPEN_QUIET_MS = 60_000;
/** What is in the way because CallFS is at work there is gone by then; whoever else changes it is noticed. */
const POSTPONED_MS = 5000;
const RETRY_MS = 10_000;
/** CallFS removes the folders that it emptied, so a folder that went is looked into only when it stays away. */
const FOLDER_GONE_MS = 3000;
const AT_ONCE = 64;
const PAGE_SIZE = 1000;

export class TouchedFiles {
  readonly #options: TouchedFilesOptions;
  readonly #into: readonly string[];

  constructor(options: TouchedFilesOptions) {
    this.#options = options;
    this.#into = namesOf(options.request.into);
  }

  /** @param batch of one folder */
  async handle(batch: readonly Touched[]): Promise<void> {
    const files: Seen[] = [];
    const folders: Seen[] = [];
    await forEachParallel(batch, AT_ONCE, async (touched) => {
      const { names } = touched;
      const look = await this.#options.source.look(names);
      const seen: Seen = { touched, names, look, path: pathOfNames([...this.#into, ...names]) };
      if (!isQuiet(look, touched, this.#options.context.clock.now())) this.#lookAgain(seen, QUIET_MS);
      else if (await this.#isToAdopt(seen)) (look.kind === 'folder' ? folders : files).push(seen);
    });
    const folder = batch[0]?.names.slice(0, -1) ?? [];
    if (files.length > 0) await this.#adopt(folder, files);
    await forEachParallel(folders, AT_ONCE, (seen) => this.#adopt(seen.names, [], seen));
  }

  isBeingWritten(names: ImportNames, { kind, changedMs }: ImportLook): boolean {
    const { context, source } = this.#options;
    if (kind !== 'file' || context.clock.now() - changedMs > OPEN_QUIET_MS) return false;
    return source.beingWritten().has(names.join('/'));
  }

  /** Does what is to be done with entries; true: an adoption makes an entry of it, or tells why not. */
  async #isToAdopt(seen: Seen): Promise<boolean> {
    const { look, path } = seen;
    const { context, holdings, events, missing } = this.#options;
    const pathNames = [...this.#into, ...seen.names];
    const problem = problemOf(pathNames);
    if (problem !== undefined) {
      if (look.kind !== 'missing') events.refused(path, problem);
      return false;
    }
    const entry = (await context.store.resolve(pathNames))[pathNames.length];
    const isOwn = entry?.type === 'file' && entry.instanceId === context.instanceId;
    if (isOwn && entry.backendType === holdings.type) return this.#isConflict(seen, entry);
    missing.forget(path, undefined);
    if (look.kind === 'missing') {
      if (entry?.type === 'directory') await this.#lookBelow(seen, entry);
      return false;
    }
    if (look.kind === 'folder') return entry?.type !== 'directory';
    if (!this.isBeingWritten(seen.names, look)) return true;
    this.#lookAgain(seen, QUIET_MS);
    return false;
  }

  /** Whether the file is another one than that of the entry, which stays; if it is the same, what happened to it is done. */
  async #isConflict(seen: Seen, entry: FileEntry): Promise<boolean> {
    const { source, holdings, events, missing } = this.#options;
    const { names, path, look } = seen;
    if (!source.inPlace) {
      if (look.kind !== 'file') return false;
      if (!(await source.isImported(names, path, entry))) return true;
    }
    const found = await holdings.examine(entry, path, false);
    if (found.kind === 'changed' && found.adoptable) await this.#update(seen, entry);
    if (found.kind === 'unreadable') events.refused(path, `It cannot be read (${found.reason}).`);
    if (found.kind === 'intact') {
      missing.forget(path, entry);
      events.forget(path);
    }
    if (found.kind === 'missing' && source.inPlace) {
      const againInMs = await missing.found(entry, path);
      if (againInMs !== undefined) this.#lookAgain(seen, againInMs);
    }
    return false;
  }

  async #update(seen: Seen, entry: FileEntry): Promise<void> {
    const { context, holdings, events, missing } = this.#options;
    const { touched, path, look } = seen;
    if (this.isBeingWritten(seen.names, look)) {
      this.#lookAgain(seen, QUIET_MS);
      return;
    }
    try {
      await adoptContent(context, holdings, entry, path);
      missing.forget(path, entry);
    } catch (error) {
      // Being changed by others or by CallFS itself.
      if (!(error instanceof CallFSError) || error.code !== 'BACKEND_UNAVAILABLE') throw error;
      const isRepeated = touched.reason === error.message;
      if (isRepeated) events.refused(path, error.message);
      this.#lookAgain(seen, isRepeated ? RETRY_MS : POSTPONED_MS, error.message);
    }
  }

  /** A folder may be moved away with all its files, of which nobody is told then. */
  async #lookBelow(seen: Seen, directory: DirectoryEntry): Promise<void> {
    const { context, source, queue } = this.#options;
    if (!source.inPlace) return;
    if (seen.touched.seen !== seen.look.fingerprint) {
      this.#lookAgain(seen, FOLDER_GONE_MS);
      return;
    }
    for (let after: string | undefined; ; ) {
      const page = await context.store.listChildren(directory.id, after, PAGE_SIZE);
      for (const { name, type, instanceId } of page) {
        if (type === 'file' && instanceId !== context.instanceId) continue;
        queue.again({ names: [...seen.names, name], seen: seen.look.fingerprint, reason: undefined }, 0);
      }
      after = page.at(-1)?.name;
      if (page.length < PAGE_SIZE) return;
    }
  }

  /** @param itself the folder, when it is to be adopted, too */
  async #adopt(folder: ImportNames, files: readonly Seen[], itself?: Seen): Promise<void> {
    const { context, source, request, events } = this.#options;
    const problem = (names: ImportNames): string | undefined => problemOf([...this.#into, ...names]);
    const names = files.map((seen) => seen.names.at(-1) ?? '');
    const batch = await source.pick(folder, names, problem);
    if (!batch) return;
    const { owner, into } = request;
    const watcher = this.#watcherOf(itself ? [itself] : files);
    const report = await adoptBatches(context, source, { owner, into, dryRun: false, onDone() {}, watcher }, [batch]);
    events.leftAlone(report);
  }

  #watcherOf(seen: readonly Seen[]): AdoptionWatcher {
    const { events, recent, request } = this.#options;
    const byNames = new Map(seen.map((one) => [one.names.join('/'), one]));
    return {
      signal: request.signal,
      whole: (files) => Promise.resolve(files),
      adopted: (path, content) => {
        recent.add(path, content);
        events.forget(path);
        events.tell({ kind: 'adopted', path });
      },
      postponed: (names, reason) => {
        const one = byNames.get(names.join('/'));
        if (!one) return;
        const isRepeated = one.touched.reason === reason && one.touched.seen === one.look.fingerprint;
        if (isRepeated) events.refused(one.path, reason);
        else this.#lookAgain(one, POSTPONED_MS, reason);
      },
    };
  }

  #lookAgain({ names, look }: Seen, afterMs: number, reason?: string): void {
    this.#options.queue.again({ names, seen: look.fingerprint, reason }, afterMs);
  }
}
