/** Notes: what is left for an instance when a commit changed an entry and left it nothing else to do about it. */
import type { Entry } from '../../core/entry.ts';
import type { SqlTransaction } from './sql-database.ts';

/** @param entry as its instance knows it: before the change, when it goes away or to another instance */
export async function note(tx: SqlTransaction, { instanceId, id }: Pick<Entry, 'instanceId' | 'id'>): Promise<void> {
  // The root has no maker before the first instance.
  if (instanceId === '') return;
  await tx.all('INSERT INTO notes (instance_id, entry_id) VALUES ($1, $2)', [instanceId, id]);
}

const NOTED_AT_ONCE = 64;

/** The same for many entries that concern each of these instances. */
export async function noteAll(
  tx: SqlTransaction,
  instanceIds: readonly string[],
  entryIds: readonly string[],
): Promise<void> {
  for (const instanceId of instanceIds) {
    for (let at = 0; at < entryIds.length; at += NOTED_AT_ONCE) {
      const some = entryIds.slice(at, at + NOTED_AT_ONCE);
      const rows = some.map((_, index) => `($1, $${index + 2})`).join(', ');
      await tx.all(`INSERT INTO notes (instance_id, entry_id) VALUES ${rows}`, [instanceId, ...some]);
    }
  }
}

const FORGOTTEN_AT_ONCE = 64;

export async function forgetNotes(tx: SqlTransaction, seqs: readonly number[]): Promise<void> {
  const list = Array.from({ length: FORGOTTEN_AT_ONCE }, (_, index) => `$${index + 1}`).join(', ');
  for (let at = 0; at < seqs.length; at += FORGOTTEN_AT_ONCE) {
    const some = Array.from({ length: FORGOTTEN_AT_ONCE }, (_, index) => seqs[at + index] ?? -1);
    await tx.all(`DELETE FROM notes WHERE seq IN (${list})`, some);
  }
}
