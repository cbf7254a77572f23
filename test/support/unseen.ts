/** What nobody may see: the place in which copies of trees are made. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TestCluster } from './cluster.ts';
import { queryStore } from './test-store.ts';
import { waitFor } from './wait-for.ts';

/** Entries of copies that are being made, or that were given up. */
export async function unseenEntries({ folder }: TestCluster): Promise<readonly unknown[]> {
  return queryStore(
    folder,
    `WITH RECURSIVE unseen (id, name) AS (
       SELECT id, name FROM entries WHERE name = '.callfs' AND parent_id = 'root'
       UNION ALL
       SELECT e.id, e.name FROM unseen JOIN entries AS e ON e.parent_id = unseen.id
     ) SELECT name FROM unseen WHERE name NOT IN ('.callfs', 'copies')`,
  );
}

/** Neither the namespace nor a disk has anything of a copy that nobody sees. */
export async function assertNothingUnseen(cluster: TestCluster): Promise<void> {
  await waitFor('unfinished copies to go', async () => (await unseenEntries(cluster)).length === 0).catch(() => {});
  assert.deepEqual(await unseenEntries(cluster), []);
  for (const { dataRoot, id } of cluster.instances) {
    const left = (): string[] => {
      try {
        return readdirSync(join(dataRoot, '.callfs', 'copies'), { recursive: true }).map(String);
      } catch {
        return [];
      }
    };
    await waitFor('the disk to have none of it', () => left().length === 0).catch(() => {});
    assert.deepEqual(left(), [], `unfinished copies on the disk of ${id}`);
  }
}
