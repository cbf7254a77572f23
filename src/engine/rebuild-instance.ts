/**
 * Brings back into a new namespace what one instance held of the old one: what it has kept says what there was, its disk
 * says what there still is. In any order of the instances, and again after it was interrupted.
 */
import type { HeldFile, PlacedHoldings, RecallingHoldings } from '../backends/backend.ts';
import type { Entry, FileEntry } from '../core/entry.ts';
import type { LocatedEntry } from '../core/located-entry.ts';
import type { Clock, Ids } from '../core/runtime.ts';
import { childPath, type VirtualPath } from '../core/virtual-path.ts';
import type { MetadataStore, MovedPath } from '../metadata/metadata-store.ts';
import { type Misplacement, type RestoreOutcome, UNPLACED_ID } from '../metadata/rebuild-store.ts';
import { pathAfter } from './check-subject.ts';
import { inOrder, type LocatedDirectory } from './directories-in-order.ts';
import { lookInBucket } from './rebuild-bucket.ts';
import { type LocatedFileEntry, type Match, RebuildDisk } from './rebuild-disk.ts';
import type { RebuildFinding, RebuildReport } from './rebuild-report.ts';

export interface RebuildContext {
  readonly instanceId: string;
  readonly store: MetadataStore;
  readonly holdings: RecallingHoldings;
  /** Undefined: it has no bucket. */
  readonly bucket?: PlacedHoldings | undefined;
  readonly clock: Clock;
  readonly ids: Ids;
}

export interface RebuildRequest {
  /** Bring entries back whose bytes are gone, too. */
  readonly keepMissing: boolean;
  /** Say what would be done, and change nothing. */
  readonly dryRun: boolean;
  /** Told how many entries more are done with, of how many. */
  readonly onProgress: (done: number, total: number) => void;
}

const BATCH = 500;

export class InstanceRebuild {
  readonly #context: RebuildContext;
  readonly #request: RebuildRequest;
  readonly #findings: RebuildFinding[] = [];
  readonly #restored = { files: 0, directories: 0 };
  #known = 0;
  #recognised = 0;
  #moves = 0;
  #damagedLines = 0;
  #total = 0;
  /** Entries that are this instance's in the new namespace, and where their files lie. */
  readonly #placed = new Map<string, HeldFile>();
  /** The same of those whose bytes are in the bucket. */
  readonly #objects: string[] = [];

  constructor(context: RebuildContext, request: RebuildRequest) {
    this.#context = context;
    this.#request = request;
  }

  /** @throws Error with one line for the operator, having changed nothing, when it cannot be done */
  async restore(): Promise<void> {
    const { store, holdings, bucket, instanceId, clock } = this.#context;
    await holdings.assertPresent();
    const { entries, isMissing, damagedLines } = await holdings.recall();
    if (isMissing) {
      throw new Error(
        `${holdings.root} has no catalog in .callfs/catalog, so nothing says what its files were. ` +
          'To let them enter the namespace anew: callfs adopt, for those in a bucket with --backend s3.',
      );
    }
    this.#damagedLines = damagedLines;
    this.#total = entries.length;
    const files = entries.filter(isFile);
    const isOnDisk = ({ entry }: LocatedFileEntry): boolean => entry.backendType === holdings.type;
    const disk = await RebuildDisk.look(holdings);
    if (!files.every(isOnDisk)) await bucket?.survey?.(undefined);
    if (!this.#request.dryRun && !(await store.beginRebuild({ instanceId, nowMs: clock.now() }))) {
      throw new Error(
        'The metadata store has entries that no rebuild brought back. A lost namespace comes back into a new, empty store: ' +
          'set metadata_store to one.',
      );
    }
    await this.#restoreAll(inOrder(entries.filter(isDirectory)));
    await this.#restoreFiles(files.filter(isOnDisk), disk);
    await this.#restoreObjects(files.filter((file) => !isOnDisk(file)));
    await this.#reportRest(disk);
  }

