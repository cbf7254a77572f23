/** The outcome of a check as a table for people and as JSON for programs. */
import type { Checked } from '../engine/check-instance.ts';
import type { RepairedFinding } from '../engine/repair-findings.ts';
import { plainTable } from './plain-table.ts';

export interface FsckReport {
  readonly instanceId: string;
  readonly root: string;
  /** Whether the instance ran meanwhile. */
  readonly served: boolean;
  readonly repair: boolean;
  readonly checked: Checked;
  readonly findings: readonly RepairedFinding[];
}

const MAX_ROWS = 200;

export function toJson(report: FsckReport): string {
  const findings = report.findings.map(({ kind, path, problem, remedy, repaired, done }) => ({
    kind,
    path,
    problem,
    repair: done ?? remedy,
    repaired,
  }));
  const { instanceId: instance_id, root, served: running, checked } = report;
  const repaired = findings.filter((finding) => finding.repaired).length;
  return `${JSON.stringify({ instance_id, root, running, checked, findings, repaired }, null, 2)}\n`;
}

export function toText(report: FsckReport): string {
  const { findings } = report;
  const rows = [...findings].sort((left, right) => Number(left.repaired) - Number(right.repaired));
  const table = rows.length === 0 ? '' : `${tableOf(rows.slice(0, MAX_ROWS), report.repair)}\n`;
  const more = rows.length > MAX_ROWS ? `… and ${rows.length - MAX_ROWS} more: --json lists all.\n` : '';
  return `${table}${more}${table && '\n'}${summary(report)}\n`;
}

function tableOf(findings: readonly RepairedFinding[], repair: boolean): string {
  return plainTable(
    ['KIND', 'PATH', 'PROBLEM', repair ? 'REPAIR' : 'WHAT --repair WOULD DO'],
    findings.map(({ kind, path, problem, remedy, done }) => [kind, path, problem, done ? `done: ${done}` : remedy]),
  );
}

function summary({ instanceId, root, served, repair, checked, findings }: FsckReport): string {
  const repaired = findings.filter((finding) => finding.repaired).length;
  const outcome =
    findings.length === 0
      ? 'nothing is wrong'
      : `${counted(findings.length, 'finding')}${repair ? `, ${repaired} repaired, ${findings.length - repaired} left` : ''}`;
  const state = served ? ', which is running' : '';
  const { entries, files } = checked;
  return `${instanceId}${state}, in ${root}: ${entries} ${entries === 1 ? 'entry' : 'entries'} and ${counted(files, 'file')} checked, ${outcome}.`;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
