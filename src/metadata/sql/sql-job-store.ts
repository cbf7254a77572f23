/** Jobs on a SQL database. */
import type { FinishJob, JobRecord, JobStore, LoseJobs, NewJob, ReportJob, ReportOutcome } from '../job-store.ts';
import { toJob } from './jobs.ts';
import type { SqlDatabase } from './sql-database.ts';

export class SqlJobStore implements JobStore {
  readonly #database: SqlDatabase;

  constructor(database: SqlDatabase) {
    this.#database = database;
  }

  add(job: NewJob): Promise<void> {
    return this.#database.mutate('addJob', job);
  }

  report(request: ReportJob): Promise<ReportOutcome> {
    return this.#database.mutate('reportJob', request);
  }

  finish(request: FinishJob): Promise<boolean> {
    return this.#database.mutate('finishJob', request);
  }

  requestCancel(id: string): Promise<boolean> {
    return this.#database.mutate('requestJobCancel', id);
  }

  forget(id: string): Promise<boolean> {
    return this.#database.mutate('forgetJob', id);
  }

  forgetFinished(beforeMs: number): Promise<void> {
    return this.#database.mutate('forgetFinishedJobs', beforeMs);
  }

  lose(request: LoseJobs): Promise<number> {
    return this.#database.mutate('loseJobs', request);
  }

  async find(id: string): Promise<JobRecord | undefined> {
    return (await this.#database.read('SELECT * FROM jobs WHERE id = $1', [id])).map(toJob)[0];
  }

  async listOwn(owner: string, limit: number): Promise<readonly JobRecord[]> {
    const sql = 'SELECT * FROM jobs WHERE owner = $1 ORDER BY started_at_ms DESC, id DESC LIMIT $2';
    return (await this.#database.read(sql, [owner, limit])).map(toJob);
  }

  async listRunning(): Promise<readonly JobRecord[]> {
    return (await this.#database.read("SELECT * FROM jobs WHERE state = 'running' ORDER BY id", [])).map(toJob);
  }
}
