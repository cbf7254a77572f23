/** One file of a tree that is being copied: its bytes are copied here, its entry goes where nobody sees it yet. */
import { backendUnavailable } from '../core/errors.ts';
import type { User } from '../core/permissions.ts';
import type { EngineContext } from './engine-context.ts';
import { newFile } from './new-entry.ts';
import { resolvePath } from './resolve-path.ts';
import { retryWhileChanging } from './retry-while-changing.ts';
import { takeBytes } from './take-bytes.ts';
import { assertReadable } from './walk-tree.ts';
import type { CopyTask } from './work.ts';

/** @returns gone: there is no such file any more */
export async function copyInto(
  context: EngineContext,
  user: User,
  { entryId, parentId, name, backendType = context.defaultBackend }: CopyTask,
  signal: AbortSignal,
): Promise<'copied' | 'gone'> {
  return retryWhileChanging(async () => {
    const [original] = await context.store.describeEntries([entryId]);
    if (original?.entry.type !== 'file') return 'gone';
    const { entry, path } = original;
    // Also whether the user still gets there.
    await resolvePath(context, user, path);
    assertReadable(user, entry, path);
    const request = { entry, path, backendType, signal, progress: undefined };
    const staged = await takeBytes(context, request);
    if (!staged) return undefined;
    await using copy = staged;
    const file = newFile(context, name, { user, mode: entry.mode }, copy.asFile(entry.contentType));
    const insert = () => context.store.createEntry({ parentId, missingParents: [], entry: file });
    const outcome = await copy.commit(insert, ({ kind }) => kind === 'created');
    // It exists: an earlier attempt, whose answer got lost, has made it.
    if (outcome.kind !== 'changed') return 'copied';
    throw backendUnavailable('The copy that this file belongs to was given up.');
  });
}
