/**
 * Files that exist already enter the namespace where they lie. What the namespace has at a path stays, whatever
 * lies on disk: exclusive creation decides, so it may run beside instances and beside itself.
 */
import type { ImportBatch, ImportedFile, ImportSource } from '../backends/import-source.ts';
import type { Content, Entry, FileEntry } from '../core/entry.ts';
import { CallFSError } from '../core/errors.ts';
import { forEachParallel } from '../core/for-each-parallel.ts';
import type { User } from '../core/permissions.ts';
import { childPath, namesOf, pathOfNames, toVirtualPath, type VirtualPath } from '../core/virtual-path.ts';
import { type AdoptedFolder, type BlockedFolder, openFolder } from './adopt-tree-folder.ts';
import { readPendingRemovals } from './adopt-tree-removals.ts';
import { type AdoptTreeReport, ReportWriter } from './adopt-tree-report.ts';
import type { EngineContext } from './engine-context.ts';
import { newFile } from './new-entry.ts';
import { retryWhileChanging } from './retry-while-changing.ts';

export interface AdoptTreeRequest {
  /** Owns what is adopted, with its first group. */
  readonly owner: User;
  /** The directory of the namespace that the source's top becomes. */
  readonly into: VirtualPath;
  /** Say what would be adopted, and change nothing. */
  readonly dryRun: boolean;
  /** Told how many files more are done with. */
  readonly onDone: (files: number) => void;
  /** Who goes on watching the source; undefined: nobody. */
  readonly watcher?: AdoptionWatcher | undefined;
}

export interface AdoptionWatcher {
  /** Those of some files that may be adopted now; the others are being written, and left out. */
  whole(files: readonly ImportNames[]): Promise<readonly ImportNames[]>;
  adopted(path: VirtualPath, content: Content): void;
  /** What could not be adopted, but may be in a moment. It is not reported as refused. */
  postponed(names: ImportNames, reason: string): void;
  readonly signal: AbortSignal;
}

/** From the source's top. */
export type ImportNames = readonly string[];

/** Batches at work at the same time: while one waits for its commit, others read. */
const BATCHES_AT_ONCE = 6;
/** Files of one batch at work at the same time: they share a commit. */
const FILES_AT_ONCE = 64;

export async function adoptTree(
  context: EngineContext,
  source: ImportSource,
  request: AdoptTreeRequest,
): Promise<AdoptTreeReport> {
  const into = namesOf(request.into);
  return adoptBatches(
    context,
    source,
    request,
    source.walk((names) => problemOf([...into, ...names])),
  );
}

/** The same for some of what the source has. */
export async function adoptBatches(
  context: EngineContext,
  source: ImportSource,
  request: AdoptTreeRequest,
  batches: Iterable<ImportBatch> | AsyncIterable<ImportBatch>,
): Promise<AdoptTreeReport> {
  const adoption = new Adoption(context, source, request);
  await forEachParallel(batches, BATCHES_AT_ONCE, async (batch) => {
    if (!request.watcher?.signal.aborted) await adoption.adopt(batch);
  });
  return adoption.report.finish();
}

/** Why names cannot be a path of the namespace. */
export function problemOf(names: readonly string[]): string | undefined {
  try {
    toVirtualPath(names);
    return undefined;
  } catch (error) {
    if (error instanceof CallFSError) return error.message;
    throw error;
  }
}

interface Candidate {
  readonly names: ImportNames;
  readonly path: VirtualPath;
}

interface Taken extends Candidate {
  readonly file: ImportedFile;
}

const REMOVED = 'It was removed and is about to be deleted.';
const MOVED = 'It is being moved.';
const CHANGED = 'It changed while it was being read.';
const CHANGING = 'What CallFS has there is being changed.';

class Adoption {
  readonly report = new ReportWriter();
  readonly #context: EngineContext;
  readonly #source: ImportSource;
  readonly #request: AdoptTreeRequest;
  readonly #into: readonly string[];

