/** Opens the files that an instance's data root can take up, from inside it or from another folder. */
import { realpath, stat } from 'node:fs/promises';
import { systemErrorCode } from '../../core/errors.ts';
import type { WatchableSource } from '../watchable-source.ts';
import { assertExpected, assertOwnRoot, claimDataRoot } from './data-root.ts';
import { unlessAbsent } from './descriptor.ts';
import { DirectorySync } from './directory-sync.ts';
import { ImportFolderFiles } from './import-folder.ts';
import { ImportInPlace } from './import-in-place.ts';
import { Layout } from './layout.ts';
import { WatchableImport } from './watchable-import.ts';

export interface LocalImportOptions {
  /** Absolute. */
  readonly root: string;
  readonly instanceId: string;
  /** Absolute; undefined: what lies in the root itself. */
  readonly folder: string | undefined;
  readonly copy: boolean;
  /** Whether the namespace has files that must lie in this root. */
  readonly holdsFiles: () => Promise<boolean>;
  readonly durable: boolean;
  /** Absolute files that are the operator's own, such as the metadata store's. */
  readonly excluded: readonly string[];
  /** Nothing will be taken, so a root that no instance has used stays as it is. */
  readonly readOnly: boolean;
}

/** @throws Error with one line for the operator when a folder is missing or not the instance's */
export async function openLocalImport(options: LocalImportOptions): Promise<WatchableSource> {
  const layout = new Layout(options.root);
  const root = await realFolder(layout.root);
  await assertRoot(layout, options);
  const excluded = new Set(options.excluded);
  if (options.folder === undefined) {
    const source = new ImportInPlace({ root: layout.root, excluded });
    return new WatchableImport({ ...options, source, top: layout.root, realTop: root, inPlace: true, excluded });
  }
  const folder = await realFolder(options.folder);
  if (isWithin(folder, root) || isWithin(root, folder)) {
    throw new Error(
      `${options.folder} and the data root ${layout.root} lie in each other; ` +
        'without a folder "callfs adopt" takes what lies in the data root.',
    );
  }
  const directories = new DirectorySync(options.durable);
  const source = new ImportFolderFiles({ ...options, layout, directories, folder, excluded });
  return new WatchableImport({ ...options, source, top: folder, realTop: folder, inPlace: false, excluded });
}

/** A root that no instance has used yet becomes this instance's. */
async function assertRoot(layout: Layout, { instanceId, readOnly, holdsFiles }: LocalImportOptions): Promise<void> {
  if (await unlessAbsent(stat(layout.identity))) return assertOwnRoot(layout, instanceId);
  await assertExpected(layout, instanceId, holdsFiles);
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
