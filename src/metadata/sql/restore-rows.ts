/** The table of entries as bringing entries back needs it. */
import type { Entry } from '../../core/entry.ts';
import type { RestoreRows } from '../restore-rows.ts';
import { findChild, removeEntryRow, updateEntry } from './entry-table.ts';
import { ENTRY_COLUMN_COUNT, ENTRY_COLUMNS, entryValues, text, toEntry } from './rows.ts';
import type { SqlRow, SqlTransaction } from './sql-database.ts';

/** Rows in one statement: a few fixed sizes keep the number of prepared statements small. */
const SIZES = [64, 8, 1];

export class SqlRestoreRows implements RestoreRows {
  readonly #tx: SqlTransaction;

  constructor(tx: SqlTransaction) {
    this.#tx = tx;
  }

  async findAll(ids: readonly string[]): Promise<readonly Entry[]> {
    const found = await this.#select(ids, (list) => `SELECT ${ENTRY_COLUMNS} FROM entries WHERE id IN (${list})`);
    return found.map(toEntry);
  }

  findChild(parentId: string, name: string): Promise<Entry | undefined> {
    return findChild(this.#tx, parentId, name);
  }

  async listChildren(directoryId: string): Promise<readonly Entry[]> {
    const sql = `SELECT ${ENTRY_COLUMNS} FROM entries WHERE parent_id = $1`;
    return (await this.#tx.all(sql, [directoryId])).map(toEntry);
  }

  async insertAll(entries: readonly Entry[]): Promise<ReadonlySet<string>> {
    const inserted = new Set<string>();
    for (const some of inSizes(entries)) {
      const values = some.flatMap((entry) => entryValues(entry, entry.parentId, entry.version));
      for (const row of await this.#tx.all(insertStatement(some.length), values)) inserted.add(text(row, 'id'));
    }
    return inserted;
  }

  update(entry: Entry): Promise<void> {
    return updateEntry(this.#tx, entry);
  }

  async remove(entryId: string): Promise<void> {
    await removeEntryRow(this.#tx, entryId);
  }

  async findMerged(directoryIds: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const found = await this.#select(
      directoryIds,
      (list) => `SELECT id, into_id FROM merged_directories WHERE id IN (${list})`,
    );
    return new Map(found.map((row) => [text(row, 'id'), text(row, 'into_id')]));
  }

  async merge(directoryId: string, intoId: string): Promise<void> {
    await this.#tx.all(
      `INSERT INTO merged_directories (id, into_id) VALUES ($1, $2)
       ON CONFLICT (id) DO UPDATE SET into_id = excluded.into_id`,
      [directoryId, intoId],
    );
  }

  async unmerge(directoryId: string): Promise<void> {
    await this.#tx.all('DELETE FROM merged_directories WHERE id = $1', [directoryId]);
  }

  async #select(ids: readonly string[], statement: (list: string) => string): Promise<SqlRow[]> {
    const found: SqlRow[] = [];
    for (const some of inSizes(ids)) {
      const list = some.map((_, index) => `$${index + 1}`).join(', ');
      found.push(...(await this.#tx.all(statement(list), some)));
    }
    return found;
  }
}

function* inSizes<T>(items: readonly T[]): Generator<readonly T[]> {
  let at = 0;
  for (const size of SIZES) {
    for (; items.length - at >= size; at += size) yield items.slice(at, at + size);
  }
}

function insertStatement(count: number): string {
  const rows = Array.from({ length: count }, (_, row) => {
    const values = Array.from(
      { length: ENTRY_COLUMN_COUNT },
      (_, column) => `$${row * ENTRY_COLUMN_COUNT + column + 1}`,
    );
    return `(${values.join(', ')})`;
  });
  return `INSERT INTO entries (${ENTRY_COLUMNS}) VALUES ${rows.join(', ')} ON CONFLICT DO NOTHING RETURNING id`;
}
