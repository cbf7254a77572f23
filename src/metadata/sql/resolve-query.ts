/** The entries on the way to a path, by one statement. */
import { ROOT_ID } from '../../core/entry.ts';
import { ENTRY_COLUMNS, entryColumnsOf } from './rows.ts';

/** Names in one statement: a few fixed sizes keep clients from filling the memory with prepared statements. */
const RESOLVE_SIZES = [0, 1, 2, 3, 4, 6, 8, 16, 32, 64, 128, 256, 512, 1024, 2048];
const resolveStatements = new Map<number, string>();

/** What finds the entries from the root down to the deepest that exists, in this order. */
export function resolveQuery(names: readonly string[]): { sql: string; values: (string | null)[] } {
  const size = RESOLVE_SIZES.find((candidate) => candidate >= names.length) ?? names.length;
  return { sql: resolveStatement(size), values: Array.from({ length: size }, (_, index) => names[index] ?? null) };
}

/** A statement for a path of up to `size` names: it walks down from the root and stops where a name is missing or null. */
function resolveStatement(size: number): string {
  const known = resolveStatements.get(size);
  if (known !== undefined) return known;
  const steps = Array.from({ length: size }, (_, index) => `(${index + 1}, $${index + 1})`).join(', ');
  // CROSS JOIN keeps SQLite to this order; for long paths it would go through all children of a directory instead.
  const sql =
    size === 0
      ? `SELECT ${ENTRY_COLUMNS} FROM entries WHERE id = '${ROOT_ID}'`
      : `WITH RECURSIVE step (depth, name) AS (VALUES ${steps}),
         walk AS (
           SELECT 0 AS depth, ${entryColumnsOf('e')} FROM entries AS e WHERE e.id = '${ROOT_ID}'
           UNION ALL
           SELECT step.depth, ${entryColumnsOf('e')} FROM walk CROSS JOIN step CROSS JOIN entries AS e
           WHERE step.depth = walk.depth + 1 AND e.parent_id = walk.id AND e.name = step.name
         ) SELECT * FROM walk ORDER BY depth`;
  resolveStatements.set(size, sql);
  return sql;
}
