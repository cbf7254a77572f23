/** What an instance holds, and what went with one that was forgotten, for people and as JSON for programs. */

import type { Forgotten } from '../engine/forget-instance.ts';
import type { Held, InstanceReport } from '../engine/report-instance.ts';
import type { LocatedFile } from '../metadata/metadata-store.ts';
import { bytesText } from './bytes-text.ts';
import { amountText, counted } from './drain-report.ts';
import { plainTable } from './plain-table.ts';

export function reportJson({ instanceId, record, total, byTop, directories }: InstanceReport): string {
  const json = {
    instance_id: instanceId,
    registered: record !== undefined,
    draining: record?.draining ?? false,
    stopped: record?.stopped ?? false,
    last_seen: record ? timeText(record.lastSeenMs) : null,
    ...heldJson(total),
    directories,
    by_top: [...byTop].map(([name, held]) => ({ path: `/${name}`, ...heldJson(held) })),
  };
  return `${JSON.stringify(json, null, 2)}\n`;
}

export function reportText({ instanceId, record, total, byTop, directories }: InstanceReport): string {
  const seen = record
    ? `last seen ${timeText(record.lastSeenMs)}${record.stopped ? ', stopped' : ''}${record.draining ? ', draining' : ''}`
    : 'never registered, only entries name it';
  const held = `It holds ${amountText(total)} and made ${counted(directories, 'directory', 'directories')}.`;
  const rows = [...byTop].map(([name, { files, sizeBytes }]) => [
    name === '' ? '/' : `/${name}/`,
    String(files),
    String(sizeBytes),
    bytesText(sizeBytes),
  ]);
  const table = rows.length === 0 ? '' : `\n${plainTable(['BELOW', 'FILES', 'BYTES', ''], rows)}\n`;
  return `${instanceId}: ${seen}.\n${held}\n${table}`;
}

/** One file of a report that names them all: only its path, or everything by which it can be found again. */
export function fileLine({ entry, path }: LocatedFile, json: boolean): string {
  return json ? `${JSON.stringify(fileJson({ entry, path }))}\n` : `${path}\n`;
}

export function removalJson(instanceId: string, { files, directories, heir }: Forgotten): string {
  const json = {
    instance_id: instanceId,
    removed: true,
    directories,
    directories_to: heir,
    forgotten: files.map(fileJson),
  };
  return `${JSON.stringify(json, null, 2)}\n`;
}

export function removalText(instanceId: string, { files, directories, heir }: Forgotten): string {
  const lost = files.map(({ path }) => `  ${path}\n`).join('');
  const forgotten = files.length === 0 ? '' : `Forgot ${counted(files.length, 'file', 'files')}:\n${lost}`;
  const moved = directories === 0 ? '' : ` ${counted(directories, 'directory', 'directories')} went over to ${heir}.`;
  return `${forgotten}Removed ${instanceId}.${moved}\n`;
}

function fileJson({ entry, path }: LocatedFile) {
  const { sizeBytes, checksum, etag, owner, mtimeMs } = entry;
  return { path, size: sizeBytes, checksum, etag: `"${etag}"`, owner, mtime: timeText(mtimeMs) };
}

const heldJson = ({ files, sizeBytes }: Held) => ({ files, bytes: sizeBytes });

const timeText = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;
