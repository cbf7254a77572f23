/** Jobs as rows: every change as a mutation, and how a row is read. */
import type {
  FinishJob,
  JobKind,
  JobRecord,
  JobState,
  LoseJobs,
  NewJob,
  ReportJob,
  ReportOutcome,
} from '../job-store.ts';
import { integer, optionalText, text } from './rows.ts';
import type { SqlRow, SqlTransaction } from './sql-database.ts';

export async function addJob(tx: SqlTransaction, job: NewJob): Promise<void> {
  const { id, kind, owner, path, instanceId, bootId, startedAtMs } = job;
  await tx.all(
    `INSERT INTO jobs (id, kind, owner, path, instance_id, boot_id, state, cancel_requested, files_done, files_total,
       bytes_done, bytes_total, started_at_ms) VALUES ($1, $2, $3, $4, $5, $6, 'running', 0, 0, 0, 0, 0, $7)`,
    [id, kind, owner, path, instanceId, bootId, startedAtMs],
  );
}

const PROGRESS = 'files_done = $3, files_total = $4, bytes_done = $5, bytes_total = $6';
const RUNNING_HERE = "id = $1 AND boot_id = $2 AND state = 'running'";

function progressValues({ id, bootId, progress }: ReportJob): (string | number)[] {
  const { filesDone, filesTotal, bytesDone, bytesTotal } = progress;
  return [id, bootId, filesDone, filesTotal, bytesDone, bytesTotal];
}

export async function reportJob(tx: SqlTransaction, request: ReportJob): Promise<ReportOutcome> {
  const sql = `UPDATE jobs SET ${PROGRESS} WHERE ${RUNNING_HERE} RETURNING cancel_requested`;
  const [row] = await tx.all(sql, progressValues(request));
  if (!row) return 'over';
  return integer(row, 'cancel_requested') === 0 ? 'go-on' : 'cancel';
}

export async function finishJob(tx: SqlTransaction, request: FinishJob): Promise<boolean> {
  const { state, finishedAtMs, outcome = null } = request;
  const finished = await tx.all(
    `UPDATE jobs SET ${PROGRESS}, state = $7, finished_at_ms = $8, outcome = $9 WHERE ${RUNNING_HERE} RETURNING id`,
    [...progressValues(request), state, finishedAtMs, outcome],
  );
  return finished.length === 1;
}

export async function requestJobCancel(tx: SqlTransaction, id: string): Promise<boolean> {
  const sql = "UPDATE jobs SET cancel_requested = 1 WHERE id = $1 AND state = 'running' RETURNING id";
  return (await tx.all(sql, [id])).length === 1;
}

export async function forgetJob(tx: SqlTransaction, id: string): Promise<boolean> {
  return (await tx.all("DELETE FROM jobs WHERE id = $1 AND state <> 'running' RETURNING id", [id])).length === 1;
}

export async function forgetFinishedJobs(tx: SqlTransaction, beforeMs: number): Promise<void> {
  await tx.all("DELETE FROM jobs WHERE state <> 'running' AND finished_at_ms < $1", [beforeMs]);
}

export async function loseJobs(tx: SqlTransaction, request: LoseJobs): Promise<number> {
  const { instanceId, bootId, outcome, finishedAtMs } = request;
  const lost = await tx.all(
    `UPDATE jobs SET state = 'failed', outcome = $3, finished_at_ms = $4
     WHERE instance_id = $1 AND boot_id = $2 AND state = 'running' RETURNING id`,
    [instanceId, bootId, outcome, finishedAtMs],
  );
  return lost.length;
}

export function toJob(row: SqlRow): JobRecord {
  return {
    id: text(row, 'id'),
    kind: text(row, 'kind') as JobKind,
    owner: text(row, 'owner'),
    path: text(row, 'path'),
    instanceId: text(row, 'instance_id'),
    bootId: text(row, 'boot_id'),
    state: text(row, 'state') as JobState,
    isCancelRequested: integer(row, 'cancel_requested') !== 0,
    progress: {
      filesDone: integer(row, 'files_done'),
      filesTotal: integer(row, 'files_total'),
      bytesDone: integer(row, 'bytes_done'),
      bytesTotal: integer(row, 'bytes_total'),
    },
    startedAtMs: integer(row, 'started_at_ms'),
    finishedAtMs: row.finished_at_ms === null ? undefined : integer(row, 'finished_at_ms'),
    outcome: optionalText(row, 'outcome') ?? undefined,
  };
}
