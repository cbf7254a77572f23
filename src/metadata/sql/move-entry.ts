/** The move of an entry in the namespace, of a file's bytes to another backend, or of both in one transaction. */
import { type Entry, type FileEntry, ROOT_ID } from '../../core/entry.ts';
import { MAX_PATH_BYTES, pathOfNames, type VirtualPath } from '../../core/virtual-path.ts';
import { isFollowedByDisk } from '../followed-by-disk.ts';
import { MAX_MOVED_PATH_BYTES, type MoveEntry, type MoveOutcome } from '../metadata-store.ts';
import {
  addToOutbox,
  discard,
  findChild,
  findEntry,
  insertEntry,
  namesUpTo,
  removeEntryRow,
  updateEntry,
} from './entry-table.ts';
import { note } from './notes.ts';
import { integer } from './rows.ts';
import type { SqlTransaction } from './sql-database.ts';

export async function moveEntry(tx: SqlTransaction, request: MoveEntry): Promise<MoveOutcome> {
  const { from, to, expectContentId, expectInstanceId, relocated } = request;
  if (isRenamed(request)) await lockPaths(tx);
  const entry = await findEntry(tx, request.entryId);
  if (!entry || entry.id === ROOT_ID || entry.parentId !== from.parentId || entry.name !== from.name) {
    return { kind: 'changed' };
  }
  if (expectContentId !== undefined && (entry.type !== 'file' || entry.contentId !== expectContentId)) {
    return { kind: 'changed' };
  }
  if (expectInstanceId !== undefined && entry.instanceId !== expectInstanceId) return { kind: 'changed' };
  const moved: Entry = { ...entry, name: to.name, version: entry.version + 1 };
  if (!isRenamed(request)) {
    if (entry.type === 'directory' || !relocated) return { kind: 'moved', entry };
    return { kind: 'moved', entry: await relocate(tx, entry, { ...entry, version: moved.version }, relocated) };
  }
  const paths = await findPaths(tx, entry, request);
  if (!('path' in paths)) return paths;
  const room = await makeRoom(tx, request);
  if (room !== undefined) return room;
  const parentId = await insertParents(tx, request);
  if (parentId === undefined) return { kind: 'changed' };
  const placed: Entry = { ...moved, parentId };
  if (placed.type === 'file' && entry.type === 'file') {
    if (relocated) return { kind: 'moved', entry: await relocate(tx, entry, placed, relocated) };
    await addToOutbox(tx, { kind: 'move', file: entry, ...paths });
    if (!isFollowedByDisk(entry)) await note(tx, entry);
  } else {
    await tellEverybody(tx, entry, paths);
  }
  await updateEntry(tx, placed);
  return { kind: 'moved', entry: placed };
}

/** A move that only relocates the bytes changes no path. */
function isRenamed({ from, to }: MoveEntry): boolean {
  return to.parentId !== from.parentId || to.name !== from.name || to.missingParents.length > 0;
}

/**
 * Changes of paths come one after the other: two directories can never be moved into each other at the same time, and
 * paths written to the outbox are those that disks have after everything before. To write the root is the lock: of two
 * transactions that do it side by side one cannot be serialised. Its version tells readers that paths have changed.
 */
export async function lockPaths(tx: SqlTransaction): Promise<void> {
  await tx.all(`UPDATE entries SET version = version + 1 WHERE id = '${ROOT_ID}'`, []);
}

interface Paths {
  readonly path: VirtualPath;
  readonly to: VirtualPath;
}

/** The old path and the new one, unless there cannot be a new one. */
async function findPaths(
  tx: SqlTransaction,
  entry: Entry,
  { to: { parentId, missingParents, name } }: MoveEntry,
): Promise<Paths | MoveOutcome> {
  const parent = parentId === ROOT_ID ? undefined : await findEntry(tx, parentId);
  if (parentId !== ROOT_ID && parent?.type !== 'directory') return { kind: 'changed' };
  if (entry.type === 'directory' && (await isWithin(tx, parentId, entry.id))) return { kind: 'cycle' };
  const above = parentId === ROOT_ID ? [] : await namesUpTo(tx, parentId);
  const names = await namesUpTo(tx, entry.id);
  if (!above || !names) return { kind: 'changed' };
  const path = pathOfNames(names);
  const to = pathOfNames([...above, ...missingParents.map((directory) => directory.name), name]);
  return (await isTooLong(tx, entry, path, to)) ? { kind: 'too-long' } : { path, to };
}

