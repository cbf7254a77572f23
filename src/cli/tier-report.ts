/** What tiering would move, and how a round of it ended, for people and as JSON for programs. */
import type { Config } from '../config/config.ts';
import { formatAge } from '../config/duration.ts';
import type { Amount } from '../engine/move-files.ts';
import { type PlannedRule, totalDue } from '../engine/plan-tiering.ts';
import type { TierReport } from '../engine/tier-files.ts';
import type { LocatedFile } from '../metadata/metadata-store.ts';
import { bytesText } from './bytes-text.ts';
import { amountText, counted } from './drain-report.ts';
import { plainTable } from './plain-table.ts';

export interface RoundOutcome {
  readonly instanceId: string;
  readonly report: TierReport;
  readonly stopped: boolean;
}

export function planJson({ instance_discovery, tiering }: Config, planned: readonly PlannedRule[]): string {
  const rules = planned.map(({ due, waiting, there, largest, oldest }, index) => ({
    match: tiering[index]?.match,
    older_than_seconds: (tiering[index]?.older_than ?? 0) / 1000,
    larger_than: tiering[index]?.larger_than ?? null,
    to: tiering[index]?.to,
    due: amountJson(due),
    waiting: amountJson(waiting),
    there: amountJson(there),
    largest: largest.map(fileJson),
    oldest: oldest.map(fileJson),
  }));
  return `${JSON.stringify({ instance_id: instance_discovery.instance_id, rules }, null, 2)}\n`;
}

const PLAN_HEAD = ['MATCH', 'OLDER THAN', 'LARGER THAN', 'TO', 'DUE FILES', 'BYTES', '', 'WAITING', 'THERE'];

export function planText({ instance_discovery, tiering }: Config, planned: readonly PlannedRule[]): string {
  const rows = planned.map(({ due, waiting, there }, index) => [
    tiering[index]?.match ?? '',
    formatAge(tiering[index]?.older_than ?? 0),
    String(tiering[index]?.larger_than ?? '-'),
    tiering[index]?.to ?? '',
    String(due.files),
    String(due.sizeBytes),
    bytesText(due.sizeBytes),
    String(waiting.files),
    String(there.files),
  ]);
  const lines = [plainTable(PLAN_HEAD, rows), ''];
  for (const [title, examples] of [
    ['Largest', firstOf(planned, 'largest', (left, right) => right.entry.sizeBytes - left.entry.sizeBytes)],
    ['Oldest', firstOf(planned, 'oldest', (left, right) => left.entry.mtimeMs - right.entry.mtimeMs)],
  ] as const) {
    if (examples.length > 0)
      lines.push(plainTable([title.toUpperCase(), 'SIZE', 'CHANGED'], examples.map(fileRow)), '');
  }
  lines.push(
    `A round would move ${amountText(totalDue(planned))} of ${instance_discovery.instance_id} now. Nothing was moved.`,
  );
  return `${lines.join('\n')}\n`;
}

export function roundJson({ instanceId, report, stopped }: RoundOutcome): string {
  const { moved, left, failed, failures, obstacle } = report;
  const json = {
    instance_id: instanceId,
    stopped,
    moved: amountJson(moved),
    changed: left,
    failed,
    failures: [...failures].map(([path, reason]) => ({ path, reason })),
    obstacle: obstacle ?? null,
  };
  return `${JSON.stringify(json, null, 2)}\n`;
}

export function roundText({ instanceId, report, stopped }: RoundOutcome): string {
  const { moved, left, failed, failures, obstacle } = report;
  const lines = [`Moved ${amountText(moved)} of ${instanceId}.`];
  if (left > 0) lines.push(`${counted(left, 'file has', 'files have')} changed meanwhile; left for another round.`);
  if (failed > 0) {
    lines.push(
      `${counted(failed, 'file', 'files')} could not be moved:`,
      plainTable(['PATH', 'REASON'], [...failures]),
    );
  }
  if (obstacle !== undefined) lines.push(`Given up: ${obstacle}`);
  if (stopped) lines.push('Stopped. Run it again to go on.');
  return `${lines.join('\n')}\n`;
}

const EXAMPLES = 5;

function firstOf(
  planned: readonly PlannedRule[],
  kind: 'largest' | 'oldest',
  compare: (left: LocatedFile, right: LocatedFile) => number,
): readonly LocatedFile[] {
  return planned
    .flatMap((rule) => rule[kind])
    .sort(compare)
    .slice(0, EXAMPLES);
}

const fileRow = ({ entry, path }: LocatedFile): readonly string[] => [
  path,
  bytesText(entry.sizeBytes),
  timeText(entry.mtimeMs),
];

const fileJson = ({ entry, path }: LocatedFile) => ({ path, size: entry.sizeBytes, mtime: timeText(entry.mtimeMs) });

const amountJson = ({ files, sizeBytes }: Amount) => ({ files, bytes: sizeBytes });

const timeText = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;
