/** The directories of a tree by one statement, which sees one moment. */
import { ROOT_ID } from '../../core/entry.ts';
import type { DirectoryTree } from '../metadata-store.ts';
import { text } from './rows.ts';
import type { SqlDatabase } from './sql-database.ts';

// The root is its own child in the table.
const READ_DIRECTORIES = `
  WITH RECURSIVE tree (level, id, parent_id, name) AS (
    SELECT 0, id, parent_id, name FROM entries WHERE id = $1
    UNION ALL
    SELECT tree.level + 1, e.id, e.parent_id, e.name FROM tree JOIN entries AS e ON e.parent_id = tree.id
    WHERE e.type = 'directory' AND e.id <> '${ROOT_ID}' AND tree.level < $2
  ) SELECT id, parent_id, name FROM tree WHERE level > 0
    UNION ALL SELECT '', '', CAST(version AS TEXT) FROM entries WHERE id = '${ROOT_ID}'`;

export async function readDirectories(database: SqlDatabase, topId: string, depth: number): Promise<DirectoryTree> {
  const rows = await database.read(READ_DIRECTORIES, [topId, depth], 'long');
  const isVersion = (row: (typeof rows)[number]): boolean => row.id === '';
  const directories = rows
    .filter((row) => !isVersion(row))
    .map((row) => ({ id: text(row, 'id'), parentId: text(row, 'parent_id'), name: text(row, 'name') }));
  return { directories, pathsVersion: Number(rows.find(isVersion)?.name ?? 0) };
}
