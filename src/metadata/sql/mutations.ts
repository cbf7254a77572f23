/**
 * Every change of the namespace, each as one function of a transaction and plain data, so that a
 * driver may run it in another thread, put several into one commit, or repeat it.
 */
import { type Entry, type FileEntry, ROOT_ID } from '../../core/entry.ts';
import { EXECUTE, maySeverChild, permits, READ, type User, WRITE } from '../../core/permissions.ts';
import { pathOfNames, type VirtualPath } from '../../core/virtual-path.ts';
import { withAttributes } from '../changed-attributes.ts';
import { isFollowedByDisk } from '../followed-by-disk.ts';
import type { Heartbeat, HeartbeatOutcome, InstanceFiles, RegisterInstance } from '../instance-store.ts';
import type {
  ChangeAttributes,
  ChangeAttributesOutcome,
  CreateEntry,
  CreateOutcome,
  RemoveEntry,
  RemoveOutcome,
  RemoveTreeOutcome,
  ReplaceContent,
  ReplaceOutcome,
} from '../metadata-store.ts';
import { announcePlace, holdsFiles, relocateContent, takeOverEntry } from './content-places.ts';
import {
  discard,
  findChild,
  findEntry,
  findFile,
  insertEntry,
  namesUpTo,
  removeEntryRow,
  updateEntry,
} from './entry-table.ts';
import { addJob, finishJob, forgetFinishedJobs, forgetJob, loseJobs, reportJob, requestJobCancel } from './jobs.ts';
import { handOverDirectories, removeInstance, setDraining } from './leave-cluster.ts';
import { addLink, claimLink, forgetLinks, releaseLink, useLink } from './links.ts';
import { lockPaths, moveEntry } from './move-entry.ts';
import { forgetNotes, note } from './notes.ts';
import { beginRebuild, endRebuild, finishRebuild, identify, moveToPlaces, restoreEntries } from './rebuild.ts';
import { ENTRY_COLUMNS, entryColumnsOf, integer, text, toEntry } from './rows.ts';
import type { SqlTransaction } from './sql-database.ts';
import { addUpload, changeUpload, finishUpload, isUnfinished, removeUpload } from './uploads.ts';

async function createEntry(tx: SqlTransaction, request: CreateEntry): Promise<CreateOutcome> {
  if (!(await isUnfinished(tx, request.finishesUpload))) return { kind: 'changed' };
  if (!(await makeRoom(tx, request))) return { kind: 'changed' };
  let parentId = request.parentId;
  for (const directory of request.missingParents) {
    if (!(await insertEntry(tx, directory, parentId))) return { kind: 'changed' };
    await note(tx, directory);
    parentId = directory.id;
  }
  if (await insertEntry(tx, request.entry, parentId)) {
    if (request.isInPlace || !isFollowedByDisk(request.entry)) await note(tx, request.entry);
    await finishUpload(tx, request.finishesUpload);
    return { kind: 'created', entry: { ...request.entry, parentId, version: 1 } };
  }
  // Nothing can lie in a directory made just now: an id is used twice. Failing undoes the parents as well.
  if (parentId !== request.parentId) throw new Error(`The id of the new entry ${request.entry.id} is taken.`);
  const winner = await findChild(tx, parentId, request.entry.name);
  return winner ? { kind: 'exists', entry: winner } : { kind: 'changed' };
}

/** False: what stands there is not what the caller resolved. */
async function makeRoom(tx: SqlTransaction, request: CreateEntry): Promise<boolean> {
  const { parentId, missingParents, entry, replacesId } = request;
  if (replacesId === undefined) return true;
  const standing = missingParents.length > 0 ? undefined : await findChild(tx, parentId, entry.name);
  if (standing?.type !== 'file' || standing.id !== replacesId) return false;
  await discard(tx, standing);
  return await removeEntryRow(tx, standing.id);
}

async function replaceContent(tx: SqlTransaction, request: ReplaceContent): Promise<ReplaceOutcome> {
  if (!(await isUnfinished(tx, request.finishesUpload))) return { kind: 'changed' };
  const previous = await findFile(tx, request.entryId);
  if (!previous || (previous.instanceId !== request.instanceId && !request.takeOver)) return { kind: 'changed' };
  if (request.expectContentId !== undefined && previous.contentId !== request.expectContentId)
    return { kind: 'changed' };
  if (request.discardPrevious || previous.instanceId !== request.instanceId) await discard(tx, previous);
  const { content, contentType, mtimeMs, instanceId, backendType } = request;
  const { sha256: _ofPrevious, ...kept } = previous;
  const entry: FileEntry = {
    ...kept,
    ...content,
    etag: content.contentId,
    instanceId,
    backendType,
    contentType: contentType === undefined ? previous.contentType : contentType,
    mtimeMs,
    version: previous.version + 1,
  };
  await updateEntry(tx, entry);
  if (!request.discardPrevious || !isFollowedByDisk(entry)) await note(tx, entry);
  await finishUpload(tx, request.finishesUpload);
  return { kind: 'replaced', entry };
}

