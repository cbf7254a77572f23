/** The SQL store on SQLite keeps the contract; beside it what only a database file can do wrong. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, describe, it } from 'node:test';
import { ROOT_ID } from '../../core/entry.ts';
import { contentPlacesContract } from '../content-places.contract.ts';
import { leavingContract } from '../leaving.contract.ts';
import { linksContract } from '../links.contract.ts';
import { longWorkContract } from '../long-work.contract.ts';
import { alice, createAt, metadataStoreContract, sampleContent, sampleFile } from '../metadata-store.contract.ts';
import type { MetadataStore } from '../metadata-store.ts';
import { movingContract } from '../moving.contract.ts';
import { rebuildStoreContract } from '../rebuild-store.contract.ts';
import { uploadsContract } from '../uploads.contract.ts';
import { mutations } from './mutations.ts';
import type { SqlRow, SqlTransaction, SqlValue } from './sql-database.ts';
import { SqlMetadataStore } from './sql-metadata-store.ts';
import { openSqlite } from './sqlite-database.ts';

const folder = mkdtempSync(join(tmpdir(), 'callfs-sqlite-'));
after(() => rmSync(folder, { recursive: true }));

let files = 0;
const newPath = (): string => join(folder, `${++files}`, 'callfs.sqlite3');
const openAt = async (path: string): Promise<MetadataStore> =>
  new SqlMetadataStore(await openSqlite({ path, durability: 'full' }));

let lastPath = '';
metadataStoreContract(
  'SqlMetadataStore on SQLite',
  () => {
    lastPath = newPath();
    return openAt(lastPath);
  },
  { reopen: () => openAt(lastPath) },
);
leavingContract('SqlMetadataStore on SQLite', () => openAt(newPath()));
longWorkContract('SqlMetadataStore on SQLite', () => openAt(newPath()));
contentPlacesContract('SqlMetadataStore on SQLite', () => openAt(newPath()));
uploadsContract('SqlMetadataStore on SQLite', () => openAt(newPath()));
movingContract(
  'SqlMetadataStore on SQLite',
  () => {
    lastPath = newPath();
    return openAt(lastPath);
  },
  { reopen: () => openAt(lastPath) },
);

rebuildStoreContract('SqlMetadataStore on SQLite', () => {
  lastPath = newPath();
  return openAt(lastPath);
});
linksContract(
  'SqlMetadataStore on SQLite',
  () => {
    lastPath = newPath();
    return openAt(lastPath);
  },
  () => openAt(lastPath),
);

describe('A SQLite file', () => {
  it('is refused with its path and the reason when it is no database', async () => {
    const path = join(folder, 'notes.txt');
    writeFileSync(path, 'This is not a database, but it is long enough to have a header.\n'.repeat(100));
    await assert.rejects(openAt(path), (error: Error) => {
      assert.match(error.message, /notes\.txt/);
      assert.match(error.message, /not a database/);
      return true;
    });
  });

  it('is refused with its path and the reason when it is a directory', async () => {
    await assert.rejects(openAt(folder), (error: Error) => {
      assert.ok(error.message.includes(folder));
      assert.match(error.message, /unable to open/);
      return true;
    });
  });

  it('is migrated once, whatever opens it later', async () => {
    const path = newPath();
    for (let round = 0; round < 3; round++) await (await openAt(path))[Symbol.asyncDispose]();
    using database = new DatabaseSync(path);
    const folder = new URL('migrations/', import.meta.url);
    const all = readdirSync(folder).map((name) => Number(name.slice(0, 3)));
    assert.deepEqual(migrationsOf(database), all.sort());
  });

  it('refuses by itself to remove a directory that has children, and children without a directory', async () => {
    const path = newPath();
    await using store = await openAt(path);
    await createAt(store, ['folder'], sampleFile('file'));
    using database = new DatabaseSync(path);
    assert.throws(() => database.exec("DELETE FROM entries WHERE name = 'folder'"), /FOREIGN KEY/);
    assert.throws(() => database.exec("UPDATE entries SET parent_id = 'never' WHERE name = 'file'"), /FOREIGN KEY/);
  });
});

describe('A statement', () => {
  it('that resolves a path looks every name up by the primary key', async () => {
    for (const depth of [1, 2, 3, 4, 5, 8, 9, 40, 2047]) {
      const plan = await planOf((store) => store.resolve(Array.from({ length: depth }, () => 'a')));
      assert.ok(plan.includes('SEARCH e USING PRIMARY KEY (parent_id=? AND name=?)'), plan.join('\n'));
      assertNoScanOfTable(plan);
    }
  });

  it('that lists a page starts at its first name and sorts nothing', async () => {
    for (const afterName of [undefined, 'm']) {
      const plan = await planOf((store) => store.listChildren(ROOT_ID, afterName, 100));
      assert.deepEqual(plan, ['SEARCH entries USING PRIMARY KEY (parent_id=? AND name>?)']);
    }
  });

  it('that locates contents goes by their ids', async () => {
    const plan = await planOf((store) => store.locateContents(['a', 'b', 'c']));
    assert.ok(
      plan.some((step) => /^SEARCH entries USING .*\(content_id=\?\)$/.test(step)),
      plan.join('\n'),
    );
    assert.ok(
      plan.some((step) => /^SEARCH e USING .*\(id=\?\)$/.test(step)),
      plan.join('\n'),
    );
    assertNoScanOfTable(plan);
  });

  it('that lists what an instance has to remove goes by the instance', async () => {
    const plan = await planOf((store) => store.listOutbox('instance-1', 10));
    assert.deepEqual(plan, ['SEARCH outbox USING INDEX outbox_by_instance (instance_id=?)']);
  });

  it('is prepared for a few lengths of a path only, so that requests cannot fill the memory', async () => {
    const statements = new Set<string>();
    const store = recordingStore((sql) => statements.add(sql));
    for (let depth = 0; depth <= 2047; depth++) await store.resolve(Array.from({ length: depth }, () => 'a'));
    for (let count = 1; count <= 300; count++) await store.locateContents(Array.from({ length: count }, () => 'c'));
    assert.ok(statements.size < 25, `${statements.size} statements`);
  });
});

describe('A mutation', () => {
  it('goes through no table from end to end', async () => {
    const path = newPath();
    await using store = await openAt(path);
    await createAt(store, ['top', 'inner'], sampleFile('file'));
    await createAt(store, ['top', 'inner'], sampleFile('other'));
    const [, top, , file] = await store.resolve(['top', 'inner', 'file']);
    assert.ok(top && file?.type === 'file');
    using database = new DatabaseSync(path);
    const plan: string[] = [];
    const tx: SqlTransaction = {
      all: async (sql, values) => {
        const statement = sql.replace(/\$(\d+)/g, '?$1');
        plan.push(
          ...database
            .prepare(`EXPLAIN QUERY PLAN ${statement}`)
            .all(...values)
            .map((row) => String(row.detail)),
        );
        return database.prepare(statement).all(...values) as SqlRow[];
      },
    };
    const content = sampleContent();
    const { instanceId } = file;
    const change = {
      contentType: null,
      mtimeMs: 1,
      backendType: 'localfs',
      takeOver: false,
      discardPrevious: true,
    } as const;
    const expectContentId = undefined;
    await mutations.createEntry(tx, { parentId: top.id, missingParents: [], entry: sampleFile('new') });
    await mutations.createEntry(tx, { parentId: top.id, missingParents: [], entry: sampleFile('new') });
    await mutations.replaceContent(tx, { entryId: file.id, expectContentId, instanceId, content, ...change });
    await mutations.restampContent(tx, { contentId: content.contentId, storageStamp: 'stamp' });
    assert.equal((await mutations.removeEntry(tx, { entryId: file.id, expectContentId })).kind, 'removed');
    assert.equal((await mutations.removeTree(tx, { directoryId: top.id, user: alice })).kind, 'removed');
    await mutations.forgetOutbox(tx, [1]);
    assert.ok(plan.length > 20);
    assertNoScanOfTable(plan);
  });
});

function migrationsOf(database: DatabaseSync): unknown[] {
  return database
    .prepare('SELECT number FROM migrations ORDER BY number')
    .all()
    .map((row) => row.number);
}

function assertNoScanOfTable(plan: readonly string[]): void {
  for (const step of plan) assert.doesNotMatch(step, /^SCAN (e|top|child|entries|discarded)\b/);
}

/** A store on a database that only notes what it is asked to read. */
function recordingStore(note: (sql: string, values: readonly SqlValue[]) => void): MetadataStore {
  return new SqlMetadataStore({
    read: async (sql, values) => {
      note(sql, values);
      return [];
    },
    mutate: () => Promise.reject(new Error('This database only reads.')),
    [Symbol.asyncDispose]: async () => undefined,
  });
}

/** How SQLite goes about the reading statements of a call, as one line for each step. */
async function planOf(call: (store: MetadataStore) => Promise<unknown>): Promise<string[]> {
  const path = newPath();
  await using _migrated = await openAt(path);
  using database = new DatabaseSync(path);
  const plan: string[] = [];
  const store = recordingStore((sql, values) => {
    const rows = database.prepare(`EXPLAIN QUERY PLAN ${sql.replace(/\$(\d+)/g, '?$1')}`).all(...values);
    plan.push(...rows.map((row) => String(row.detail)));
  });
  await call(store);
  return plan;
}
