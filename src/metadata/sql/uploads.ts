/** The table of resumable uploads. */
import type { ChangeUpload, NewUpload, UploadRecord } from '../upload-store.ts';
import { integer, text } from './rows.ts';
import type { SqlRow, SqlTransaction } from './sql-database.ts';

export function toUpload(row: SqlRow): UploadRecord {
  return {
    id: text(row, 'id'),
    userName: text(row, 'user_name'),
    instanceId: text(row, 'instance_id'),
    lengthBytes: row.length_bytes === null ? undefined : integer(row, 'length_bytes'),
    metadata: text(row, 'metadata'),
    concat: row.concat === null ? undefined : text(row, 'concat'),
    expiresAtMs: integer(row, 'expires_at_ms'),
    finished: integer(row, 'finished') !== 0,
  };
}

export async function addUpload(tx: SqlTransaction, upload: NewUpload): Promise<void> {
  const { id, userName, instanceId, lengthBytes, metadata, concat, expiresAtMs } = upload;
  await tx.all(
    `INSERT INTO uploads (id, user_name, instance_id, length_bytes, metadata, concat, expires_at_ms)
     VALUES ($1, $2, $3, $4, $5, $6, $7)`,
    [id, userName, instanceId, lengthBytes ?? null, metadata, concat ?? null, expiresAtMs],
  );
}

export async function changeUpload(tx: SqlTransaction, request: ChangeUpload): Promise<boolean> {
  const { id, expiresAtMs, lengthBytes, metadata } = request;
  const changed = await tx.all(
    `UPDATE uploads SET expires_at_ms = $2, length_bytes = COALESCE($3, length_bytes), metadata = COALESCE($4, metadata)
     WHERE id = $1 AND finished = 0 RETURNING id`,
    [id, expiresAtMs, lengthBytes ?? null, metadata ?? null],
  );
  return changed.length === 1;
}

export async function removeUpload(tx: SqlTransaction, id: string): Promise<boolean> {
  return (await tx.all('DELETE FROM uploads WHERE id = $1 RETURNING id', [id])).length === 1;
}

/** Whether an upload can still become a content; true for a content that is of no upload. */
export async function isUnfinished(tx: SqlTransaction, id: string | undefined): Promise<boolean> {
  if (id === undefined) return true;
  return (await tx.all('SELECT id FROM uploads WHERE id = $1 AND finished = 0', [id])).length === 1;
}

/** In the transaction that commits its content, so that no content is committed twice. */
export async function finishUpload(tx: SqlTransaction, id: string | undefined): Promise<void> {
  if (id !== undefined) await tx.all('UPDATE uploads SET finished = 1 WHERE id = $1', [id]);
}
