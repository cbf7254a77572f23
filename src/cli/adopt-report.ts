/** What `callfs adopt` prints: for people, and for programs. */
import type { AdoptTreeReport } from '../engine/adopt-tree-report.ts';

/** Lines of each kind that a person reads; --json has all. */
const MAX_LINES = 50;

export function needsAttention({ conflicts, refused }: AdoptTreeReport): boolean {
  return conflicts.length + refused.length > 0;
}

export function adoptJson(report: AdoptTreeReport): string {
  const { adopted, directories, skipped, refused } = report;
  const conflicts = report.conflicts.map(({ path, instanceId }) => ({ path, instance_id: instanceId }));
  return `${JSON.stringify({ adopted, directories, skipped, conflicts, refused }, null, 2)}\n`;
}

export function adoptSummary(report: AdoptTreeReport, dryRun: boolean): string {
  const { adopted, directories, skipped, conflicts, refused } = report;
  const rows: [string, number, string][] = [
    [dryRun ? 'would be adopted' : 'adopted', adopted, 'files'],
    [dryRun ? 'would be made' : 'made', directories, 'directories'],
    ['skipped', skipped, 'files that the namespace had already'],
    ['conflicts', conflicts.length, 'paths that the namespace has for something else'],
    ['refused', refused.length, 'that cannot be adopted'],
  ];
  const table = rows
    .map(([what, count, note]) => `${what.padEnd(17)}${String(count).padStart(10)}  ${note}\n`)
    .join('');
  const held = conflicts.map(({ path, instanceId }) => `${printable(path)}: instance ${instanceId} has this path.`);
  const left = refused.map(({ path, reason }) => `${printable(path)}: ${reason}`);
  return table + section('Conflicts, left alone:', held) + section('Refused, left alone:', left);
}

function section(title: string, lines: readonly string[]): string {
  if (lines.length === 0) return '';
  const rest = lines.length - MAX_LINES;
  const shown = [...lines.slice(0, MAX_LINES), ...(rest > 0 ? [`… and ${rest} more; --json has them all.`] : [])];
  return `\n${title}\n${shown.map((line) => `  ${line}\n`).join('')}`;
}

/** Names come from a disk: what would move the cursor or turn the text around is spelled out. */
export function printable(path: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is replaced
  return path.replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}