  constructor(context: EngineContext, source: ImportSource, request: AdoptTreeRequest) {
    this.#context = context;
    this.#source = source;
    this.#request = request;
    this.#into = namesOf(request.into);
  }

  async adopt(batch: ImportBatch): Promise<void> {
    for (const { names, reason } of batch.refused) this.report.refused(this.#pathOf(names), reason);
    const folder = await this.#openFolder(batch, true);
    if (folder.kind === 'blocked') await this.#reportBlocked(batch, folder);
    else if (this.#request.dryRun) await this.#preview(batch, folder);
    else await this.#adoptFiles(batch, folder);
    this.#request.onDone(batch.files.length);
  }

  async #openFolder({ folders, first }: ImportBatch, dryRun: boolean): Promise<AdoptedFolder> {
    const { into, owner } = this.#request;
    const folder = await openFolder(this.#context, { into, owner, dryRun, folders });
    if (folder.kind === 'opened') this.report.directories += folder.created;
    if (folder.kind === 'missing' && first && this.#request.dryRun) this.report.directories += 1;
    return folder;
  }

  async #preview(batch: ImportBatch, folder: AdoptedFolder): Promise<void> {
    for (const { names, path } of await this.#findNew(batch, folder)) {
      const reason = await this.#source.check(names, path);
      if (reason === undefined) this.report.adopted += 1;
      else this.report.refused(path, reason);
    }
  }

  async #adoptFiles(batch: ImportBatch, found: AdoptedFolder): Promise<void> {
    const taken = await this.#take(await this.#whole(await this.#findNew(batch, found)));
    const foreign = await this.#findForeign(taken);
    if (foreign.length > 0) {
      const folder = await this.#openFolder(batch, false);
      await forEachParallel(foreign, FILES_AT_ONCE, (file) => this.#commit(batch, folder, file));
    } else if (found.kind === 'missing' && batch.first && (await this.#isForeignFolder(batch))) {
      await this.#openFolder(batch, false);
    }
  }

  async #whole(candidates: readonly Candidate[]): Promise<readonly Candidate[]> {
    const { watcher } = this.#request;
    if (!watcher || candidates.length === 0) return candidates;
    const whole = new Set(await watcher.whole(candidates.map(({ names }) => names)));
    return candidates.filter(({ names }) => whole.has(names));
  }

  async #take(candidates: readonly Candidate[]): Promise<Taken[]> {
    const taken: Taken[] = [];
    if (candidates.length === 0) return taken;
    const pending = await readPendingRemovals(this.#context);
    await forEachParallel(candidates, FILES_AT_ONCE, async (candidate) => {
      const { names, path } = candidate;
      if (pending.moves(path)) {
        this.#postpone(candidate, MOVED);
        return;
      }
      const file = await this.#source.take(names, path, this.#context.ids.next());
      if (file.kind === 'refused') this.#postpone(candidate, file.reason);
      if (file.kind === 'imported') taken.push({ ...candidate, file });
    });
    return taken;
  }

  /**
   * Those that CallFS did not put there itself a moment ago. The order matters: the file was there; no entry has its
   * path; nothing is about to take it away; it is there still. A removal is forgotten only after its file is gone.
   */
  async #findForeign(taken: readonly Taken[]): Promise<Taken[]> {
    const unknown = await this.#findUnknown(taken);
    if (unknown.length === 0) return [];
    const pending = await readPendingRemovals(this.#context);
    const foreign: Taken[] = [];
    await forEachParallel(unknown, FILES_AT_ONCE, async (candidate) => {
      const { names, path, file } = candidate;
      if (pending.moves(path)) this.#postpone(candidate, MOVED);
      else if (pending.has(path, file.content)) this.#postpone(candidate, REMOVED);
      else if (await this.#source.isInPlace(path, file.content)) foreign.push(candidate);
      else if ((await this.#source.look(names)).kind === 'file') this.#postpone(candidate, CHANGED);
    });
    return foreign;
  }

  /** Also an empty folder may be what a removal or a move is about to take away. */
  async #isForeignFolder({ folders }: ImportBatch): Promise<boolean> {
    const names = folders.slice(1).map(({ name }) => name);
    if ((await readPendingRemovals(this.#context)).concerns(this.#pathOf(names))) return false;
    return (await this.#source.look(names)).kind !== 'missing';
  }

  #postpone({ names, path }: Candidate, reason: string): void {
    const { watcher } = this.#request;
    if (watcher) watcher.postponed(names, reason);
    else this.report.refused(path, reason);
  }

  #pathOf(names: ImportNames): VirtualPath {
    return pathOfNames([...this.#into, ...names]);
  }

  /** The files that the namespace does not have; what it has is reported. */
  async #findNew({ folders, files }: ImportBatch, folder: AdoptedFolder): Promise<Candidate[]> {
    const above = folders.slice(1).map(({ name }) => name);
    const parent = this.#pathOf(above);
    const candidates = files.map((name) => ({ names: [...above, name], path: childPath(parent, name) }));
    return folder.kind === 'missing' ? candidates : this.#findUnknown(candidates);
  }

  async #findUnknown<T extends Candidate>(candidates: readonly T[]): Promise<T[]> {
    const unknown: T[] = [];
    await forEachParallel(candidates, FILES_AT_ONCE, async (candidate) => {
      const names = namesOf(candidate.path);
      const existing = (await this.#context.store.resolve(names))[names.length];
      if (existing) await this.#reportExisting(candidate, existing);
      else unknown.push(candidate);
    });
    return unknown;
  }

  async #reportExisting({ names, path }: Candidate, existing: Entry): Promise<void> {
    const isImported = existing.type === 'file' && (await this.#reaches(existing));
    if (isImported && (await this.#source.isImported(names, path, existing))) this.report.skipped += 1;
    else await this.#reportConflict({ names, path }, path, existing);
  }

  async #reaches(file: FileEntry): Promise<boolean> {
    const { instanceId, defaultBackend, sharesBucketWith } = this.#context;
    if (file.instanceId === instanceId) return true;
    return defaultBackend === 's3' && ((await sharesBucketWith?.(file.instanceId)) ?? false);
  }

  async #reportBlocked({ folders }: ImportBatch, { path, by }: BlockedFolder): Promise<void> {
    const names = folders.slice(1).map(({ name }) => name);
    await this.#reportConflict({ names, path: this.#pathOf(names) }, path, by);
  }

  /** What lies there may be what CallFS itself is about to take away. */
  async #reportConflict(candidate: Candidate, path: VirtualPath, by: Entry): Promise<void> {
    if ((await readPendingRemovals(this.#context)).concerns(path)) this.#postpone(candidate, CHANGING);
    else if ((await this.#source.look(candidate.names)).kind !== 'missing') this.report.conflict(path, by);
  }

  async #commit(batch: ImportBatch, opened: AdoptedFolder, candidate: Taken): Promise<void> {
    const { content, mtimeMs, mode, contentType = null } = candidate.file;
    const file = { content, mtimeMs, contentType, backendType: this.#context.defaultBackend };
    const creator = { user: this.#request.owner, mode };
    const entry = newFile(this.#context, candidate.names.at(-1) ?? '', creator, file);
    let folder = opened;
    await retryWhileChanging(async () => {
      if (folder.kind !== 'opened') {
        if (folder.kind === 'blocked') await this.#reportBlocked(batch, folder);
        return true;
      }
      const outcome = await this.#context.store.createEntry({
        parentId: folder.id,
        missingParents: [],
        entry,
        isInPlace: true,
      });
      if (outcome.kind === 'created') {
        this.report.adopted += 1;
        this.#request.watcher?.adopted(candidate.path, content);
      }
      if (outcome.kind === 'exists') await this.#reportExisting(candidate, outcome.entry);
      if (outcome.kind !== 'changed') return true;
      folder = await this.#openFolder(batch, false);
      return undefined;
    });
  }
}
