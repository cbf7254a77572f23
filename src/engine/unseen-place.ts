/**
 * The directory in which copies of trees are made before anybody sees them: no request can name it and no listing shows
 * it. What an instance left there that died is removed when it starts again.
 */
import type { Entry } from '../core/entry.ts';
import { notADirectory } from '../core/errors.ts';
import type { User } from '../core/permissions.ts';
import { COPIES_PATH, namesOf } from '../core/virtual-path.ts';
import type { EngineContext } from './engine-context.ts';
import { newDirectory } from './new-entry.ts';
import { retryWhileChanging } from './retry-while-changing.ts';

const NOBODY: User = { name: 'root', uid: 0, gid: 0, groups: [], admin: true };
const MODE = 0o700;
const PAGE_SIZE = 1000;

type Context = Pick<EngineContext, 'store' | 'ids' | 'clock' | 'instanceId' | 'defaultBackend'>;

/** Its id; it is made when it is missing. */
export async function openUnseenPlace(context: EngineContext): Promise<string> {
  const names = namesOf(COPIES_PATH);
  return retryWhileChanging(async () => {
    const found = await context.store.resolve(names);
    const deepest = found.at(-1);
    if (!deepest || deepest.type === 'file') throw notADirectory(COPIES_PATH);
    if (found.length > names.length) return deepest.id;
    const missing = names
      .slice(found.length - 1)
      .map((name) => newDirectory(context, name, { user: NOBODY, mode: MODE }));
    const entry = missing.pop();
    if (entry) await context.store.createEntry({ parentId: deepest.id, missingParents: missing, entry });
    return undefined;
  });
}

/** Removes a tree from there; one that everybody sees by now stays. */
export async function removeUnseen({ store }: Context, treeId: string, placeId: string): Promise<void> {
  const [tree] = await store.describeEntries([treeId]);
  if (tree?.entry.parentId === placeId) await store.removeTree(treeId, NOBODY);
}

/** Removes what earlier processes of this instance left there. */
export async function removeLeftovers(context: Context): Promise<void> {
  const { store, instanceId } = context;
  const names = namesOf(COPIES_PATH);
  const place = (await store.resolve(names))[names.length];
  if (!place) return;
  const left: Entry[] = [];
  for (let after: string | undefined; ; ) {
    const page = await store.listChildren(place.id, after, PAGE_SIZE);
    left.push(...page.filter((entry) => entry.instanceId === instanceId));
    after = page.at(-1)?.name;
    if (page.length < PAGE_SIZE) break;
  }
  for (const { id } of left) await removeUnseen(context, id, place.id);
}
