/**
 * What a SQL driver offers to the store: statements with `$1`-style parameters, and whole mutations.
 * A driver is thin; all semantics are in the mutations and in the store.
 */
import type { MutationName, MutationRequest, MutationResult } from './mutations.ts';

export type SqlValue = string | number | null;
export type SqlRow = Readonly<Record<string, SqlValue>>;

/** One running transaction, isolated from others at least as a snapshot in which the first writer of a row wins. */
export interface SqlTransaction {
  all(sql: string, values: readonly SqlValue[]): Promise<readonly SqlRow[]>;
}

export interface SqlDatabase {
  /**
   * Runs one reading statement that sees every commit acknowledged before it, by whichever process.
   * @param size long: it may take its time, because it reads much
   */
  read(sql: string, values: readonly SqlValue[], size?: 'long'): Promise<readonly SqlRow[]>;

  /**
   * Runs a mutation as one transaction, possibly together with others in one durable commit, and
   * repeats it when the database asks for that. Resolved means durable.
   */
  mutate<N extends MutationName>(name: N, request: MutationRequest<N>): Promise<MutationResult<N>>;

  /** The entries on the way down these names, by a statement made for this database; absent: the common one does. */
  resolve?(names: readonly string[]): Promise<readonly SqlRow[]>;

  /**
   * Calls `wake` soon after a commit, by whichever process, that left work for instances, until what it resolves to
   * is disposed. Only a hint: some commits may wake nobody, and some wakes have no cause. Absent: nobody is woken.
   */
  watch?(wake: () => void): Promise<AsyncDisposable>;

  /** Finishes what was asked for, then closes. */
  [Symbol.asyncDispose](): Promise<void>;
}
