/** Files in a bucket that several instances have: each of them reads all, and can become the owner of any. */
import type { FileEntry } from '../core/entry.ts';
import type { EngineContext } from './engine-context.ts';

/** Whether this instance reaches the bytes of a file that another one owns. */
export async function isShared(
  { instanceId, backends, sharesBucketWith }: EngineContext,
  entry: FileEntry,
): Promise<boolean> {
  if (entry.instanceId === instanceId || entry.backendType !== 's3' || !backends.has('s3')) return false;
  return (await sharesBucketWith?.(entry.instanceId)) ?? false;
}

/**
 * Makes a shared file this instance's; nothing but its owner changes. Whatever the former owner is about to commit for
 * it comes to nothing from then on.
 * @returns false: it is gone, or somebody else's by now
 */
export async function takeOver(context: EngineContext, entry: FileEntry): Promise<boolean> {
  const { store, instanceId, backends } = context;
  if (!(await store.takeOverEntry({ entryId: entry.id, from: entry.instanceId, to: instanceId }))) return false;
  backends.get(entry.backendType)?.takenOver?.(entry.contentId);
  return true;
}

/**
 * The same for whoever does not know whether the former owner did something to the file that it was asked for.
 * @returns false also when the file is not as it was when it was looked up: then it may have been done
 */
export async function takeOverUntouched(context: EngineContext, entry: FileEntry): Promise<boolean> {
  if (!(await takeOver(context, entry))) return false;
  const [taken] = await context.store.describeEntries([entry.id]);
  // To take it over made one version.
  return taken?.entry.instanceId === context.instanceId && taken.entry.version === entry.version + 1;
}
