/** Rows of the tables ⇄ the types of the domain. */
import type { BackendType, Entry, FileEntry } from '../../core/entry.ts';
import type { VirtualPath } from '../../core/virtual-path.ts';
import type { Note } from '../catalog-store.ts';
import type { InstanceRecord } from '../instance-store.ts';
import type { NewEntry, OutboxItem } from '../metadata-store.ts';
import type { SqlRow, SqlValue } from './sql-database.ts';

const ENTRY_COLUMN_NAMES = [
  'id',
  'parent_id',
  'name',
  'type',
  'mode',
  'owner',
  'grp',
  'uid',
  'gid',
  'mtime_ms',
  'created_at_ms',
  'version',
  'instance_id',
  'backend_type',
  'content_id',
  'size_bytes',
  'checksum',
  'content_type',
  'storage_key',
  'storage_stamp',
  'etag',
  'sha256',
] as const;

const INTEGER_COLUMNS: ReadonlySet<string> = new Set([
  'mode',
  'uid',
  'gid',
  'mtime_ms',
  'created_at_ms',
  'version',
  'size_bytes',
]);

export const ENTRY_COLUMNS = ENTRY_COLUMN_NAMES.join(', ');
export const ENTRY_COLUMN_COUNT = ENTRY_COLUMN_NAMES.length;

/** The entry columns of the table named `alias`. */
export const entryColumnsOf = (alias: string): string =>
  ENTRY_COLUMN_NAMES.map((name) => `${alias}.${name}`).join(', ');

/** A value for each entry column; without the cast PostgreSQL would take a selected parameter for text. */
export const ENTRY_PLACEHOLDERS = ENTRY_COLUMN_NAMES.map((name, index) =>
  INTEGER_COLUMNS.has(name) ? `CAST($${index + 1} AS BIGINT)` : `$${index + 1}`,
).join(', ');

/** `column = value` for all of them but the id, which is the first. */
export const ENTRY_ASSIGNMENTS = ENTRY_COLUMN_NAMES.slice(1)
  .map((name, index) => `${name} = $${index + 2}`)
  .join(', ');

export function entryValues(entry: NewEntry, parentId: string, version: number): SqlValue[] {
  const attributes: SqlValue[] = [
    entry.id,
    parentId,
    entry.name,
    entry.type,
    entry.mode,
    entry.owner,
    entry.group,
    entry.uid,
    entry.gid,
    entry.mtimeMs,
    entry.createdAtMs,
    version,
    entry.instanceId,
    entry.backendType,
  ];
  if (entry.type === 'directory') return [...attributes, null, null, null, null, null, null, null, null];
  const { contentId, sizeBytes, checksum, contentType, storageKey, storageStamp, etag, sha256 = null } = entry;
  return [...attributes, contentId, sizeBytes, checksum, contentType, storageKey, storageStamp, etag, sha256];
}

export function toEntry(row: SqlRow): Entry {
  const attributes = {
    id: text(row, 'id'),
    parentId: text(row, 'parent_id'),
    name: text(row, 'name'),
    mode: integer(row, 'mode'),
    owner: text(row, 'owner'),
    group: text(row, 'grp'),
    uid: integer(row, 'uid'),
    gid: integer(row, 'gid'),
    mtimeMs: integer(row, 'mtime_ms'),
    createdAtMs: integer(row, 'created_at_ms'),
    version: integer(row, 'version'),
    instanceId: text(row, 'instance_id'),
    backendType: text(row, 'backend_type') as BackendType,
  };
  if (row.type === 'directory') return { type: 'directory', ...attributes };
  return {
    type: 'file',
    ...attributes,
    ...toContent(row),
    contentType: optionalText(row, 'content_type'),
    etag: text(row, 'etag'),
  };
}

export function toFile(row: SqlRow): FileEntry {
  const entry = toEntry(row);
  if (entry.type !== 'file') throw new TypeError('The row holds no file.');
  return entry;
}

export function toOutboxItem(row: SqlRow): OutboxItem {
  const attributes = {
    seq: integer(row, 'seq'),
    instanceId: text(row, 'instance_id'),
    entryId: text(row, 'entry_id'),
    path: text(row, 'path') as VirtualPath,
    backendType: text(row, 'backend_type') as BackendType,
  };
  if (row.kind === 'discard') return { kind: 'discard', ...attributes, ...toContent(row) };
  const content = row.content_id === null ? undefined : toContent(row);
  return { kind: 'move', ...attributes, to: text(row, 'to_path') as VirtualPath, content };
}

export function toNote(row: SqlRow): Note {
  return { seq: integer(row, 'seq'), instanceId: text(row, 'instance_id'), entryId: text(row, 'entry_id') };
}

export function toInstance(row: SqlRow): InstanceRecord {
  return {
    id: text(row, 'id'),
    endpoint: text(row, 'endpoint'),
    publicUrl: text(row, 'public_url'),
    bootId: text(row, 'boot_id'),
    beat: integer(row, 'beat'),
    lastSeenMs: integer(row, 'last_seen_ms'),
    stopped: integer(row, 'stopped') !== 0,
    version: text(row, 'version'),
    process: text(row, 'process'),
    draining: integer(row, 'draining') !== 0,
    bucketId: text(row, 'bucket_id'),
  };
}

function toContent(row: SqlRow) {
  const sha256 = optionalText(row, 'sha256');
  return {
    contentId: text(row, 'content_id'),
    sizeBytes: integer(row, 'size_bytes'),
    checksum: text(row, 'checksum'),
    storageKey: optionalText(row, 'storage_key'),
    storageStamp: text(row, 'storage_stamp'),
    ...(sha256 === null ? {} : { sha256 }),
  };
}

export function text(row: SqlRow, column: string): string {
  const value = row[column];
  if (typeof value !== 'string') throw new TypeError(`Column ${column} holds no text.`);
  return value;
}

export function integer(row: SqlRow, column: string): number {
  const value = row[column];
  if (typeof value !== 'number') throw new TypeError(`Column ${column} holds no number.`);
  return value;
}

export function optionalText(row: SqlRow, column: string): string | null {
  const value = row[column];
  return typeof value === 'string' ? value : null;
}
