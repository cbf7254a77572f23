/** Opens the files that an instance's data root can take up, from inside it or from another folder. */
import { realpath, stat } from 'node:fs/promises';
import { systemErrorCode } from '../../core/errors.ts';
import type { ImportSource } from '../import-source.ts';
import { assertOwnRoot, claimDataRoot } from './data-root.ts';
import { unlessAbsent } from './descriptor.ts';
import { DirectorySync } from './directory-sync.ts';
import { ImportFolderFiles } from './import-folder.ts';
import { ImportInPlace } from './import-in-place.ts';
import { Layout } from './layout.ts';

export interface LocalImportOptions {
  /** Absolute. */
  readonly root: string;
  readonly instanceId: string;
  /** Absolute; undefined: what lies in the root itself. */
  readonly folder: string | undefined;
  readonly copy: boolean;
  readonly durable: boolean;
  /** Absolute files that are the operator's own, such as the metadata store's. */
  readonly excluded: readonly string[];
  /** Nothing will be taken, so a root that no instance has used stays as it is. */
  readonly readOnly: boolean;
}

/** @throws Error with one line for the operator when a folder is missing or not the instance's */
export async function openLocalImport(options: LocalImportOptions): Promise<ImportSource> {
  const layout = new Layout(options.root);
  const root = await realFolder(layout.root);
  await assertRoot(layout, options);
  const excluded = new Set(options.excluded);
  if (options.folder === undefined) return new ImportInPlace({ root: layout.root, excluded });
  const folder = await realFolder(options.folder);
  if (isWithin(folder, root) || isWithin(root, folder)) {
    throw new Error(
      `${options.folder} and the data root ${layout.root} lie in each other; ` +
        'without a folder "callfs adopt" takes what lies in the data root.',
    );
  }
  return new ImportFolderFiles({
    ...options,
    layout,
    directories: new DirectorySync(options.durable),
    folder,
    excluded,
  });
}

/** A root that no instance has used yet becomes this instance's. */
async function assertRoot(layout: Layout, { instanceId, readOnly }: LocalImportOptions): Promise<void> {
  if (await unlessAbsent(stat(layout.identity))) return assertOwnRoot(layout, instanceId);
  if (!readOnly) (await claimDataRoot(layout, instanceId))[Symbol.dispose]();
}

async function realFolder(folder: string): Promise<string> {
  try {
    if ((await stat(folder)).isDirectory()) return await realpath(folder);
  } catch (error) {
    throw new Error(`The folder ${folder} cannot be read (${systemErrorCode(error) ?? 'unknown error'}).`, {
      cause: error,
    });
  }
  throw new Error(`${folder} is not a folder.`);
}

function isWithin(inner: string, outer: string): boolean {
  return `${inner}/`.startsWith(outer === '/' ? '/' : `${outer}/`);
}