  async #restoreObjects(files: readonly LocatedFileEntry[]): Promise<void> {
    const { bucket, ids } = this.#context;
    // Without the bucket nothing can be said about them: their bytes are where they were.
    if (!bucket) return this.#restoreAll(files);
    const { found, changed, missing } = await lookInBucket(bucket, files, ids);
    for (const { entry, path } of changed) this.#reportMatch(path, { kind: 'changed', entry });
    await this.#restoreAll([...found, ...changed]);
    for (const { entry } of [...found, ...changed]) this.#objects.push(entry.id);
    await this.#concludeMissing(missing);
  }

  async #restoreFiles(files: readonly LocatedFileEntry[], disk: RebuildDisk): Promise<void> {
    const matches = disk.claimIntact(files);
    const parents = await this.#findParentPaths(files.filter(({ entry }) => !matches.has(entry.id)));
    const missing: LocatedFileEntry[] = [];
    const found: LocatedEntry[] = [];
    const places = new Map<string, HeldFile>();
    for (const located of files) {
      const { entry, path, above } = located;
      const parent = parents.get(entry.parentId);
      const likely = parent === undefined ? [] : [childPath(parent, entry.name)];
      const match = matches.get(entry.id) ?? (await disk.claimByBytes(located, likely, this.#context.ids));
      if (match.kind === 'missing') {
        missing.push(located);
        continue;
      }
      this.#reportMatch(path, match);
      places.set(entry.id, match.file);
      found.push({ entry: match.entry, path, above });
    }
    await this.#restoreAll(found, places);
    await this.#concludeMissing(missing);
  }

  /** Where the new namespace has the directories that these files lie in, as far as it knows. */
  async #findParentPaths(files: readonly LocatedFileEntry[]): Promise<ReadonlyMap<string, VirtualPath>> {
    const paths = new Map<string, VirtualPath>();
    for (const some of batches([...new Set(files.map(({ entry }) => entry.parentId))])) {
      for (const { entry, path } of await this.#context.store.describeEntries(some)) paths.set(entry.id, path);
    }
    return paths;
  }

  #reportMatch(path: VirtualPath, match: Pick<Exclude<Match, { kind: 'missing' }>, 'kind' | 'entry'>): void {
    if (match.kind === 'restamped') this.#recognised += 1;
    if (match.kind !== 'changed') return;
    const problem = 'other bytes than were stored';
    this.#report({ kind: 'changed-file', path, problem, outcome: `made it version ${match.entry.version}` });
  }

  async #concludeMissing(missing: readonly LocatedFileEntry[]): Promise<void> {
    const { store, instanceId } = this.#context;
    const lost: LocatedFileEntry[] = [];
    for (const some of batches(missing)) {
      const known = new Map(
        (await store.describeEntries(some.map(({ entry }) => entry.id))).map((it) => [it.entry.id, it]),
      );
      for (const located of some) {
        const { entry } = known.get(located.entry.id) ?? {};
        // Another instance has it since.
        if (entry && entry.instanceId !== instanceId) this.#advance(1, () => this.#known++);
        else lost.push(located);
      }
    }
    const { keepMissing } = this.#request;
    for (const { path } of lost) {
      const outcome = keepMissing
        ? 'kept the entry: put the file back from a backup'
        : 'left it out: put the file back from a backup and rebuild again before the instance starts, or use --keep-missing';
      this.#report({ kind: 'missing-bytes', path, problem: 'an entry without bytes', outcome });
    }
    if (keepMissing) await this.#restoreAll(lost);
    else this.#advance(lost.length);
  }

  /** @param places where the files lie */
  async #restoreAll(entries: readonly LocatedEntry[], places?: ReadonlyMap<string, HeldFile>): Promise<void> {
    for (const some of batches(entries)) {
      const outcomes = this.#request.dryRun
        ? await this.#foresee(some)
        : await this.#context.store.restoreEntries({ entries: some });
      some.forEach((located, index) => {
        const outcome = outcomes[index];
        if (outcome) this.#conclude(located, outcome, places?.get(located.entry.id));
      });
      this.#advance(some.length);
    }
  }

  /** What would become of entries; placeholders and what gives way are left out. */
  async #foresee(entries: readonly LocatedEntry[]): Promise<RestoreOutcome[]> {
    const found = await this.#context.store.describeEntries(entries.map(({ entry }) => entry.id));
    const known = new Map(found.map(({ entry }) => [entry.id, entry]));
    return entries.map(({ entry }) => {
      const current = known.get(entry.id);
      const isNewStore = current?.id === current?.parentId && current?.instanceId === '';
      return current && current.version >= entry.version && !isNewStore
        ? { kind: 'known', entry: current }
        : { kind: 'restored' };
    });
  }

  #conclude({ entry, path }: LocatedEntry, outcome: RestoreOutcome, file: HeldFile | undefined): void {
    const { instanceId } = this.#context;
    switch (outcome.kind) {
      case 'restored':
        this.#restored[entry.type === 'file' ? 'files' : 'directories'] += 1;
        if (file) this.#placed.set(entry.id, file);
        return;
      case 'known':
        this.#known += 1;
        if (outcome.entry.instanceId !== instanceId) this.#reportOlderCopy(outcome.entry.instanceId, file);
        else if (file) this.#placed.set(entry.id, file);
        return;
      case 'changed':
        this.#known += 1;
        this.#report({
          ...{
            kind: 'changed-directory',
            path,
            problem: `was ${accessOf(entry)}, and is ${accessOf(outcome.entry)} since`,
          },
          outcome: 'left it as it is: PATCH changes it',
        });
        return;
      case 'merged':
        this.#report({
          ...{
            kind: 'merged-directory',
            path,
            problem: `another directory of ${outcome.standing.instanceId} has its path`,
          },
          outcome: 'put into that one what belongs into it',
        });
        return;
      case 'conflict':
        this.#report({
          ...{
            kind: 'conflict',
            path,
            problem: `a ${outcome.standing.type} of ${outcome.standing.instanceId} has its path`,
          },
          outcome: 'left it out; its bytes stay where they are',
        });
        return;
    }
  }

  #reportOlderCopy(holder: string, file: HeldFile | undefined): void {
    if (!file) return;
    const problem = `${holder} has a newer version of the file`;
    const outcome = 'left it where it is: callfs fsck --repair moves it to .callfs/lost+found';
    this.#report({ kind: 'older-copy', path: file.location, problem, outcome });
  }

  async #reportRest(disk: RebuildDisk): Promise<void> {
    for (const { location, reason } of disk.unreadable) {
      this.#report({ kind: 'unreadable', path: location, problem: `cannot be read: ${reason}`, outcome: 'left it' });
    }
    for (const { location } of disk.unknown()) {
      const outcome = 'left it: callfs adopt lets it enter the namespace';
      this.#report({ kind: 'unknown-file', path: location, problem: 'a file that the catalog does not name', outcome });
    }
    for (const file of disk.unknownStaged()) {
      const to = this.#request.dryRun ? '.callfs/lost+found' : await this.#context.holdings.moveAside(file);
      if (to === undefined) continue;
      const problem = 'an upload of the last moment, or one that was never finished: nothing tells its name';
      this.#report({ kind: 'unknown-upload', path: file.location, problem, outcome: `moved it to ${to}` });
    }
  }

  /** Lets the disk follow the namespace where it does not do so yet; when the entries of all instances at hand are back. */
  async finish(): Promise<RebuildReport> {
    const { store, holdings, instanceId } = this.#context;
    if (!this.#request.dryRun) {
      await this.#align();
      // A disk that went away meanwhile would have made everything look lost.
      await holdings.assertPresent();
      await store.finishRebuild(instanceId);
    }
    const counts = { restored: this.#restored, known: this.#known, recognised: this.#recognised, moves: this.#moves };
    const findings = [...this.#findings].sort(byKindAndPath);
    return { instanceId, root: holdings.root, ...counts, damagedLines: this.#damagedLines, findings };
  }

  async #align(): Promise<void> {
    const { store, instanceId, holdings } = this.#context;
    const placeholders = await findPlaceholders(store);
    const rows = await store.listOutbox(instanceId, Number.MAX_SAFE_INTEGER, holdings.type);
    const pending = rows.filter((row) => row.kind === 'move');
    for (const some of batches([...this.#placed.keys(), ...this.#objects])) {
      const misplaced: Misplacement[] = [];
      for (const { entry, path: to, above } of await store.describeEntries(some)) {
        // Below a placeholder the path may yet be another one.
        if (entry.type !== 'file' || above.some(({ id }) => placeholders.has(id))) continue;
        const path = this.#pathOnDisk(entry, to, pending);
        if (path === undefined) continue;
        misplaced.push({ instanceId, entryId: entry.id, backendType: entry.backendType, path, to, content: entry });
      }
      if (misplaced.length > 0) await store.moveToPlaces(misplaced);
      this.#moves += misplaced.length;
    }
  }

  /** Where the file is, as far as its backend can say that; undefined: in its place. */
  #pathOnDisk(entry: FileEntry, to: VirtualPath, pending: readonly MovedPath[]): VirtualPath | undefined {
    const { bucket, holdings, instanceId } = this.#context;
    if (entry.backendType !== holdings.type) {
      // The object says where it goes, not where it was.
      return entry.instanceId === instanceId && bucket?.isMisplaced(entry, to) ? to : undefined;
    }
    const file = this.#placed.get(entry.id);
    const path = file?.path === undefined ? to : pathAfter(pending, file.path);
    return path === to ? undefined : path;
  }

  #report(finding: RebuildFinding): void {
    this.#findings.push(finding);
  }

  #advance(count: number, alsoDo?: () => void): void {
    alsoDo?.();
    this.#request.onProgress(count, this.#total);
  }
}

