/**
 * Long work that goes on after its client was answered, as all instances see it. Part of the metadata store. Only the
 * instance that runs a job reports on it; whoever finds that instance gone may say so.
 */

export type JobKind = 'copy' | 'move' | 'remove';
export type JobState = 'running' | 'done' | 'failed' | 'cancelled';

/** How far work has come; totals are 0 as long as they are not known. */
export interface JobProgress {
  readonly filesDone: number;
  readonly filesTotal: number;
  readonly bytesDone: number;
  readonly bytesTotal: number;
}

export interface NewJob {
  readonly id: string;
  readonly kind: JobKind;
  /** The user who asked for it. */
  readonly owner: string;
  /** What it works on, as it was asked for. */
  readonly path: string;
  /** Who runs it, and which of its processes. */
  readonly instanceId: string;
  readonly bootId: string;
  /** Milliseconds since the epoch, by the clock of that instance. */
  readonly startedAtMs: number;
}

export interface JobRecord extends NewJob {
  readonly state: JobState;
  readonly progress: JobProgress;
  /** Somebody wants it to end. */
  readonly isCancelRequested: boolean;
  readonly finishedAtMs: number | undefined;
  /** What came of it, as JSON for the client; undefined: it runs, or nothing did. */
  readonly outcome: string | undefined;
}

export interface ReportJob {
  readonly id: string;
  readonly bootId: string;
  readonly progress: JobProgress;
}

export interface FinishJob extends ReportJob {
  readonly state: Exclude<JobState, 'running'>;
  readonly outcome: string | undefined;
  readonly finishedAtMs: number;
}

export interface LoseJobs {
  readonly instanceId: string;
  /** The process whose jobs are lost. */
  readonly bootId: string;
  readonly outcome: string;
  readonly finishedAtMs: number;
}

/** `cancel`: the job is to end. `over`: others hold it for lost, or it is forgotten. */
export type ReportOutcome = 'go-on' | 'cancel' | 'over';

export interface JobStore {
  add(job: NewJob): Promise<void>;

  /** Writes down how far a running job of this process has come. */
  report(request: ReportJob): Promise<ReportOutcome>;

  /** Ends a running job of this process; false: it was over already. */
  finish(request: FinishJob): Promise<boolean>;

  /** Asks whoever runs it to end a job; false: it does not run. */
  requestCancel(id: string): Promise<boolean>;

  /** Forgets a job that does not run; false: there is none. */
  forget(id: string): Promise<boolean>;

  /** Forgets all that ended before a moment. */
  forgetFinished(beforeMs: number): Promise<void>;

  /** All running jobs of a process have failed; resolves to how many. */
  lose(request: LoseJobs): Promise<number>;

  find(id: string): Promise<JobRecord | undefined>;

  /** Of one user, the newest first. */
  listOwn(owner: string, limit: number): Promise<readonly JobRecord[]>;

  listRunning(): Promise<readonly JobRecord[]>;
}
