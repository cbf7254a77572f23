/** `callfs adopt --watch`: goes on until it is told to stop, and prints what happens, a line each. */
import type { AdoptionParts } from '../compose/offline.ts';
import { type AdoptWatchRequest, adoptAndWatch } from '../engine/adopt-watch.ts';
import type { WatchEvent, WatchTotals } from '../engine/adopt-watch-events.ts';
import { AdoptProgress } from './adopt-progress.ts';
import { adoptSummary, printable } from './adopt-report.ts';
import { stopRequest } from './stop-signal.ts';

export async function watchReporting(
  { engine, source }: AdoptionParts,
  request: Omit<AdoptWatchRequest, 'report' | 'onDone' | 'signal'>,
  json: boolean,
): Promise<void> {
  const signal = stopRequest();
  using progress = new AdoptProgress(source);
  const report = (event: WatchEvent): void => {
    if (event.kind === 'watching') progress[Symbol.dispose]();
    if (json) process.stdout.write(`${JSON.stringify(jsonOf(event))}\n`);
    else if (isNotice(event)) process.stderr.write(`callfs: ${noticeOf(event)}\n`);
    else process.stdout.write(textOf(event, source.top));
  };
  const totals = await adoptAndWatch(engine, source, {
    ...{ ...request, report, signal },
    onDone: (files) => progress.advance(files),
  });
  process.stdout.write(json ? `${JSON.stringify({ event: 'summary', ...totals })}\n` : summaryOf(totals));
}

type Notice = Extract<WatchEvent, { kind: 'trouble' | 'recovered' | 'limited' }>;

function isNotice(event: WatchEvent): event is Notice {
  return event.kind === 'trouble' || event.kind === 'recovered' || event.kind === 'limited';
}

function noticeOf(notice: Notice): string {
  if (notice.kind === 'recovered') return 'All is well again.';
  return notice.kind === 'trouble' ? `${notice.problem} It is tried again.` : notice.problem;
}

function textOf(event: Exclude<WatchEvent, Notice>, top: string): string {
  if (event.kind === 'watching') return `${adoptSummary(event.first, false)}\nWatching ${printable(top)}\n`;
  const note = noteOf(event);
  return `${event.kind.padEnd(9)} ${printable(event.path)}${note === undefined ? '' : `: ${printable(note)}`}\n`;
}

function noteOf(event: Exclude<WatchEvent, Notice | { kind: 'watching' }>): string | undefined {
  if (event.kind === 'refused') return event.reason;
  if (event.kind === 'conflict') return `instance ${event.instanceId} has this path.`;
  if (event.kind !== 'missing') return undefined;
  return event.movedTo === undefined ? 'its file is gone from the disk.' : `its file lies at ${event.movedTo} now.`;
}

function jsonOf(event: WatchEvent): object {
  switch (event.kind) {
    case 'watching': {
      const { adopted, directories, skipped, conflicts, refused } = event.first;
      const named = conflicts.map(({ path, instanceId }) => ({ path, instance_id: instanceId }));
      return { event: 'watching', adopted, directories, skipped, conflicts: named, refused };
    }
    case 'missing':
      return { event: 'missing', path: event.path, moved_to: event.movedTo };
    case 'conflict':
      return { event: 'conflict', path: event.path, instance_id: event.instanceId };
    default: {
      const { kind, ...rest } = event;
      return { event: kind, ...rest };
    }
  }
}

function summaryOf(totals: WatchTotals): string {
  const rows: [string, number, string][] = [
    ['adopted', totals.adopted, 'files'],
    ['made', totals.directories, 'directories'],
    ['updated', totals.updated, 'files that were changed on disk'],
    ['missing', totals.missing, 'files that are gone from the disk'],
    ['removed', totals.removed, 'entries of such files'],
    ['conflicts', totals.conflicts, 'paths that the namespace has for something else'],
    ['refused', totals.refused, 'that cannot be adopted'],
  ];
  return `\n${rows.map(([what, count, note]) => `${what.padEnd(17)}${String(count).padStart(10)}  ${note}\n`).join('')}`;
}
