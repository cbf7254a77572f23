/** The outcome of a rebuild as a table for people and as JSON for programs. */
import type { RebuildFinding, RebuildReport } from '../engine/rebuild-report.ts';
import { plainTable } from './plain-table.ts';

export interface RebuildSummary {
  readonly instances: readonly RebuildReport[];
  /** How many directories are still missing, by the instance that made them. */
  readonly placeholders: ReadonlyMap<string, number>;
  /** The same of the root directory, of which nobody knows who made it. */
  readonly isRootMissing: boolean;
  /** How many directories were made in the end; undefined: it is not the end. */
  readonly made: number | undefined;
  readonly dryRun: boolean;
}

const MAX_ROWS = 200;

export function toJson({ instances, placeholders, isRootMissing, made, dryRun }: RebuildSummary): string {
  const reports = instances.map(({ instanceId, damagedLines, ...report }) => ({
    instance_id: instanceId,
    ...report,
    damaged_lines: damagedLines,
  }));
  const summary = {
    dry_run: dryRun,
    instances: reports,
    missing_directories: Object.fromEntries(placeholders),
    missing_root: isRootMissing,
    ...(made === undefined ? {} : { made_directories: made }),
  };
  return `${JSON.stringify(summary, null, 2)}\n`;
}

export function toText(summary: RebuildSummary): string {
  const findings = summary.instances.flatMap(({ findings }) => findings);
  const table = findings.length === 0 ? '' : `${tableOf(findings.slice(0, MAX_ROWS))}\n`;
  const more = findings.length > MAX_ROWS ? `… and ${findings.length - MAX_ROWS} more: --json lists all.\n` : '';
  const lines = summary.instances.map((report) => describe(report, summary.dryRun));
  return `${table}${more}${table && '\n'}${[...lines, ...describeRest(summary)].join('\n')}\n`;
}

function tableOf(findings: readonly RebuildFinding[]): string {
  return plainTable(
    ['KIND', 'PATH', 'PROBLEM', 'OUTCOME'],
    findings.map(({ kind, path, problem, outcome }) => [kind, path, problem, outcome]),
  );
}

function describe(report: RebuildReport, dryRun: boolean): string {
  const { instanceId, root, restored, known, recognised, moves, damagedLines, findings } = report;
  const parts = [
    `${counted(restored.files, 'file')} and ${counted(restored.directories, 'directory')} ${dryRun ? 'would come' : 'came'} back`,
    ...(known > 0 ? [`${known} were there already`] : []),
    ...(recognised > 0 ? [`${recognised} recognised by their bytes`] : []),
    ...(moves > 0 ? [`${counted(moves, 'file')} to be moved when the instance starts`] : []),
    ...(damagedLines > 0 ? [`${counted(damagedLines, 'line')} of the catalog unreadable`] : []),
    findings.length === 0 ? 'nothing is missing' : counted(findings.length, 'finding'),
  ];
  return `${instanceId}, from ${root}: ${parts.join(', ')}.`;
}

function describeRest({ placeholders, isRootMissing, made }: RebuildSummary): string[] {
  const missing = [...placeholders].map(
    ([instanceId, count]) =>
      `${counted(count, 'directory')} of ${instanceId} ${count === 1 ? 'is' : 'are'} still without owner and mode, open to admins only: rebuild that instance, too, or end with --finish.`,
  );
  if (isRootMissing)
    missing.push(
      'The root directory is still without its mode, open to admins only: rebuild the instance that made it, or end with --finish.',
    );
  return made === undefined || made === 0
    ? missing
    : [
        ...missing,
        `${counted(made, 'directory')} made anew, of root with mode 0700: give ${made === 1 ? 'it to its owner' : 'them to their owners'} with PATCH.`,
      ];
}

function counted(count: number, noun: string): string {
  if (count === 1) return `1 ${noun}`;
  return `${count} ${noun.endsWith('y') ? `${noun.slice(0, -1)}ies` : `${noun}s`}`;
}
