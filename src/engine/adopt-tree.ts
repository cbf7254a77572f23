/**
 * Files that exist already enter the namespace where they lie. What the namespace has at a path stays, whatever
 * lies on disk: exclusive creation decides, so it may run beside instances and beside itself.
 */
import type { ImportBatch, ImportedFile, ImportSource } from '../backends/import-source.ts';
import type { Entry } from '../core/entry.ts';
import { CallFSError } from '../core/errors.ts';
import type { User } from '../core/permissions.ts';
import { childPath, namesOf, pathOfNames, toVirtualPath, type VirtualPath } from '../core/virtual-path.ts';
import { type AdoptedFolder, openFolder } from './adopt-tree-folder.ts';
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
}

/** Batches at work at the same time: while one waits for its commit, others read. */
const BATCHES_AT_ONCE = 6;
/** Files of one batch at work at the same time: they share a commit. */
const FILES_AT_ONCE = 64;

export async function adoptTree(
  context: EngineContext,
  source: ImportSource,
  request: AdoptTreeRequest,
): Promise<AdoptTreeReport> {
  const adoption = new Adoption(context, source, request);
  const into = namesOf(request.into);
  const batches = source.walk((names) => problemOf([...into, ...names]));
  await forEachParallel(batches, BATCHES_AT_ONCE, (batch) => adoption.adopt(batch));
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
  /** From the source's top. */
  readonly names: readonly string[];
  readonly path: VirtualPath;
}

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
    for (const { names, reason } of batch.refused) this.report.refused(pathOfNames([...this.#into, ...names]), reason);
    const folder = await this.#openFolder(batch);
    if (folder.kind === 'blocked') this.report.conflict(folder.path, folder.by);
    else if (this.#request.dryRun) await this.#preview(batch, folder);
    else await this.#adoptFiles(batch, folder);
    this.#request.onDone(batch.files.length);
  }

  async #openFolder(batch: ImportBatch): Promise<AdoptedFolder> {
    const { into, owner, dryRun } = this.#request;
    const folder = await openFolder(this.#context, { into, owner, dryRun, folders: batch.folders });
    if (folder.kind === 'opened') this.report.directories += folder.created;
    if (folder.kind === 'missing' && batch.first) this.report.directories += 1;
    return folder;
  }

  async #preview(batch: ImportBatch, folder: AdoptedFolder): Promise<void> {
    for (const { names, path } of await this.#findNew(batch, folder)) {
      const reason = await this.#source.check(names, path);
      if (reason === undefined) this.report.adopted += 1;
      else this.report.refused(path, reason);
    }
  }

  async #adoptFiles(batch: ImportBatch, folder: AdoptedFolder): Promise<void> {
    const candidates = await this.#findNew(batch, folder);
    if (candidates.length === 0) return;
    // After it was seen that the namespace does not have them: a file that it had then is still there, or is listed here.
    const removals = await readPendingRemovals(this.#context);
    await forEachParallel(candidates, FILES_AT_ONCE, async (candidate) => {
      const { names, path } = candidate;
      const outcome = await this.#source.take(names, path, this.#context.ids.next());
      if (outcome.kind === 'refused') this.report.refused(path, outcome.reason);
      if (outcome.kind !== 'imported') return;
      if (removals.has(path, outcome.content)) this.report.refused(path, 'It was removed and is about to be deleted.');
      else await this.#commit(batch, folder, candidate, outcome);
    });
  }

  /** The files that the namespace does not have; what it has is reported. */
  async #findNew({ folders, files }: ImportBatch, folder: AdoptedFolder): Promise<Candidate[]> {
    const above = folders.slice(1).map(({ name }) => name);
    const parent = pathOfNames([...this.#into, ...above]);
    const candidates = files.map((name) => ({ names: [...above, name], path: childPath(parent, name) }));
    if (folder.kind === 'missing' || (folder.kind === 'opened' && folder.created > 0)) return candidates;
    const unknown: Candidate[] = [];
    await forEachParallel(candidates, FILES_AT_ONCE, async (candidate) => {
      const names = namesOf(candidate.path);
      const existing = (await this.#context.store.resolve(names))[names.length];
      if (existing) await this.#reportExisting(candidate, existing);
      else unknown.push(candidate);
    });
    return unknown;
  }

  async #reportExisting({ names, path }: Candidate, existing: Entry): Promise<void> {
    const isOwn = existing.type === 'file' && existing.instanceId === this.#context.instanceId;
    if (isOwn && (await this.#source.isImported(names, path, existing))) this.report.skipped += 1;
    else this.report.conflict(path, existing);
  }

  async #commit(
    batch: ImportBatch,
    opened: AdoptedFolder,
    candidate: Candidate,
    { content, mtimeMs, mode }: ImportedFile,
  ): Promise<void> {
    const file = { content, mtimeMs, contentType: null, backendType: this.#context.defaultBackend };
    const creator = { user: this.#request.owner, mode };
    const entry = newFile(this.#context, candidate.names.at(-1) ?? '', creator, file);
    let folder = opened;
    await retryWhileChanging(async () => {
      if (folder.kind !== 'opened') {
        if (folder.kind === 'blocked') this.report.conflict(folder.path, folder.by);
        return true;
      }
      const outcome = await this.#context.store.createEntry({ parentId: folder.id, missingParents: [], entry });
      if (outcome.kind === 'created') this.report.adopted += 1;
      if (outcome.kind === 'exists') await this.#reportExisting(candidate, outcome.entry);
      if (outcome.kind !== 'changed') return true;
      folder = await this.#openFolder(batch);
      return undefined;
    });
  }
}

async function forEachParallel<T>(
  items: Iterable<T> | AsyncIterable<T>,
  lanes: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const rest = iteratorOf(items);
  const lane = async (): Promise<void> => {
    for (let next = await rest.next(); !next.done; next = await rest.next()) await work(next.value);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

function iteratorOf<T>(items: Iterable<T> | AsyncIterable<T>): Iterator<T> | AsyncIterator<T> {
  return Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
}
