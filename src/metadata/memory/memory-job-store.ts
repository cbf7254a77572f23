/** Jobs in the memory of one process. */
import type { FinishJob, JobRecord, JobStore, LoseJobs, NewJob, ReportJob, ReportOutcome } from '../job-store.ts';

const NO_PROGRESS = { filesDone: 0, filesTotal: 0, bytesDone: 0, bytesTotal: 0 };

export class MemoryJobStore implements JobStore {
  /** In the order in which they were added. */
  readonly #jobs = new Map<string, JobRecord>();

  async add(job: NewJob): Promise<void> {
    if (this.#jobs.has(job.id)) throw new Error(`There is a job ${job.id}.`);
    const fresh = { isCancelRequested: false, finishedAtMs: undefined, outcome: undefined };
    this.#jobs.set(job.id, { ...job, state: 'running', progress: NO_PROGRESS, ...fresh });
  }

  async report({ id, bootId, progress }: ReportJob): Promise<ReportOutcome> {
    const job = this.#findRunning(id, bootId);
    if (!job) return 'over';
    this.#jobs.set(id, { ...job, progress: { ...progress } });
    return job.isCancelRequested ? 'cancel' : 'go-on';
  }

  async finish({ id, bootId, progress, state, outcome, finishedAtMs }: FinishJob): Promise<boolean> {
    const job = this.#findRunning(id, bootId);
    if (job) this.#jobs.set(id, { ...job, progress: { ...progress }, state, outcome, finishedAtMs });
    return job !== undefined;
  }

  async requestCancel(id: string): Promise<boolean> {
    const job = this.#findRunning(id, undefined);
    if (job) this.#jobs.set(id, { ...job, isCancelRequested: true });
    return job !== undefined;
  }

  async forget(id: string): Promise<boolean> {
    return !this.#findRunning(id, undefined) && this.#jobs.delete(id);
  }

  async forgetFinished(beforeMs: number): Promise<void> {
    for (const { id, finishedAtMs } of this.#jobs.values()) {
      if (finishedAtMs !== undefined && finishedAtMs < beforeMs) this.#jobs.delete(id);
    }
  }

  async lose({ instanceId, bootId, outcome, finishedAtMs }: LoseJobs): Promise<number> {
    const lost = (await this.listRunning()).filter((job) => job.instanceId === instanceId && job.bootId === bootId);
    for (const job of lost) this.#jobs.set(job.id, { ...job, state: 'failed', outcome, finishedAtMs });
    return lost.length;
  }

  async find(id: string): Promise<JobRecord | undefined> {
    return this.#jobs.get(id);
  }

  async listOwn(owner: string, limit: number): Promise<readonly JobRecord[]> {
    const own = [...this.#jobs.values()].filter((job) => job.owner === owner);
    return own
      .sort((left, right) => right.startedAtMs - left.startedAtMs || (left.id < right.id ? 1 : -1))
      .slice(0, limit);
  }

  async listRunning(): Promise<readonly JobRecord[]> {
    return [...this.#jobs.values()].filter(({ state }) => state === 'running');
  }

  /** @param bootId undefined: whichever process runs it */
  #findRunning(id: string, bootId: string | undefined): JobRecord | undefined {
    const job = this.#jobs.get(id);
    return job?.state === 'running' && (bootId ?? job.bootId) === job.bootId ? job : undefined;
  }
}
