/** A file that was edited outside CallFS: what lies on disk becomes the entry's new version. */
import type { Backend } from '../backends/backend.ts';
import type { FileEntry } from '../core/entry.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import type { EngineContext } from './engine-context.ts';

export async function adoptContent(
  context: EngineContext,
  backend: Backend,
  entry: FileEntry,
  path: VirtualPath,
): Promise<void> {
  const observed = await backend.observe(path, context.ids.next());
  if (!observed) return;
  const { content, mtimeMs } = observed;
  if (content.checksum === entry.checksum && content.sizeBytes === entry.sizeBytes) {
    // The same bytes in another file, as after a restore from a backup: no new version.
    await context.store.restampContent(entry.contentId, content.storageStamp);
    return;
  }
  const outcome = await context.store.replaceContent({
    entryId: entry.id,
    expectContentId: entry.contentId,
    instanceId: context.instanceId,
    content,
    contentType: undefined,
    mtimeMs,
    discardPrevious: false,
  });
  if (outcome.kind === 'replaced') context.onAdopted(path);
}
