/** A file that was edited outside CallFS: what lies on disk becomes the entry's new version. */
import type { Backend } from '../backends/backend.ts';
import { type FileEntry, haveSameBytes } from '../core/entry.ts';
import { backendUnavailable } from '../core/errors.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import { concerns } from './earlier-paths.ts';
import type { EngineContext } from './engine-context.ts';
import { pathsVersionOf } from './resolve-path.ts';

export async function adoptContent(
  context: EngineContext,
  backend: Pick<Backend, 'observe'>,
  entry: FileEntry,
  path: VirtualPath,
): Promise<void> {
  const pathsVersion = await pathsVersionOf(context);
  await assertSettled(context, entry, path);
  const observed = await backend.observe(path, context.ids.next());
  // Once more: what a move of another directory left here for a moment is not what somebody wrote.
  if (!observed) return;
  await assertSettled(context, entry, path);
  if ((await pathsVersionOf(context)) !== pathsVersion) return;
  const { content, mtimeMs } = observed;
  if (haveSameBytes(content, entry)) {
    // The same bytes in another file, as after a restore from a backup: no new version.
    await context.store.restampContent(entry.contentId, content.storageStamp);
    return;
  }
  const outcome = await context.store.replaceContent({
    entryId: entry.id,
    expectContentId: entry.contentId,
    instanceId: context.instanceId,
    backendType: entry.backendType,
    takeOver: false,
    content,
    contentType: undefined,
    mtimeMs,
    discardPrevious: false,
  });
  if (outcome.kind === 'replaced') context.onAdopted(path);
}

/** Rows of which each read may have to do with other paths; so many are left only by a disk that does not follow. */
const OUTBOX_LIMIT = 10_000;

/** @throws CallFSError BACKEND_UNAVAILABLE when the disk has yet to follow a commit that has to do with the path */
async function assertSettled(
  { store, instanceId }: EngineContext,
  { backendType }: FileEntry,
  path: VirtualPath,
): Promise<void> {
  const rows = await store.listOutbox(instanceId, OUTBOX_LIMIT, backendType);
  if (!rows.some((row) => concerns(row, path))) return;
  throw backendUnavailable(`The disk of instance ${instanceId} has not followed the last changes of ${path} yet.`);
}
