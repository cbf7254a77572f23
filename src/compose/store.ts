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

/** Whether the namespace has files of the configured instance. */
export async function holdsFiles(
  { instance_discovery: { instance_id: own } }: Config,
  store: MetadataStore,
): Promise<boolean> {
  return (await store.countFiles()).some(({ instanceId, files }) => instanceId === own && files > 0);
}

/** SQLite's file and those that it keeps beside it. */
export function storeFiles({ metadata_store: { type, sqlite_path: path } }: Config): string[] {
  return type === 'sqlite' ? ['', '-wal', '-shm', '-journal'].map((suffix) => path + suffix) : [];
}