interface RestampContent {
  readonly contentId: string;
  readonly storageStamp: string;
}

async function restampContent(tx: SqlTransaction, { contentId, storageStamp }: RestampContent): Promise<void> {
  const sql = 'UPDATE entries SET storage_stamp = $2 WHERE content_id = $1 RETURNING id, instance_id';
  for (const row of await tx.all(sql, [contentId, storageStamp])) {
    await note(tx, { id: text(row, 'id'), instanceId: text(row, 'instance_id') });
  }
}

async function removeEntry(tx: SqlTransaction, request: RemoveEntry): Promise<RemoveOutcome> {
  const { entryId, expectContentId, expectInstanceId } = request;
  const entry = await findEntry(tx, entryId);
  const contentId = entry?.type === 'file' ? entry.contentId : undefined;
  if (expectContentId !== undefined && contentId !== expectContentId) return { kind: 'changed' };
  if (expectInstanceId !== undefined && entry?.instanceId !== expectInstanceId) return { kind: 'changed' };
  if (entry?.type === 'file') await discard(tx, entry);
  if (await removeEntryRow(tx, entryId)) {
    if (entry?.type === 'directory') await note(tx, entry);
    return { kind: 'removed' };
  }
  const [stillThere] = await tx.all('SELECT id FROM entries WHERE id = $1', [entryId]);
  return stillThere ? { kind: 'not-empty' } : { kind: 'changed' };
}

// The empty piece of a name gives the path the column's collation, which PostgreSQL wants in both halves.
const SUBTREE = `
  WITH RECURSIVE subtree AS (
    SELECT ${entryColumnsOf('top')}, $2 || substr(top.name, 1, 0) AS path FROM entries AS top WHERE top.id = $1
    UNION ALL
    SELECT ${entryColumnsOf('child')}, subtree.path || '/' || child.name
    FROM subtree JOIN entries AS child ON child.parent_id = subtree.id
  )`;

interface RemoveTree {
  readonly directoryId: string;
  readonly user: User;
}

async function removeTree(tx: SqlTransaction, { directoryId, user }: RemoveTree): Promise<RemoveTreeOutcome> {
  await lockPaths(tx);
  const names = await namesUpTo(tx, directoryId);
  if (!names) return { kind: 'changed' };
  const tree = [directoryId, pathOfNames(names)];
  if (!user.admin) {
    const denied = await findUnremovable(tx, tree, user);
    if (denied) return { kind: 'denied', path: denied };
  }
  await tx.all(
    `${SUBTREE} INSERT INTO outbox
       (kind, instance_id, entry_id, path, backend_type, content_id, size_bytes, checksum, storage_key, storage_stamp)
     SELECT 'discard', instance_id, id, path, backend_type, content_id, size_bytes, checksum, storage_key, storage_stamp
     FROM subtree WHERE type = 'file'`,
    tree,
  );
  await tx.all(
    `${SUBTREE} INSERT INTO notes (instance_id, entry_id) SELECT instance_id, id FROM subtree
     WHERE type = 'directory' OR backend_type <> 'localfs'`,
    tree,
  );
  const removed = await tx.all(`${SUBTREE} DELETE FROM entries WHERE id IN (SELECT id FROM subtree) RETURNING 1`, tree);
  return { kind: 'removed', count: removed.length };
}

/** The first directory below (or the top itself) that the user may not empty. */
async function findUnremovable(
  tx: SqlTransaction,
  tree: readonly string[],
  user: User,
): Promise<VirtualPath | undefined> {
  const directories = new Map<string, Entry>();
  // A parent comes before its children: the recursion finds them in that order.
  for (const row of await tx.all(`${SUBTREE} SELECT ${ENTRY_COLUMNS}, path FROM subtree`, tree)) {
    const entry = toEntry(row);
    const parent = directories.get(entry.parentId);
    if (parent && !(permits(user, parent, READ | WRITE | EXECUTE) && maySeverChild(user, parent, entry))) {
      return text(row, 'path').replace(/\/[^/]*$/, '') as VirtualPath;
    }
    if (entry.type === 'directory') directories.set(entry.id, entry);
  }
  return undefined;
}

