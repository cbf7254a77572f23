/** The outcome of a check as a table for people and as JSON for programs. */
import type { BackendType } from '../core/entry.ts';
import type { Checked } from '../engine/check-instance.ts';
import type { RepairedFinding } from '../engine/repair-findings.ts';
import { plainTable } from './plain-table.ts';

export interface FsckReport {
  readonly instanceId: string;
  readonly repair: boolean;
  readonly backends: readonly BackendReport[];
}

export interface BackendReport {
  readonly backendType: BackendType;
  readonly root: string;
  /** Whether the instance ran meanwhile. */
  readonly served: boolean;
  readonly checked: Checked;
  readonly findings: readonly RepairedFinding[];
}

interface Row extends RepairedFinding {
  readonly backendType: BackendType;
}

const MAX_ROWS = 200;

export function toJson(report: FsckReport): string {
  const findings = rowsOf(report).map(({ kind, path, backendType, problem, remedy, repaired, done }) => ({
    ...{ kind, path, backend_type: backendType, problem },
    ...{ repair: done ?? remedy, repaired },
  }));
  const { instanceId: instance_id, backends } = report;
  const { root } = backends[0] ?? {};
  const bucket = backends.length > 1 ? { bucket: backends[1]?.root } : {};
  const running = backends.some(({ served }) => served);
  const repaired = findings.filter((finding) => finding.repaired).length;
  const summary = { instance_id, root, ...bucket, running, checked: checkedIn(report), findings, repaired };
  return `${JSON.stringify(summary, null, 2)}\n`;
}

export function toText(report: FsckReport): string {
  const rows = rowsOf(report).sort((left, right) => Number(left.repaired) - Number(right.repaired));
  const table = rows.length === 0 ? '' : `${tableOf(rows.slice(0, MAX_ROWS), report)}\n`;
  const more = rows.length > MAX_ROWS ? `… and ${rows.length - MAX_ROWS} more: --json lists all.\n` : '';
  return `${table}${more}${table && '\n'}${summary(report)}\n`;
}

function rowsOf({ backends }: FsckReport): Row[] {
  return backends.flatMap(({ backendType, findings }) => findings.map((finding) => ({ ...finding, backendType })));
}

function checkedIn({ backends }: FsckReport): Checked {
  const sum = (count: (checked: Checked) => number): number =>
    backends.reduce((total, { checked }) => total + count(checked), 0);
  return { entries: sum(({ entries }) => entries), files: sum(({ files }) => files) };
}

/** With a column for the backend only where there are several. */
function tableOf(rows: readonly Row[], { repair, backends }: FsckReport): string {
  const isMixed = backends.length > 1;
  return plainTable(
    ['KIND', ...(isMixed ? ['BACKEND'] : []), 'PATH', 'PROBLEM', repair ? 'REPAIR' : 'WHAT --repair WOULD DO'],
    rows.map(({ kind, backendType, path, problem, remedy, done }) => [
      ...[kind, ...(isMixed ? [backendType] : []), path, problem],
      done ? `done: ${done}` : remedy,
    ]),
  );
}

function summary(report: FsckReport): string {
  const { instanceId, repair, backends } = report;
  const findings = rowsOf(report);
  const repaired = findings.filter((finding) => finding.repaired).length;
  const outcome =
    findings.length === 0
      ? 'nothing is wrong'
      : `${counted(findings.length, 'finding')}${repair ? `, ${repaired} repaired, ${findings.length - repaired} left` : ''}`;
  const state = backends.some(({ served }) => served) ? ', which is running' : '';
  const { entries, files } = checkedIn(report);
  const roots = backends.map(({ root }) => root).join(' and ');
  return `${instanceId}${state}, in ${roots}: ${entries} ${entries === 1 ? 'entry' : 'entries'} and ${counted(files, 'file')} checked, ${outcome}.`;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
