/** The outcome of a check as a table for people and as JSON for programs. */
import Table from 'cli-table3';
import type { Checked } from '../engine/check-instance.ts';
import type { RepairedFinding } from '../engine/repair-findings.ts';

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
const NO_LINES = {
  ...{ top: '', 'top-mid': '', 'top-left': '', 'top-right': '', bottom: '', 'bottom-mid': '', 'bottom-left': '' },
  ...{ 'bottom-right': '', left: '', 'left-mid': '', mid: '', 'mid-mid': '', right: '', 'right-mid': '', middle: '  ' },
};

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
  const table = new Table({
    head: ['KIND', 'PATH', 'PROBLEM', repair ? 'REPAIR' : 'WHAT --repair WOULD DO'],
    chars: NO_LINES,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  for (const { kind, path, problem, remedy, done } of findings) {
    table.push([kind, printable(path), problem, printable(done ? `done: ${done}` : remedy)]);
  }
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

/** Names on a disk may hold what a terminal takes for a command. */
function printable(text: string): string {
  return text.replace(/\p{C}/gu, '�');
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
