/** Single rows of the tables inside a transaction: found, added, written. What they mean is decided by the mutations. */
import { type Entry, type FileEntry, ROOT_ID } from '../../core/entry.ts';
import { pathOfNames, type VirtualPath } from '../../core/virtual-path.ts';
import { isFollowedByDisk } from '../followed-by-disk.ts';
import type { NewEntry, OutboxItem } from '../metadata-store.ts';
import { note } from './notes.ts';
import { ENTRY_ASSIGNMENTS, ENTRY_COLUMNS, ENTRY_PLACEHOLDERS, entryValues, integer, text, toEntry } from './rows.ts';
import type { SqlTransaction } from './sql-database.ts';

const INSERT_ENTRY = `
  INSERT INTO entries (${ENTRY_COLUMNS}) SELECT ${ENTRY_PLACEHOLDERS}
  WHERE EXISTS (SELECT 1 FROM entries WHERE id = $2 AND type = 'directory')
  ON CONFLICT DO NOTHING RETURNING version`;

/** False when the name is taken or the parent is no directory any more. */
export async function insertEntry(tx: SqlTransaction, entry: NewEntry, parentId: string): Promise<boolean> {
  return (await tx.all(INSERT_ENTRY, entryValues(entry, parentId, 1))).length === 1;
}

const UPDATE_ENTRY = `UPDATE entries SET ${ENTRY_ASSIGNMENTS} WHERE id = $1`;

/** Writes the whole entry, but for its id. */
export async function updateEntry(tx: SqlTransaction, entry: Entry): Promise<void> {
  await tx.all(UPDATE_ENTRY, entryValues(entry, entry.parentId, entry.version));
}

export async function findEntry(tx: SqlTransaction, entryId: string): Promise<Entry | undefined> {
  const [row] = await tx.all(`SELECT ${ENTRY_COLUMNS} FROM entries WHERE id = $1`, [entryId]);
  return row && toEntry(row);
}

export async function findFile(tx: SqlTransaction, entryId: string): Promise<FileEntry | undefined> {
  const entry = await findEntry(tx, entryId);
  return entry?.type === 'file' ? entry : undefined;
}

export async function findChild(tx: SqlTransaction, parentId: string, name: string): Promise<Entry | undefined> {
  const sql = `SELECT ${ENTRY_COLUMNS} FROM entries WHERE parent_id = $1 AND name = $2`;
  const [row] = await tx.all(sql, [parentId, name]);
  return row && toEntry(row);
}

export async function discard(tx: SqlTransaction, file: FileEntry): Promise<void> {
  const names = await namesUpTo(tx, file.id);
  if (names) await addToOutbox(tx, { kind: 'discard', file, path: pathOfNames(names), to: null });
  if (!isFollowedByDisk(file)) await note(tx, file);
}

export interface NewOutboxItem {
  readonly kind: OutboxItem['kind'];
  readonly file: FileEntry;
  readonly path: VirtualPath;
  readonly to: VirtualPath | null;
}

/** @returns its number */
export async function addToOutbox(tx: SqlTransaction, { kind, file, path, to }: NewOutboxItem): Promise<number> {
  const [row] = await tx.all(
    `INSERT INTO outbox (kind, instance_id, entry_id, path, to_path, backend_type, content_id, size_bytes, checksum,
       storage_key, storage_stamp) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING seq`,
    [
      kind,
      file.instanceId,
      file.id,
      path,
      to,
      file.backendType,
      file.contentId,
      file.sizeBytes,
      file.checksum,
      file.storageKey,
      file.storageStamp,
    ],
  );
  return row ? integer(row, 'seq') : 0;
}

/** The names from the top down to an entry; undefined when it is gone. */
export async function namesUpTo(tx: SqlTransaction, entryId: string): Promise<string[] | undefined> {
  const rows = await tx.all(
    `WITH RECURSIVE up (id, parent_id, name, height) AS (
       SELECT id, parent_id, name, 0 FROM entries WHERE id = $1
       UNION ALL
       SELECT e.id, e.parent_id, e.name, up.height + 1 FROM up JOIN entries AS e ON e.id = up.parent_id
       WHERE up.id <> '${ROOT_ID}'
     ) SELECT name FROM up WHERE id <> '${ROOT_ID}' ORDER BY height DESC`,
    [entryId],
  );
  return rows.length === 0 ? undefined : rows.map((row) => text(row, 'name'));
}

/** False when the entry has children. */
export async function removeEntryRow(tx: SqlTransaction, entryId: string): Promise<boolean> {
  // The foreign key stands behind NOT EXISTS: a child that another transaction commits meanwhile makes this one fail.
  const removed = await tx.all(
    `DELETE FROM entries WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM entries AS child WHERE child.parent_id = $1)
     RETURNING 1`,
    [entryId],
  );
  return removed.length === 1;
}
