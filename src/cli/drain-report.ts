/** How a drain ended, for people and as JSON for programs. */
import type { DrainReport } from '../engine/drain-instance.ts';
import type { Amount } from '../engine/move-files.ts';
import { bytesText } from './bytes-text.ts';

const MAX_FAILURES = 20;

export function isDrained({ left, directoriesLeft }: DrainReport): boolean {
  return left.files === 0 && directoriesLeft === 0;
}

export function drainJson(report: DrainReport): string {
  const { instanceId, moved, movedTo, directories, left, directoriesLeft, unsettled, failures, stopped } = report;
  const json = {
    instance_id: instanceId,
    drained: isDrained(report),
    stopped,
    moved: amountJson(moved),
    to: Object.fromEntries([...movedTo].map(([id, amount]) => [id, amountJson(amount)])),
    directories,
    left: { ...amountJson(left), directories: directoriesLeft, removals: unsettled },
    failed: [...failures].map(([path, reason]) => ({ path, reason })),
  };
  return `${JSON.stringify(json, null, 2)}\n`;
}

export function drainText(report: DrainReport): string {
  const { instanceId, moved, movedTo, directories, left, directoriesLeft, unsettled, failures, stopped } = report;
  const lines = [`Moved ${amountText(moved)} and ${counted(directories, 'directory', 'directories')}.`];
  for (const [id, amount] of movedTo) lines.push(`  to ${id}: ${amountText(amount)}`);
  for (const [path, reason] of [...failures].slice(0, MAX_FAILURES)) lines.push(`  not ${printable(path)}: ${reason}`);
  if (failures.size > MAX_FAILURES) lines.push(`  and ${failures.size - MAX_FAILURES} more`);
  if (isDrained(report)) {
    lines.push(`${instanceId} holds nothing any more. Stop it, then: callfs node remove ${instanceId}`);
    if (unsettled > 0) lines.push('Its disk has yet to remove what was moved; nothing depends on that.');
  } else {
    const directoryText = counted(directoriesLeft, 'directory', 'directories');
    lines.push(`${stopped ? 'Stopped' : 'Given up'}: ${instanceId} still holds ${amountText(left)}, ${directoryText}.`);
    lines.push(`Go on: callfs node drain ${instanceId}. Take it back: callfs node undrain ${instanceId}`);
  }
  return `${lines.join('\n')}\n`;
}

export function amountText({ files, sizeBytes }: Amount): string {
  return `${counted(files, 'file', 'files')} (${bytesText(sizeBytes)})`;
}

export function counted(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}

const amountJson = ({ files, sizeBytes }: Amount) => ({ files, bytes: sizeBytes });

/** A name cannot command the terminal. */
function printable(text: string): string {
  return text.replace(/\p{C}/gu, '\ufffd');
}
