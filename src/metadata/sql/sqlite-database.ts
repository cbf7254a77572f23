/**
 * The SQLite driver: reads on this thread (microseconds, from the page cache), mutations in batches on
 * the writer's thread. Several processes of one host may use the same file.
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { insufficientStorage, metadataUnavailable } from '../../core/errors.ts';
import { faultState } from '../../core/fault-point.ts';
import type { MutationName, MutationRequest, MutationResult } from './mutations.ts';
import type { SqlDatabase, SqlRow, SqlValue } from './sql-database.ts';
import { SqliteConnection } from './sqlite-connection.ts';
import type { WriterAnswer, WriterFailure, WriterJob, WriterResult, WriterSettings } from './sqlite-writer.ts';

interface PendingJob extends WriterJob {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** Mutations in one commit at most: bounds how long the first of them waits for the last. */
const MAX_BATCH = 256;
const SQLITE_FULL = 13;

/** Opens (and creates, and migrates) the database file. */
export async function openSqlite(settings: WriterSettings): Promise<SqlDatabase> {
  mkdirSync(dirname(settings.path), { recursive: true });
  const workerData: WriterSettings = { ...settings, faults: faultState() };
  const worker = new Worker(new URL('./sqlite-writer.ts', import.meta.url), { workerData });
  const answer = await new Promise<WriterAnswer>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  if (answer !== 'ready') {
    await worker.terminate();
    const reason = typeof answer === 'object' && 'failed' in answer ? answer.failed.message : 'no answer';
    throw new Error(`The SQLite file ${settings.path} cannot be used: ${reason}.`);
  }
  try {
    return new SqliteDatabase(new SqliteConnection({ ...settings, readOnly: true }), worker);
  } catch (error) {
    await worker.terminate();
    throw error;
  }
}

class SqliteDatabase implements SqlDatabase {
  readonly #reader: SqliteConnection;
  readonly #worker: Worker;
  #queue: PendingJob[] = [];
  #running: readonly PendingJob[] = [];
  #closed = false;
  readonly #exited: Promise<void>;

  constructor(reader: SqliteConnection, worker: Worker) {
    this.#reader = reader;
    this.#worker = worker;
    worker.on('message', (answer: WriterAnswer) => this.#finish(answer));
    worker.on('error', (error) => this.#fail(error));
    worker.on('exit', () => this.#fail(new Error('The writer thread has ended.')));
    this.#exited = new Promise((resolve) => worker.once('exit', () => resolve()));
  }

  async read(sql: string, values: readonly SqlValue[]): Promise<readonly SqlRow[]> {
    try {
      return this.#reader.all(sql, values);
    } catch (error) {
      throw metadataUnavailable(error);
    }
  }

  mutate<N extends MutationName>(name: N, request: MutationRequest<N>): Promise<MutationResult<N>> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    if (this.#closed) reject(metadataUnavailable(new Error('The SQLite database is closed.')));
    else this.#queue.push({ name, request, resolve, reject });
    // Whatever arrives in the same turn of the event loop goes into the same commit.
    if (this.#queue.length === 1) queueMicrotask(() => this.#startBatch());
    return promise as Promise<MutationResult<N>>;
  }

  #startBatch(): void {
    if (this.#running.length > 0 || this.#queue.length === 0) return;
    this.#running = this.#queue.splice(0, MAX_BATCH);
    this.#worker.postMessage(this.#running.map(({ name, request }) => ({ name, request })));
  }

  #finish(answer: WriterAnswer): void {
    if (!Array.isArray(answer)) return;
    const jobs = this.#running;
    this.#running = [];
    this.#startBatch();
    const results: readonly WriterResult[] = answer;
    jobs.forEach((job, index) => {
      const result = results[index];
      if (result?.ok) job.resolve(result.value);
      else job.reject(toError(result?.failure));
    });
  }

  #fail(error: unknown): void {
    this.#closed = true;
    const jobs = [...this.#running, ...this.#queue];
    this.#running = [];
    this.#queue = [];
    for (const job of jobs) job.reject(metadataUnavailable(error));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    while (this.#running.length > 0 || this.#queue.length > 0) await new Promise((resolve) => setImmediate(resolve));
    this.#reader.close();
    this.#worker.postMessage('stop');
    await this.#exited;
  }
}

function toError(failure: WriterFailure | undefined): Error {
  if (failure === undefined) return metadataUnavailable(new Error('The writer gave no answer.'));
  const cause = new Error(failure.message);
  if (failure.resultCode === SQLITE_FULL) return insufficientStorage(cause);
  return failure.resultCode === undefined ? cause : metadataUnavailable(cause);
}