async function forgetOutbox(tx: SqlTransaction, seqs: readonly number[]): Promise<void> {
  for (const seq of seqs) await tx.all('DELETE FROM outbox WHERE seq = $1', [seq]);
}

async function registerInstance(tx: SqlTransaction, request: RegisterInstance): Promise<boolean> {
  const { id, endpoint, publicUrl, bootId, version, process, bucketId = '', nowMs, replaces } = request;
  const columns = [id, endpoint, bootId, nowMs, version, process, publicUrl, bucketId];
  const registered = replaces
    ? await tx.all(
        `UPDATE instances SET endpoint = $2, boot_id = $3, beat = beat + 1, last_seen_ms = $4, stopped = 0,
           version = $5, process = $6, public_url = $7, bucket_id = $8
         WHERE id = $1 AND boot_id = $9 AND beat = $10 RETURNING id`,
        [...columns, replaces.bootId, replaces.beat],
      )
    : await tx.all(
        `INSERT INTO instances (id, endpoint, boot_id, beat, last_seen_ms, stopped, version, process, public_url,
           bucket_id) VALUES ($1, $2, $3, 1, $4, 0, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING id`,
        columns,
      );
  if (registered.length === 0) return false;
  const claimed = await tx.all(
    `UPDATE entries SET instance_id = $1, mtime_ms = $2, created_at_ms = $2 WHERE id = '${ROOT_ID}' AND instance_id = ''
     RETURNING id`,
    [id, nowMs],
  );
  if (claimed.length > 0) await note(tx, { id: ROOT_ID, instanceId: id });
  return true;
}

async function heartbeat(tx: SqlTransaction, beat: Heartbeat): Promise<HeartbeatOutcome> {
  const { id, bootId, endpoint, nowMs } = beat;
  const [updated] = await tx.all(
    `UPDATE instances SET beat = beat + 1, endpoint = $3, last_seen_ms = $4
     WHERE id = $1 AND boot_id = $2 RETURNING draining`,
    [id, bootId, endpoint, nowMs],
  );
  if (!updated) return 'replaced';
  return integer(updated, 'draining') === 0 ? 'alive' : 'draining';
}

type Boot = Pick<Heartbeat, 'id' | 'bootId'>;

async function markStopped(tx: SqlTransaction, { id, bootId }: Boot): Promise<void> {
  await tx.all('UPDATE instances SET stopped = 1 WHERE id = $1 AND boot_id = $2', [id, bootId]);
}

/** Only reads, but as a mutation it runs where a long statement holds no request up. */
async function countFiles(tx: SqlTransaction, _request: undefined): Promise<InstanceFiles[]> {
  const rows = await tx.all(
    `SELECT instance_id, COUNT(*) AS files, CAST(SUM(size_bytes) AS BIGINT) AS size_bytes FROM entries
     WHERE type = 'file' GROUP BY instance_id ORDER BY instance_id`,
    [],
  );
  return rows.map((row) => ({
    instanceId: text(row, 'instance_id'),
    files: integer(row, 'files'),
    sizeBytes: integer(row, 'size_bytes'),
  }));
}

async function changeAttributes(tx: SqlTransaction, request: ChangeAttributes): Promise<ChangeAttributesOutcome> {
  const previous = await findEntry(tx, request.entryId);
  if (previous?.version !== request.expectVersion) return { kind: 'changed' };
  const entry = withAttributes(previous, request);
  await updateEntry(tx, entry);
  await note(tx, entry);
  return { kind: 'attributes-changed', entry };
}

export const mutations = {
  createEntry,
  replaceContent,
  restampContent,
  holdsFiles,
  announcePlace,
  relocateContent,
  takeOverEntry,
  removeEntry,
  removeTree,
  moveEntry,
  changeAttributes,
  forgetOutbox,
  registerInstance,
  heartbeat,
  markStopped,
  setDraining,
  handOverDirectories,
  removeInstance,
  countFiles,
  addJob,
  reportJob,
  finishJob,
  requestJobCancel,
  forgetJob,
  forgetFinishedJobs,
  loseJobs,
  forgetNotes,
  identify,
  beginRebuild,
  restoreEntries,
  moveToPlaces,
  finishRebuild,
  endRebuild,
  addLink,
  claimLink,
  useLink,
  releaseLink,
  forgetLinks,
  addUpload,
  changeUpload,
  removeUpload,
};

export type MutationName = keyof typeof mutations;
export type MutationRequest<N extends MutationName> = Parameters<(typeof mutations)[N]>[1];
export type MutationResult<N extends MutationName> = Awaited<ReturnType<(typeof mutations)[N]>>;
