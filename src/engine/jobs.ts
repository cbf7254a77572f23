/**
 * Work that goes on after its client was answered. The store knows every job; this instance runs its own, writes down how
 * far they are, ends those that somebody cancels, and notices when another instance that ran some is gone.
 */
import { backendUnavailable, type CallFSError } from '../core/errors.ts';
import type { Clock, Ids } from '../core/runtime.ts';
import type { InstanceRecord } from '../metadata/instance-store.ts';
import type { JobKind, JobRecord } from '../metadata/job-store.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';
import { noProgress, type Work } from './work.ts';

export interface JobsOptions {
  readonly store: Pick<MetadataStore, 'jobs' | 'findInstance'>;
  readonly instanceId: string;
  readonly bootId: string;
  readonly clock: Clock;
  readonly ids: Ids;
  /** Something about jobs did not reach the store; it is repeated, or somebody notices. */
  readonly onFailure: (error: unknown) => void;
}

export interface JobRequest {
  readonly kind: JobKind;
  readonly owner: string;
  readonly path: string;
  /** @returns what came of it, as JSON for the client */
  readonly run: (work: Omit<Work, 'hands'>) => Promise<object>;
  /** What the client is told of a failure, as JSON. */
  readonly describeError: (error: unknown) => Promise<object>;
}

/** Jobs that an instance runs at the same time. */
const MAX_RUNNING = 100;
const REPORT_EVERY_MS = 1000;
const SURVEY_EVERY_MS = 2000;
/** An instance whose heartbeat does not move for so long does not run its jobs any more. */
const LOST_AFTER_MS = 10_000;
/** Finished jobs are kept for so long. */
const KEPT_MS = 24 * 3_600_000;
const FORGET_EVERY_SURVEYS = 300;
/** How long a stop waits for jobs to end. */
const STOP_WITHIN_MS = 30_000;

/** How often the end of a job is written down, a second between, before somebody else has to notice it. */
const FINISH_ATTEMPTS = 60;

/** Why work is aborted. */
class Cancelled extends Error {}
class Stopping extends Error {}
class Superseded extends Error {}

interface Watched {
  readonly beat: number;
  /** On the clock of `performance.now()`. */
  readonly sinceMs: number;
}

export class Jobs implements AsyncDisposable {
  readonly #options: JobsOptions;
  readonly #running = new Map<string, AbortController>();
  readonly #ended = new Set<Promise<void>>();
  /** Other instances that run jobs, and since when their heartbeats stand still. */
  readonly #watched = new Map<string, Watched>();
  #timer: NodeJS.Timeout | undefined;
  #surveying: Promise<void> = Promise.resolve();
  #surveys = 0;
  #stopping = false;

  constructor(options: JobsOptions) {
    this.#options = options;
  }

