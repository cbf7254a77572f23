/** Entries as clients see them: header fields and JSON. The wire names live here. */
import mime from 'mime';
import { type Entry, entityTag, type FileEntry, formatMode } from '../core/entry.ts';
import type { Representation } from '../core/preconditions.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import type { EntryJson } from './schemas/entry.ts';

const UNKNOWN_CONTENT_TYPE = 'application/octet-stream';

/** The header fields of every answer about an entry. */
export function entryHeaders(entry: Entry): Record<string, string> {
  const headers: Record<string, string> = {
    'x-callfs-type': entry.type,
    'x-callfs-size': String(entry.type === 'file' ? entry.sizeBytes : 0),
    'x-callfs-mode': formatMode(entry.mode),
    'x-callfs-uid': String(entry.uid),
    'x-callfs-gid': String(entry.gid),
    'x-callfs-owner': entry.owner,
    'x-callfs-mtime': wholeSeconds(entry.mtimeMs),
    'x-callfs-instance-id': entry.instanceId,
    'x-callfs-backend-type': entry.backendType,
  };
  if (entry.type === 'directory') return headers;
  headers.etag = entityTag(entry);
  headers['last-modified'] = new Date(entry.mtimeMs).toUTCString();
  headers['accept-ranges'] = 'bytes';
  return headers;
}

/** An entry in JSON answers. */
export function entryJson(entry: Entry, path: VirtualPath): EntryJson {
  const file = entry.type === 'file' ? entry : undefined;
  return {
    name: entry.name,
    path,
    type: entry.type,
    size: file?.sizeBytes ?? 0,
    mode: formatMode(entry.mode),
    owner: entry.owner,
    group: entry.group,
    uid: entry.uid,
    gid: entry.gid,
    mtime: wholeSeconds(entry.mtimeMs),
    etag: file ? entityTag(file) : null,
    content_type: file ? contentTypeOf(file) : null,
    instance_id: entry.instanceId,
    backend_type: entry.backendType,
  };
}

/** What the uploader declared, or what the name's extension says. */
export function contentTypeOf(entry: FileEntry): string {
  // As a path: a bare name without a dot would itself be taken for an extension.
  return entry.contentType ?? mime.getType(`/${entry.name}`) ?? UNKNOWN_CONTENT_TYPE;
}

export function representationOf(entry: FileEntry): Representation {
  return { etag: entityTag(entry), mtimeMs: entry.mtimeMs };
}

/** RFC 3339, UTC, whole seconds. */
export function wholeSeconds(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
