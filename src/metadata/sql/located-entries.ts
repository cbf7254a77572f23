/** Statements that give entries with everything above them, and how their rows are put together. */
import { type DirectoryEntry, type Entry, ROOT_ID } from '../../core/entry.ts';
import type { DirectoryAbove, LocatedEntry } from '../../core/located-entry.ts';
import { pathOfNames } from '../../core/virtual-path.ts';
import { UNPLACED_ID } from '../rebuild-store.ts';
import { ENTRY_COLUMNS, entryColumnsOf, text, toEntry } from './rows.ts';
import type { SqlRow, SqlValue } from './sql-database.ts';

/** Entries found by one statement: a few fixed sizes keep the number of prepared statements small. */
const SIZES = [1, 8, 64];

export interface Statement {
  readonly sql: string;
  readonly values: readonly SqlValue[];
}

/** Statements that together find the entries in which a column has one of these values. */
export function* locateBy(
  column: 'id' | 'content_id' | 'storage_key',
  wanted: readonly string[],
): Generator<Statement> {
  for (let at = 0; at < wanted.length; ) {
    const rest = wanted.length - at;
    const size = SIZES.find((candidate) => candidate >= rest) ?? Math.max(...SIZES);
    const values = Array.from({ length: size }, (_, index) => wanted[at + index] ?? '');
    const list = values.map((_, index) => `$${index + 1}`).join(', ');
    yield { sql: withAllAbove(`${column} IN (${list})`), values };
    at += size;
  }
}

/** Those of an instance with ids greater than the first and up to the second. */
export const LOCATE_HOLDINGS = withAllAbove('instance_id = $1 AND id > $2 AND id <= $3');

export const LOCATE_PLACEHOLDERS = withAllAbove(
  `id IN (SELECT id FROM entries WHERE type = 'directory' AND version = 0 AND id > $1
          AND id <> '${ROOT_ID}' AND id <> '${UNPLACED_ID}'
          AND NOT EXISTS (SELECT 1 FROM merged_directories AS made WHERE made.id = entries.id AND made.into_id = made.id)
          ORDER BY id LIMIT $2)`,
);

/** Each entry and all above it but the root, from the top down. */
function withAllAbove(condition: string): string {
  return `
    WITH RECURSIVE up AS (
      SELECT id AS lowest_id, 0 AS height, ${ENTRY_COLUMNS} FROM entries WHERE ${condition}
      UNION ALL
      SELECT up.lowest_id, up.height + 1, ${entryColumnsOf('e')} FROM up JOIN entries AS e ON e.id = up.parent_id
      WHERE up.id <> '${ROOT_ID}'
    ) SELECT * FROM up WHERE id <> '${ROOT_ID}' OR height = 0 ORDER BY lowest_id, height DESC`;
}

export function toLocatedEntries(rows: readonly SqlRow[]): LocatedEntry[] {
  const located: LocatedEntry[] = [];
  let above: DirectoryAbove[] = [];
  for (const row of rows) {
    if (row.height !== 0) {
      above.push({ id: text(row, 'id'), name: text(row, 'name'), instanceId: text(row, 'instance_id') });
      continue;
    }
    located.push(locate(toEntry(row), above));
    above = [];
  }
  return located;
}

export function locate(entry: Entry | DirectoryEntry, above: readonly DirectoryAbove[]): LocatedEntry {
  const names = above.map(({ name }) => name);
  return { entry, path: pathOfNames(entry.id === ROOT_ID ? [] : [...names, entry.name]), above };
}
