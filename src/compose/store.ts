import type { Config } from '../config/config.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';
import { SqlMetadataStore } from '../metadata/sql/sql-metadata-store.ts';

/** Only the driver that is asked for is loaded. */
export async function openStore({
  metadata_store: { type, sqlite_path: path, dsn },
  server,
}: Config): Promise<MetadataStore> {
  const { durability } = server;
  if (type === 'postgres') {
    const { openPostgres } = await import('../metadata/sql/postgres-database.ts');
    return new SqlMetadataStore(await openPostgres({ dsn, durability }));
  }
  const { openSqlite } = await import('../metadata/sql/sqlite-database.ts');
  return new SqlMetadataStore(await openSqlite({ path, durability }));
}

/** Whether the namespace has files that must lie on the disk of the configured instance. */
export async function holdsFiles(
  { instance_discovery: { instance_id: instanceId } }: Config,
  store: MetadataStore,
): Promise<boolean> {
  return await store.holdsFiles({ instanceId, backendType: 'localfs' });
}

/** SQLite's file and those that it keeps beside it. */
export function storeFiles({ metadata_store: { type, sqlite_path: path } }: Config): string[] {
  return type === 'sqlite' ? ['', '-wal', '-shm', '-journal'].map((suffix) => path + suffix) : [];
}
