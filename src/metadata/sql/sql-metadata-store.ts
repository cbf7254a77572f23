/** The namespace on a SQL database; what differs between databases is in the driver. */
import { type BackendType, type Entry, ROOT_ID } from '../../core/entry.ts';
import type { LocatedEntry } from '../../core/located-entry.ts';
import type { User } from '../../core/permissions.ts';
import { pathOfNames, type VirtualPath } from '../../core/virtual-path.ts';
import type { HoldingsPage, Note } from '../catalog-store.ts';
import type {
  Announcement,
  AnnouncePlace,
  ContentPlace,
  RelocateContent,
  TakeOverEntry,
} from '../content-place-store.ts';
import type {
  HandOverDirectories,
  Heartbeat,
  HeartbeatOutcome,
  InstanceFiles,
  InstanceRecord,
  RegisterInstance,
  RemoveInstance,
  RemoveInstanceOutcome,
  SetDraining,
} from '../instance-store.ts';
import type { JobStore } from '../job-store.ts';
import type { LinkStore } from '../link-store.ts';
import type {
  ChangeAttributes,
  ChangeAttributesOutcome,
  CreateEntry,
  CreateOutcome,
  DirectoryTree,
  LocatedContent,
  LocatedFile,
  MetadataStore,
  MoveEntry,
  MoveOutcome,
  OutboxItem,
  RemoveEntry,
  RemoveOutcome,
  RemoveTreeOutcome,
  ReplaceContent,
  ReplaceOutcome,
} from '../metadata-store.ts';
import type {
  BeginRebuild,
  EndRebuild,
  Misplacement,
  RebuiltInstance,
  RestoreEntries,
  RestoreOutcome,
} from '../rebuild-store.ts';
import type { UploadStore } from '../upload-store.ts';
import { LOCATE_HOLDINGS, LOCATE_PLACEHOLDERS, locateBy, toLocatedEntries } from './located-entries.ts';
import { readDirectories } from './read-directories.ts';
import { resolveQuery } from './resolve-query.ts';
import {
  ENTRY_COLUMNS,
  entryColumnsOf,
  integer,
  text,
  toEntry,
  toFile,
  toInstance,
  toNote,
  toOutboxItem,
} from './rows.ts';
import type { SqlDatabase } from './sql-database.ts';
import { SqlJobStore } from './sql-job-store.ts';
import { SqlLinkStore } from './sql-link-store.ts';
import { SqlUploadStore } from './sql-upload-store.ts';

/** Contents located by one statement: a few fixed sizes keep the number of prepared statements small. */
const LOCATE_SIZES = [1, 8, 64];

export class SqlMetadataStore implements MetadataStore {
  readonly jobs: JobStore;
  readonly links: LinkStore;
  readonly uploads: UploadStore;
  readonly #database: SqlDatabase;

  constructor(database: SqlDatabase) {
    this.#database = database;
    this.jobs = new SqlJobStore(database);
    this.links = new SqlLinkStore(database);
    this.uploads = new SqlUploadStore(database);
  }