async function findPlaceholders(store: MetadataStore): Promise<ReadonlySet<string>> {
  const placeholders = new Set([UNPLACED_ID]);
  for await (const { entry } of allPlaceholders(store)) placeholders.add(entry.id);
  return placeholders;
}

/** Directories that are still to be brought back by the instances that made them. */
export async function* allPlaceholders(store: MetadataStore): AsyncGenerator<LocatedEntry> {
  for (let after: string | undefined; ; ) {
    const page = await store.listPlaceholders(after, BATCH);
    yield* page;
    after = page.at(-1)?.entry.id;
    if (page.length < BATCH) return;
  }
}

const isDirectory = (located: LocatedEntry): located is LocatedDirectory => located.entry.type === 'directory';
const isFile = (located: LocatedEntry): located is LocatedFileEntry => located.entry.type === 'file';

function* batches<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += BATCH) yield items.slice(at, at + BATCH);
}

function accessOf({ owner, group, mode }: Entry): string {
  return `${owner}:${group} ${mode.toString(8).padStart(4, '0')}`;
}

function byKindAndPath(left: RebuildFinding, right: RebuildFinding): number {
  return Buffer.compare(Buffer.from(`${left.kind}\0${left.path}`), Buffer.from(`${right.kind}\0${right.path}`));
}
