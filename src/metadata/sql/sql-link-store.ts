/** Single-use links on a SQL database. */
import type { ClaimLink, ForgetLinks, Link, LinkClaimed, LinkStore, StoredLink } from '../link-store.ts';
import { toLink } from './links.ts';
import type { SqlDatabase } from './sql-database.ts';

export class SqlLinkStore implements LinkStore {
  readonly #database: SqlDatabase;

  constructor(database: SqlDatabase) {
    this.#database = database;
  }

  add(link: Link): Promise<void> {
    return this.#database.mutate('addLink', link);
  }

  async find(digest: string): Promise<StoredLink | undefined> {
    const sql = 'SELECT digest, entry_id, user_name, expires_at_ms, used FROM links WHERE digest = $1';
    return (await this.#database.read(sql, [digest])).map(toLink)[0];
  }

  claim(request: ClaimLink): Promise<boolean> {
    return this.#database.mutate('claimLink', request);
  }

  use(claimed: LinkClaimed): Promise<boolean> {
    return this.#database.mutate('useLink', claimed);
  }

  release(claimed: LinkClaimed): Promise<void> {
    return this.#database.mutate('releaseLink', claimed);
  }

  forget(request: ForgetLinks): Promise<number> {
    return this.#database.mutate('forgetLinks', request);
  }
}