  async resolve(names: readonly string[]): Promise<readonly Entry[]> {
    const { resolve } = this.#database;
    if (resolve) return (await resolve.call(this.#database, names)).map(toEntry);
    const { sql, values } = resolveQuery(names);
    return (await this.#database.read(sql, values)).map(toEntry);
  }

  createEntry(request: CreateEntry): Promise<CreateOutcome> {
    return this.#database.mutate('createEntry', request);
  }

  replaceContent(request: ReplaceContent): Promise<ReplaceOutcome> {
    return this.#database.mutate('replaceContent', request);
  }

  restampContent(contentId: string, storageStamp: string): Promise<void> {
    return this.#database.mutate('restampContent', { contentId, storageStamp });
  }

  holdsFiles(place: ContentPlace): Promise<boolean> {
    return this.#database.mutate('holdsFiles', place);
  }

  announcePlace(request: AnnouncePlace): Promise<Announcement> {
    return this.#database.mutate('announcePlace', request);
  }

  relocateContent(request: RelocateContent): Promise<boolean> {
    return this.#database.mutate('relocateContent', request);
  }

  takeOverEntry(request: TakeOverEntry): Promise<boolean> {
    return this.#database.mutate('takeOverEntry', request);
  }

  moveEntry(request: MoveEntry): Promise<MoveOutcome> {
    return this.#database.mutate('moveEntry', request);
  }

  changeAttributes(request: ChangeAttributes): Promise<ChangeAttributesOutcome> {
    return this.#database.mutate('changeAttributes', request);
  }

  removeEntry(request: RemoveEntry): Promise<RemoveOutcome> {
    return this.#database.mutate('removeEntry', request);
  }

  removeTree(directoryId: string, user: User): Promise<RemoveTreeOutcome> {
    return this.#database.mutate('removeTree', { directoryId, user });
  }

  async listChildren(directoryId: string, after: string | undefined, limit: number): Promise<readonly Entry[]> {
    // The root is its own child in the table; its name is the only empty one.
    const sql = `SELECT ${ENTRY_COLUMNS} FROM entries WHERE parent_id = $1 AND name > $2 ORDER BY name LIMIT $3`;
    return (await this.#database.read(sql, [directoryId, after ?? '', limit])).map(toEntry);
  }

  readDirectories(topId: string, depth: number): Promise<DirectoryTree> {
    return readDirectories(this.#database, topId, depth);
  }

  async listFiles(after: string | undefined, limit: number): Promise<readonly LocatedFile[]> {
    const rows = await this.#database.read(LIST_FILES, [after ?? '', limit]);
    return rows.map((row) => ({ entry: toFile(row), path: `/${text(row, 'path')}` as VirtualPath }));
  }

  async locateContents(contentIds: readonly string[]): Promise<readonly LocatedContent[]> {
    const located: LocatedContent[] = [];
    for (let at = 0; at < contentIds.length; ) {
      const rest = contentIds.length - at;
      const size = LOCATE_SIZES.find((candidate) => candidate >= rest) ?? Math.max(...LOCATE_SIZES);
      located.push(...(await this.#locateSome(contentIds.slice(at, at + size), size)));
      at += size;
    }
    return located;
  }

  async #locateSome(contentIds: readonly string[], size: number): Promise<LocatedContent[]> {
    const values = Array.from({ length: size }, (_, index) => contentIds[index] ?? '');
    const names = new Map<string, string[]>();
    for (const row of await this.#database.read(locateStatement(size), values)) {
      const contentId = text(row, 'content_id');
      const known = names.get(contentId);
      if (known) known.push(text(row, 'name'));
      else names.set(contentId, [text(row, 'name')]);
    }
    return [...names].map(([contentId, path]) => ({ contentId, path: pathOfNames(path) }));
  }

  async listOutbox(instanceId: string, limit: number, backendType?: BackendType): Promise<readonly OutboxItem[]> {
    const own = 'SELECT * FROM outbox WHERE instance_id = $1';
    const rows =
      backendType === undefined
        ? await this.#database.read(`${own} ORDER BY seq LIMIT $2`, [instanceId, limit])
        : await this.#database.read(`${own} AND backend_type = $3 ORDER BY seq LIMIT $2`, [
            instanceId,
            limit,
            backendType,
          ]);
    return rows.map(toOutboxItem);
  }

  async listWholeOutbox(after: number | undefined, limit: number): Promise<readonly OutboxItem[]> {
    const sql = 'SELECT * FROM outbox WHERE seq > $1 ORDER BY seq LIMIT $2';
    return (await this.#database.read(sql, [after ?? -1, limit])).map(toOutboxItem);
  }

  forgetOutbox(seqs: readonly number[]): Promise<void> {
    return this.#database.mutate('forgetOutbox', seqs);
  }

  async watchOutbox(wake: () => void): Promise<AsyncDisposable> {
    return (await this.#database.watch?.(wake)) ?? { async [Symbol.asyncDispose]() {} };
  }

  async findInstance(id: string): Promise<InstanceRecord | undefined> {
    return (await this.#database.read('SELECT * FROM instances WHERE id = $1', [id])).map(toInstance)[0];
  }

  async listInstances(): Promise<readonly InstanceRecord[]> {
    return (await this.#database.read('SELECT * FROM instances ORDER BY id', [])).map(toInstance);
  }

  registerInstance(request: RegisterInstance): Promise<boolean> {
    return this.#database.mutate('registerInstance', request);
  }

  heartbeat(beat: Heartbeat): Promise<HeartbeatOutcome> {
    return this.#database.mutate('heartbeat', beat);
  }

  markStopped(id: string, bootId: string): Promise<void> {
    return this.#database.mutate('markStopped', { id, bootId });
  }

  setDraining(request: SetDraining): Promise<boolean> {
    return this.#database.mutate('setDraining', request);
  }

  handOverDirectories(request: HandOverDirectories): Promise<number> {
    return this.#database.mutate('handOverDirectories', request);
  }

  removeInstance(request: RemoveInstance): Promise<RemoveInstanceOutcome> {
    return this.#database.mutate('removeInstance', request);
  }

  countFiles(): Promise<readonly InstanceFiles[]> {
    return this.#database.mutate('countFiles', undefined);
  }

  async countDirectories(instanceId: string): Promise<number> {
    const sql = "SELECT COUNT(*) AS directories FROM entries WHERE type = 'directory' AND instance_id = $1";
    const [row] = await this.#database.read(sql, [instanceId]);
    return row ? integer(row, 'directories') : 0;
  }

  describeContents(contentIds: readonly string[]): Promise<readonly LocatedEntry[]> {
    return this.#describe('content_id', contentIds);
  }

  describeEntries(entryIds: readonly string[]): Promise<readonly LocatedEntry[]> {
    return this.#describe('id', entryIds);
  }

  describeKeys(storageKeys: readonly string[]): Promise<readonly LocatedEntry[]> {
    return this.#describe('storage_key', storageKeys);
  }

  async #describe(column: Parameters<typeof locateBy>[0], wanted: readonly string[]): Promise<LocatedEntry[]> {
    const located: LocatedEntry[] = [];
    for (const { sql, values } of locateBy(column, wanted)) {
      located.push(...toLocatedEntries(await this.#database.read(sql, values)));
    }
    return located;
  }

  async listHoldings(instanceId: string, after: string | undefined, limit: number): Promise<HoldingsPage> {
    const sql = `SELECT MAX(id) AS last, COUNT(*) AS ids
                 FROM (SELECT id FROM entries WHERE id > $1 ORDER BY id LIMIT $2) AS page`;
    const [page] = await this.#database.read(sql, [after ?? '', limit]);
    if (!page || integer(page, 'ids') === 0) return { entries: [], next: undefined };
    const last = text(page, 'last');
    const rows = await this.#database.read(LOCATE_HOLDINGS, [instanceId, after ?? '', last]);
    return { entries: toLocatedEntries(rows), next: integer(page, 'ids') < limit ? undefined : last };
  }

  async listNotes(instanceId: string | undefined, limit: number): Promise<readonly Note[]> {
    const rows =
      instanceId === undefined
        ? await this.#database.read('SELECT * FROM notes ORDER BY seq LIMIT $1', [limit])
        : await this.#database.read('SELECT * FROM notes WHERE instance_id = $1 ORDER BY seq LIMIT $2', [
            instanceId,
            limit,
          ]);
    return rows.map(toNote);
  }

  forgetNotes(seqs: readonly number[]): Promise<void> {
    return this.#database.mutate('forgetNotes', seqs);
  }

  identify(candidate: string): Promise<string> {
    return this.#database.mutate('identify', candidate);
  }

  beginRebuild(request: BeginRebuild): Promise<boolean> {
    return this.#database.mutate('beginRebuild', request);
  }

  restoreEntries(request: RestoreEntries): Promise<readonly RestoreOutcome[]> {
    return this.#database.mutate('restoreEntries', request);
  }

  moveToPlaces(files: readonly Misplacement[]): Promise<void> {
    return this.#database.mutate('moveToPlaces', files);
  }

  finishRebuild(instanceId: string): Promise<void> {
    return this.#database.mutate('finishRebuild', instanceId);
  }

  async listRebuilds(): Promise<readonly RebuiltInstance[]> {
    const rows = await this.#database.read('SELECT * FROM rebuilds ORDER BY instance_id', []);
    return rows.map((row) => ({ instanceId: text(row, 'instance_id'), finished: integer(row, 'finished') !== 0 }));
  }

  async listPlaceholders(after: string | undefined, limit: number): Promise<readonly LocatedEntry[]> {
    return toLocatedEntries(await this.#database.read(LOCATE_PLACEHOLDERS, [after ?? '', limit]));
  }

  endRebuild(request: EndRebuild): Promise<number> {
    return this.#database.mutate('endRebuild', request);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#database[Symbol.asyncDispose]();
  }
}

/** A page of files by id, and the names from each up to the root put together. */
const LIST_FILES = `
  WITH RECURSIVE page AS (
    SELECT ${ENTRY_COLUMNS} FROM entries WHERE type = 'file' AND id > $1 ORDER BY id LIMIT $2
  ), up (file_id, parent_id, path) AS (
    SELECT id, parent_id, name FROM page
    UNION ALL
    SELECT up.file_id, e.parent_id, e.name || '/' || up.path FROM up JOIN entries AS e ON e.id = up.parent_id
    WHERE up.parent_id <> '${ROOT_ID}'
  ) SELECT ${entryColumnsOf('page')}, up.path FROM page
    JOIN up ON up.file_id = page.id AND up.parent_id = '${ROOT_ID}' ORDER BY page.id`;

/** Names of the entries with these contents and of all above them, each from the top down. */
function locateStatement(size: number): string {
  const list = Array.from({ length: size }, (_, index) => `$${index + 1}`).join(', ');
  return `WITH RECURSIVE up (content_id, id, parent_id, name, height) AS (
            SELECT content_id, id, parent_id, name, 0 FROM entries WHERE content_id IN (${list})
            UNION ALL
            SELECT up.content_id, e.id, e.parent_id, e.name, up.height + 1
            FROM up JOIN entries AS e ON e.id = up.parent_id WHERE up.id <> '${ROOT_ID}'
          ) SELECT content_id, name FROM up WHERE id <> '${ROOT_ID}' ORDER BY content_id, height DESC`;
}