  /** Begins to look after jobs; those of earlier processes of this instance are lost. */
  start(): void {
    this.#surveying = this.#survey();
    let isBusy = false;
    this.#timer = setInterval(() => {
      if (isBusy) return;
      isBusy = true;
      this.#surveying = this.#survey().finally(() => {
        isBusy = false;
      });
    }, SURVEY_EVERY_MS);
    this.#timer.unref();
  }

  /** @throws CallFSError BACKEND_UNAVAILABLE when the instance is stopping, or has enough to do */
  async begin(request: JobRequest): Promise<JobRecord> {
    if (this.#stopping) throw stopped();
    if (this.#ended.size >= MAX_RUNNING) throw tooMany();
    const { store, instanceId, bootId, clock, ids } = this.#options;
    const { kind, owner, path } = request;
    const job = { id: ids.next(), kind, owner, path, instanceId, bootId, startedAtMs: clock.now() };
    await store.jobs.add(job);
    const ended = this.#run(job.id, request).catch(this.#options.onFailure);
    this.#ended.add(ended);
    void ended.finally(() => this.#ended.delete(ended));
    const fresh = { isCancelRequested: false, finishedAtMs: undefined, outcome: undefined };
    return { ...job, state: 'running', progress: noProgress(), ...fresh };
  }

  /** As all instances know it; one whose instance is gone has failed. */
  async find(id: string): Promise<JobRecord | undefined> {
    const { jobs } = this.#options.store;
    const job = await jobs.find(id);
    if (job?.state !== 'running' || !(await this.#isLost(job))) return job;
    await this.#lose(job);
    return jobs.find(id);
  }

  listOwn(owner: string, limit: number): Promise<readonly JobRecord[]> {
    return this.#options.store.jobs.listOwn(owner, limit);
  }

  /** Asks whoever runs it to end it, or forgets it when nobody does. */
  async end({ id }: JobRecord): Promise<'cancelling' | 'forgotten'> {
    const { jobs } = this.#options.store;
    if (!(await jobs.requestCancel(id))) {
      await jobs.forget(id);
      return 'forgotten';
    }
    this.#running.get(id)?.abort(new Cancelled('The job was cancelled.'));
    return 'cancelling';
  }

  async #run(id: string, request: JobRequest): Promise<void> {
    const controller = new AbortController();
    this.#running.set(id, controller);
    if (this.#stopping) controller.abort(new Stopping());
    const { signal } = controller;
    const progress = noProgress();
    const timer = setInterval(() => void this.#report(id, progress, controller), REPORT_EVERY_MS);
    try {
      const outcome = await request.run({ signal, progress });
      await this.#finish(id, progress, 'done', outcome);
    } catch (error) {
      const isCancelled = signal.reason instanceof Cancelled;
      const cause = signal.reason instanceof Stopping ? stopped() : error;
      if (isCancelled) await this.#finish(id, progress, 'cancelled', undefined);
      else await this.#finish(id, progress, 'failed', await request.describeError(cause));
    } finally {
      clearInterval(timer);
      this.#running.delete(id);
    }
  }

  async #report(id: string, progress: Work['progress'], controller: AbortController): Promise<void> {
    const { store, bootId, onFailure } = this.#options;
    try {
      const outcome = await store.jobs.report({ id, bootId, progress: { ...progress } });
      if (outcome === 'cancel') controller.abort(new Cancelled('The job was cancelled.'));
      if (outcome === 'over' && this.#running.has(id)) controller.abort(new Superseded('The job was given up.'));
    } catch (error) {
      onFailure(error);
    }
  }

  async #finish(
    id: string,
    progress: Work['progress'],
    state: 'done' | 'failed' | 'cancelled',
    outcome: object | undefined,
  ): Promise<void> {
    const { store, bootId, clock } = this.#options;
    const text = outcome && JSON.stringify(outcome);
    const end = { id, bootId, progress: { ...progress }, state, outcome: text, finishedAtMs: clock.now() };
    for (let attempt = 1; ; attempt++) {
      try {
        await store.jobs.finish(end);
        return;
      } catch (error) {
        // A store that is away for a moment must not make a job look as if it ran for ever.
        if (attempt === FINISH_ATTEMPTS || this.#stopping) throw error;
        await new Promise((resolve) => setTimeout(resolve, REPORT_EVERY_MS).unref());
      }
    }
  }

  async #survey(): Promise<void> {
    const { store, clock, onFailure } = this.#options;
    try {
      const running = await store.jobs.listRunning();
      const others = new Map(running.map((job) => [`${job.instanceId} ${job.bootId}`, job]));
      for (const key of this.#watched.keys()) if (!others.has(key)) this.#watched.delete(key);
      for (const job of others.values()) if (await this.#isLost(job)) await this.#lose(job);
      if (this.#surveys++ % FORGET_EVERY_SURVEYS === 0) await store.jobs.forgetFinished(clock.now() - KEPT_MS);
    } catch (error) {
      onFailure(error);
    }
  }

  /** Whether the process that runs a job is gone, as far as this one has seen. */
  async #isLost({ instanceId, bootId }: JobRecord): Promise<boolean> {
    if (bootId === this.#options.bootId) return false;
    const record = await this.#options.store.findInstance(instanceId);
    if (!record || record.stopped || record.bootId !== bootId) return true;
    return this.#standsStill(`${instanceId} ${bootId}`, record);
  }

  #standsStill(key: string, { beat }: InstanceRecord): boolean {
    const seen = this.#watched.get(key);
    if (seen?.beat === beat) return performance.now() - seen.sinceMs > LOST_AFTER_MS;
    this.#watched.set(key, { beat, sinceMs: performance.now() });
    return false;
  }

  async #lose({ instanceId, bootId }: JobRecord): Promise<void> {
    const { store, clock } = this.#options;
    const { code, message } = stopped();
    const outcome = JSON.stringify({ code, message });
    await store.jobs.lose({ instanceId, bootId, outcome, finishedAtMs: clock.now() });
  }

  /** Lets no job begin any more and tells those that run to end. */
  stop(): void {
    this.#stopping = true;
    clearInterval(this.#timer);
    for (const controller of this.#running.values()) controller.abort(new Stopping());
  }

  /** Resolves when all have ended, or a while later. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    await this.#surveying;
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, STOP_WITHIN_MS);
    await Promise.race([late, Promise.all(this.#ended)]);
    clearTimeout(timer);
  }
}

function tooMany(): CallFSError {
  return backendUnavailable(`This instance runs ${MAX_RUNNING} jobs already; try again shortly.`);
}

function stopped(): CallFSError {
  return backendUnavailable('The instance that ran it stopped; repeat the request.');
}
