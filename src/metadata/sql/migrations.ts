/** The numbered schema changes, forward only, and how a database's own words are put into them. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export type MigrationWords = Readonly<Record<'text' | 'integer' | 'sequence' | 'clustered', string>>;

export interface Migration {
  readonly number: number;
  readonly sql: string;
}

const FOLDER = fileURLToPath(new URL('migrations/', import.meta.url));

/** All migrations in order, e.g. `001-namespace.sql`, in the words of one database. */
export function readMigrations(words: MigrationWords): readonly Migration[] {
  return readdirSync(FOLDER)
    .filter((name) => /^\d{3}-.*\.sql$/.test(name))
    .sort()
    .map((name) => ({ number: Number(name.slice(0, 3)), sql: expand(readFileSync(FOLDER + name, 'utf8'), words) }));
}

function expand(sql: string, words: MigrationWords): string {
  return sql.replace(/^--.*$/gm, '').replace(/\{\{(\w+)\}\}/g, (_, word: string) => {
    if (!Object.hasOwn(words, word)) throw new Error(`A migration uses the unknown word {{${word}}}.`);
    return words[word as keyof MigrationWords];
  });
}
