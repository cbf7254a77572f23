/** How an instance leaves the cluster: it takes no new files, its directories go over to others, its record goes. */
import type {
  HandOverDirectories,
  InstanceRecord,
  RemoveInstance,
  RemoveInstanceOutcome,
  SetDraining,
} from '../instance-store.ts';
import { noteAll } from './notes.ts';
import { integer, text } from './rows.ts';
import type { SqlTransaction } from './sql-database.ts';

export async function setDraining(tx: SqlTransaction, { instanceId, draining }: SetDraining): Promise<boolean> {
  const sql = 'UPDATE instances SET draining = $2 WHERE id = $1 RETURNING id';
  return (await tx.all(sql, [instanceId, draining ? 1 : 0])).length === 1;
}

export async function handOverDirectories(tx: SqlTransaction, request: HandOverDirectories): Promise<number> {
  const { from, to, limit } = request;
  const moved = await tx.all(
    `UPDATE entries SET instance_id = $2, version = version + 1
     WHERE id IN (SELECT id FROM entries WHERE type = 'directory' AND instance_id = $1 LIMIT $3) RETURNING id`,
    [from, to, limit],
  );
  await noteAll(
    tx,
    [from, to],
    moved.map((row) => text(row, 'id')),
  );
  return moved.length;
}

export async function removeInstance(tx: SqlTransaction, request: RemoveInstance): Promise<RemoveInstanceOutcome> {
  const { instanceId, expect, lostFiles, heir } = request;
  if (!(await isAsSeen(tx, instanceId, expect))) return { kind: 'changed' };
  const [heirRow] = await tx.all('SELECT id FROM instances WHERE id = $1', [heir]);
  if (!heirRow || heir === instanceId) return { kind: 'changed' };
  const ofInstance = "FROM entries WHERE type = 'file' AND instance_id = $1";
  const [held] = await tx.all(`SELECT COUNT(*) AS files ${ofInstance}`, [instanceId]);
  const files = held ? integer(held, 'files') : 0;
  if (files !== lostFiles) return { kind: 'holds-files', files };
  if (files > 0) await tx.all(`DELETE ${ofInstance}`, [instanceId]);
  const directories = await tx.all(
    `UPDATE entries SET instance_id = $2, version = version + 1
     WHERE type = 'directory' AND instance_id = $1 RETURNING id`,
    [instanceId, heir],
  );
  await noteAll(
    tx,
    [heir],
    directories.map((row) => text(row, 'id')),
  );
  await tx.all('DELETE FROM notes WHERE instance_id = $1', [instanceId]);
  await handOverBucket(tx, instanceId);
  await tx.all('DELETE FROM outbox WHERE instance_id = $1', [instanceId]);
  await tx.all('DELETE FROM uploads WHERE instance_id = $1', [instanceId]);
  await tx.all('DELETE FROM instances WHERE id = $1', [instanceId]);
  return { kind: 'removed', files, directories: directories.length };
}

/** What the instance had to remove from a bucket that another one has, too, that one removes. */
async function handOverBucket(tx: SqlTransaction, instanceId: string): Promise<void> {
  const [sharer] = await tx.all(
    `SELECT other.id FROM instances AS own JOIN instances AS other ON other.bucket_id = own.bucket_id
     WHERE own.id = $1 AND other.id <> $1 AND own.bucket_id <> '' ORDER BY other.stopped, other.draining, other.id LIMIT 1`,
    [instanceId],
  );
  if (!sharer) return;
  const sql = "UPDATE outbox SET instance_id = $2 WHERE instance_id = $1 AND kind = 'discard' AND backend_type = 's3'";
  await tx.all(sql, [instanceId, text(sharer, 'id')]);
}

type Seen = Pick<InstanceRecord, 'bootId' | 'beat'> | undefined;

/** Whether nobody has taken the id, or shown a sign of life, since it was judged to be dead. */
async function isAsSeen(tx: SqlTransaction, instanceId: string, expect: Seen): Promise<boolean> {
  const [row] = await tx.all('SELECT boot_id, beat FROM instances WHERE id = $1', [instanceId]);
  return row?.boot_id === expect?.bootId && row?.beat === expect?.beat;
}