async function isWithin(tx: SqlTransaction, entryId: string, directoryId: string): Promise<boolean> {
  const rows = await tx.all(
    `WITH RECURSIVE up (id, parent_id) AS (
       SELECT id, parent_id FROM entries WHERE id = $1
       UNION ALL
       SELECT e.id, e.parent_id FROM up JOIN entries AS e ON e.id = up.parent_id WHERE up.id <> '${ROOT_ID}'
     ) SELECT 1 AS found FROM up WHERE id = $2`,
    [entryId, directoryId],
  );
  return rows.length > 0;
}

/** Bytes that a name and its slash have at most. */
const MAX_STEP_BYTES = 256;

async function isTooLong(tx: SqlTransaction, entry: Entry, path: VirtualPath, to: VirtualPath): Promise<boolean> {
  const toBytes = Buffer.byteLength(to);
  if (entry.type === 'file') return toBytes > MAX_PATH_BYTES;
  if (toBytes <= Buffer.byteLength(path)) return false;
  // Usually the directories alone show that no file below can have too long a path.
  const directories = await longestBelow(tx, entry.id, "AND e.type = 'directory'");
  if (toBytes + directories + MAX_STEP_BYTES <= MAX_MOVED_PATH_BYTES) return false;
  return toBytes + (await longestBelow(tx, entry.id, '')) > MAX_MOVED_PATH_BYTES;
}

async function longestBelow(tx: SqlTransaction, directoryId: string, condition: string): Promise<number> {
  const [row] = await tx.all(
    `WITH RECURSIVE down (id, bytes) AS (
       SELECT id, CAST(0 AS BIGINT) FROM entries WHERE id = $1
       UNION ALL
       SELECT e.id, down.bytes + 1 + octet_length(e.name) FROM down JOIN entries AS e ON e.parent_id = down.id ${condition}
     ) SELECT CAST(MAX(bytes) AS BIGINT) AS bytes FROM down`,
    [directoryId],
  );
  return row ? integer(row, 'bytes') : 0;
}

/** @returns why there is no room, or undefined when the name is free now */
async function makeRoom(tx: SqlTransaction, { to, replacesId }: MoveEntry): Promise<MoveOutcome | undefined> {
  if (to.missingParents.length > 0) return replacesId === undefined ? undefined : { kind: 'changed' };
  const standing = await findChild(tx, to.parentId, to.name);
  if (!standing) return replacesId === undefined ? undefined : { kind: 'changed' };
  if (standing.id !== replacesId) {
    return replacesId === undefined ? { kind: 'exists', entry: standing } : { kind: 'changed' };
  }
  if (standing.type === 'file') await discard(tx, standing);
  if (!(await removeEntryRow(tx, standing.id))) return { kind: 'not-empty' };
  if (standing.type === 'directory') await note(tx, standing);
  return undefined;
}

/** @returns the id of the directory that the entry goes to; undefined: somebody else has made one of the missing ones */
async function insertParents(tx: SqlTransaction, { to }: MoveEntry): Promise<string | undefined> {
  let { parentId } = to;
  for (const directory of to.missingParents) {
    if (!(await insertEntry(tx, directory, parentId))) return undefined;
    await note(tx, directory);
    parentId = directory.id;
  }
  return parentId;
}

/** Points the file to the copy of its bytes and leaves the old ones to the instance that has them. */
async function relocate(
  tx: SqlTransaction,
  previous: FileEntry,
  moved: FileEntry,
  { content, instanceId, backendType }: NonNullable<MoveEntry['relocated']>,
): Promise<FileEntry> {
  await discard(tx, previous);
  const entry = { ...moved, ...content, instanceId, backendType };
  await updateEntry(tx, entry);
  if (!isFollowedByDisk(entry)) await note(tx, entry);
  return entry;
}

/** Any instance may hold bytes below a directory, in any of its backends; each of them follows at its own pace. */
async function tellEverybody(tx: SqlTransaction, directory: Entry, { path, to }: Paths): Promise<void> {
  await tx.all(
    `INSERT INTO outbox (kind, instance_id, entry_id, path, to_path, backend_type)
     SELECT 'move', id, CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), 'localfs' FROM instances
     UNION ALL
     SELECT 'move', id, CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), 's3' FROM instances WHERE bucket_id <> ''`,
    [directory.id, path, to],
  );
}
