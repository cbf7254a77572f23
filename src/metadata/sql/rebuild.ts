/** The changes that bring a lost namespace back, beside the entries themselves. */
import { ROOT_ID } from '../../core/entry.ts';
import {
  type BeginRebuild,
  type EndRebuild,
  type Misplacement,
  PLACEHOLDER_MODE,
  type RestoreEntries,
  type RestoreOutcome,
  UNPLACED_ID,
} from '../rebuild-store.ts';
import { restoreEntries as restore } from '../restore-entries.ts';
import { note } from './notes.ts';
import { SqlRestoreRows } from './restore-rows.ts';
import { text } from './rows.ts';
import type { SqlTransaction } from './sql-database.ts';

export async function beginRebuild(tx: SqlTransaction, { instanceId, nowMs }: BeginRebuild): Promise<boolean> {
  const begun = await tx.all('SELECT instance_id FROM rebuilds LIMIT 1', []);
  if (begun.length === 0) {
    const [entry] = await tx.all(`SELECT id FROM entries WHERE id <> '${ROOT_ID}' LIMIT 1`, []);
    if (entry) return false;
    // A root that a new store made by itself gives way to the one that was.
    await tx.all(`UPDATE entries SET version = 0, mode = $1 WHERE id = '${ROOT_ID}'`, [PLACEHOLDER_MODE]);
    await new SqlRestoreRows(tx).merge(ROOT_ID, ROOT_ID);
  }
  await tx.all(
    `INSERT INTO rebuilds (instance_id, finished) VALUES ($1, 0)
     ON CONFLICT (instance_id) DO UPDATE SET finished = 0`,
    [instanceId],
  );
  await tx.all(
    `INSERT INTO instances (id, endpoint, public_url, boot_id, beat, last_seen_ms, stopped, version, process)
     VALUES ($1, '', '', '', 0, $2, 1, '', '') ON CONFLICT DO NOTHING`,
    [instanceId, nowMs],
  );
  return true;
}

export function restoreEntries(tx: SqlTransaction, { entries }: RestoreEntries): Promise<readonly RestoreOutcome[]> {
  return restore(new SqlRestoreRows(tx), entries);
}

export async function moveToPlaces(tx: SqlTransaction, files: readonly Misplacement[]): Promise<void> {
  for (const { instanceId, entryId, backendType, path, to, content } of files) {
    const { contentId, sizeBytes, checksum, storageKey, storageStamp } = content;
    await tx.all(
      `INSERT INTO outbox (kind, instance_id, entry_id, path, to_path, backend_type, content_id, size_bytes, checksum,
         storage_key, storage_stamp) VALUES ('move', $1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
      [instanceId, entryId, path, to, backendType, contentId, sizeBytes, checksum, storageKey, storageStamp],
    );
  }
}

export async function finishRebuild(tx: SqlTransaction, instanceId: string): Promise<void> {
  await tx.all('UPDATE rebuilds SET finished = 1 WHERE instance_id = $1', [instanceId]);
  await removeUnplacedIfEmpty(tx);
}

async function removeUnplacedIfEmpty(tx: SqlTransaction): Promise<void> {
  await tx.all(
    `DELETE FROM entries WHERE id = '${UNPLACED_ID}'
     AND NOT EXISTS (SELECT 1 FROM entries AS child WHERE child.parent_id = '${UNPLACED_ID}')`,
    [],
  );
}

export async function endRebuild(tx: SqlTransaction, { instanceId, nowMs }: EndRebuild): Promise<number> {
  await tx.all(
    `UPDATE entries SET parent_id = '${ROOT_ID}', name = 'recovered-' || name WHERE parent_id = '${UNPLACED_ID}'`,
    [],
  );
  await removeUnplacedIfEmpty(tx);
  const ended = await tx.all(
    `UPDATE entries SET instance_id = $1, mtime_ms = $2, created_at_ms = $2
     WHERE type = 'directory' AND version = 0 AND id NOT IN ('${ROOT_ID}', '${UNPLACED_ID}')
     AND NOT EXISTS (SELECT 1 FROM merged_directories AS made WHERE made.id = entries.id AND made.into_id = made.id)
     RETURNING id`,
    [instanceId, nowMs],
  );
  const rows = new SqlRestoreRows(tx);
  for (const row of ended) await rows.merge(text(row, 'id'), text(row, 'id'));
  const root = await tx.all(
    `UPDATE entries SET version = 1, instance_id = $1, mtime_ms = $2, created_at_ms = $2
     WHERE id = '${ROOT_ID}' AND version = 0 RETURNING id`,
    [instanceId, nowMs],
  );
  for (const row of [...ended, ...root]) await note(tx, { instanceId, id: text(row, 'id') });
  return ended.length + root.length;
}

export async function identify(tx: SqlTransaction, candidate: string): Promise<string> {
  await tx.all('INSERT INTO store_identity (only_row, store_id) VALUES (1, $1) ON CONFLICT DO NOTHING', [candidate]);
  const [row] = await tx.all('SELECT store_id FROM store_identity', []);
  if (!row) throw new Error('The store has no identity.');
  return text(row, 'store_id');
}
