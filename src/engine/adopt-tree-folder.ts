/** The directory of the namespace for a folder on disk, made with the folder's mode and time when it is missing. */
import type { ImportFolder } from '../backends/import-source.ts';
import type { Entry } from '../core/entry.ts';
import type { User } from '../core/permissions.ts';
import { namesOf, pathOfNames, type VirtualPath } from '../core/virtual-path.ts';
import type { NewDirectory } from '../metadata/metadata-store.ts';
import type { EngineContext } from './engine-context.ts';
import { newDirectory } from './new-entry.ts';
import { retryWhileChanging } from './retry-while-changing.ts';

export interface FolderRequest {
  readonly into: VirtualPath;
  /** From the one that becomes `into` down to the one that is wanted. */
  readonly folders: readonly ImportFolder[];
  readonly owner: User;
  readonly dryRun: boolean;
}

export type AdoptedFolder =
  /** `created`: directories that were made, its own the last. */
  | { readonly kind: 'opened'; readonly id: string; readonly created: number }
  /** Only on a dry run. */
  | { readonly kind: 'missing' }
  | BlockedFolder;

/** A file of the namespace stands in the way. */
export interface BlockedFolder {
  readonly kind: 'blocked';
  readonly path: VirtualPath;
  readonly by: Entry;
}

export function openFolder(context: EngineContext, request: FolderRequest): Promise<AdoptedFolder> {
  const into = namesOf(request.into);
  const names = [...into, ...request.folders.slice(1).map(({ name }) => name)];
  return retryWhileChanging(async () => {
    const chain = await context.store.resolve(names);
    const deepest = chain.at(-1);
    if (!deepest) throw new TypeError('The store resolved a path without the root.');
    if (deepest.type === 'file') return { kind: 'blocked', path: pathOfNames(names, chain.length - 1), by: deepest };
    if (chain.length > names.length) return { kind: 'opened', id: deepest.id, created: 0 };
    if (request.dryRun) return { kind: 'missing' };
    const missing = names.map((name, depth) => toDirectory(context, request, name, depth - into.length + 1));
    return create(context, deepest.id, missing.slice(chain.length - 1));
  });
}

/** Undefined: somebody else was faster, in whole or in part. */
async function create(
  context: EngineContext,
  parentId: string,
  missing: readonly NewDirectory[],
): Promise<AdoptedFolder | undefined> {
  const entry = missing.at(-1);
  if (!entry) throw new TypeError('No directory is missing.');
  const outcome = await context.store.createEntry({ parentId, missingParents: missing.slice(0, -1), entry });
  return outcome.kind === 'created' ? { kind: 'opened', id: entry.id, created: missing.length } : undefined;
}

/** @param index of its folder; negative: the directory has none */
function toDirectory(context: EngineContext, { owner, folders }: FolderRequest, name: string, index: number) {
  const folder = index < 0 ? undefined : folders[index];
  const directory = newDirectory(context, name, { user: owner, mode: folder?.mode });
  return folder ? { ...directory, mtimeMs: folder.mtimeMs } : directory;
}
