/** The statement that walks down a path on PostgreSQL: one for paths of any length, because it takes all names as one array. */
import { ROOT_ID } from '../../core/entry.ts';
import { ENTRY_COLUMNS, entryColumnsOf } from './rows.ts';

/**
 * The entries from the root to the deepest of the names in `$1` (an array of text) that exists, in this order. LIMIT keeps
 * the planner from joining with the whole table, as it would while that has grown faster than its statistics.
 */
export const RESOLVE = `
  WITH RECURSIVE walk AS (
    SELECT 0 AS depth, ${ENTRY_COLUMNS} FROM entries WHERE id = '${ROOT_ID}'
    UNION ALL
    SELECT walk.depth + 1, ${entryColumnsOf('step')} FROM walk CROSS JOIN LATERAL (
      SELECT ${ENTRY_COLUMNS} FROM entries AS e
      WHERE e.parent_id = walk.id AND e.name = ($1::text[])[walk.depth + 1] LIMIT 1
    ) AS step
  ) SELECT * FROM walk ORDER BY depth`;

/** An array of text as PostgreSQL reads it. */
export function textArray(items: readonly string[]): string {
  return `{${items.map((item) => `"${item.replace(/["\\]/g, '\\$&')}"`).join(',')}}`;
}
