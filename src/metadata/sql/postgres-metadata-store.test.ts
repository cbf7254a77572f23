/** The store on a real PostgreSQL against the contract. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { TestPostgres } from '../../../test/support/postgres.ts';
import { contentPlacesContract } from '../content-places.contract.ts';
import { leavingContract } from '../leaving.contract.ts';
import { linksContract } from '../links.contract.ts';
import { longWorkContract } from '../long-work.contract.ts';
import { metadataStoreContract } from '../metadata-store.contract.ts';
import { movingContract } from '../moving.contract.ts';
import { rebuildStoreContract } from '../rebuild-store.contract.ts';
import { uploadsContract } from '../uploads.contract.ts';
import { openPostgres } from './postgres-database.ts';
import { SqlMetadataStore } from './sql-metadata-store.ts';

suite('PostgreSQL', () => {
  let server: TestPostgres;
  before(async () => {
    server = await TestPostgres.start();
  });
  after(() => server[Symbol.asyncDispose]());

  const open = async (dsn: string) => new SqlMetadataStore(await openPostgres({ dsn, durability: 'full' }));
  let last = '';
  const openNew = async () => {
    last = await server.createDatabase();
    return open(last);
  };
  metadataStoreContract('SqlMetadataStore on PostgreSQL', openNew, { reopen: () => open(last) });
  leavingContract('SqlMetadataStore on PostgreSQL', openNew);
  longWorkContract('SqlMetadataStore on PostgreSQL', openNew);
  rebuildStoreContract('SqlMetadataStore on PostgreSQL', openNew);
  linksContract('SqlMetadataStore on PostgreSQL', openNew, () => open(last));
  contentPlacesContract('SqlMetadataStore on PostgreSQL', openNew);
  uploadsContract('SqlMetadataStore on PostgreSQL', openNew);
  movingContract('SqlMetadataStore on PostgreSQL', openNew, { reopen: () => open(last) });

  test('several instances that open a new database at once migrate it once', async () => {
    for (let round = 0; round < 20; round++) {
      const dsn = await server.createDatabase();
      const stores = await Promise.all(Array.from({ length: 8 }, () => open(dsn)));
      for (const store of stores) {
        assert.equal((await store.resolve([])).length, 1);
        await store[Symbol.asyncDispose]();
      }
    }
  });
});
