/** Where a content lies and which instance answers for it, changed without anything that clients see. */
import { pathOfNames } from '../../core/virtual-path.ts';
import type {
  Announcement,
  AnnouncePlace,
  ContentPlace,
  RelocateContent,
  TakeOverEntry,
} from '../content-place-store.ts';
import { addToOutbox, discard, namesUpTo, updateEntry } from './entry-table.ts';
import { note } from './notes.ts';
import { ENTRY_COLUMNS, toEntry } from './rows.ts';
import type { SqlTransaction } from './sql-database.ts';

/** Only reads. @see countFiles */
export async function holdsFiles(tx: SqlTransaction, { instanceId, backendType }: ContentPlace): Promise<boolean> {
  const sql = "SELECT 1 AS held FROM entries WHERE type = 'file' AND instance_id = $1 AND backend_type = $2 LIMIT 1";
  return (await tx.all(sql, [instanceId, backendType])).length > 0;
}

export async function announcePlace(tx: SqlTransaction, request: AnnouncePlace): Promise<Announcement> {
  const { instanceId, contentId, key } = request;
  const garbage = "SELECT seq FROM outbox WHERE content_id = $1 AND storage_key = $2 AND kind = 'discard' LIMIT 1";
  if ((await tx.all(garbage, [contentId, key])).length > 0) return { kind: 'busy' };
  const [row] = await tx.all(`SELECT ${ENTRY_COLUMNS} FROM entries WHERE content_id = $1`, [contentId]);
  const found = row && toEntry(row);
  const names = found && (await namesUpTo(tx, found.id));
  if (found?.type !== 'file' || !names) return { kind: 'gone' };
  const file = { ...found, instanceId, storageKey: key, storageStamp: '' };
  const seq = await addToOutbox(tx, { kind: 'discard', file, path: pathOfNames(names), to: null });
  return { kind: 'announced', seq };
}

export async function relocateContent(tx: SqlTransaction, request: RelocateContent): Promise<boolean> {
  const { contentId, fromKey, toKey, storageStamp, announced } = request;
  const [row] = await tx.all(`SELECT ${ENTRY_COLUMNS} FROM entries WHERE content_id = $1`, [contentId]);
  const file = row && toEntry(row);
  if (file?.type !== 'file' || file.storageKey !== fromKey) return false;
  if (announced !== undefined) await tx.all('DELETE FROM outbox WHERE seq = $1', [announced]);
  // What lies under the old key is garbage from now on, also if the instance dies before it has removed it.
  if (fromKey !== toKey) await discard(tx, file);
  await updateEntry(tx, { ...file, storageKey: toKey, storageStamp });
  await note(tx, file);
  return true;
}

export async function takeOverEntry(tx: SqlTransaction, { entryId, from, to }: TakeOverEntry): Promise<boolean> {
  // A new version: of what two catalogs say of an entry the later counts.
  const taken = await tx.all(
    `UPDATE entries SET instance_id = $3, version = version + 1
     WHERE id = $1 AND instance_id = $2 AND type = 'file' AND backend_type <> 'localfs' RETURNING id`,
    [entryId, from, to],
  );
  if (taken.length === 0) return false;
  await note(tx, { id: entryId, instanceId: from });
  await note(tx, { id: entryId, instanceId: to });
  return true;
}
