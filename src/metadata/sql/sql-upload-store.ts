/** Resumable uploads on a SQL database. */
import type { ChangeUpload, NewUpload, UploadRecord, UploadStore } from '../upload-store.ts';
import type { SqlDatabase } from './sql-database.ts';
import { toUpload } from './uploads.ts';

export class SqlUploadStore implements UploadStore {
  readonly #database: SqlDatabase;

  constructor(database: SqlDatabase) {
    this.#database = database;
  }

  add(upload: NewUpload): Promise<void> {
    return this.#database.mutate('addUpload', upload);
  }

  async find(id: string): Promise<UploadRecord | undefined> {
    return (await this.#database.read('SELECT * FROM uploads WHERE id = $1', [id])).map(toUpload)[0];
  }

  change(request: ChangeUpload): Promise<boolean> {
    return this.#database.mutate('changeUpload', request);
  }

  remove(id: string): Promise<boolean> {
    return this.#database.mutate('removeUpload', id);
  }

  async listExpired(instanceId: string, beforeMs: number, limit: number): Promise<readonly UploadRecord[]> {
    const sql = `SELECT * FROM uploads WHERE instance_id = $1 AND expires_at_ms < $2
                 ORDER BY expires_at_ms LIMIT $3`;
    return (await this.#database.read(sql, [instanceId, beforeMs, limit])).map(toUpload);
  }
}
