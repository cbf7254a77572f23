/** Files that lie in the data root already, in their natural places. */
import { constants } from 'node:fs';
import { access, lstat } from 'node:fs/promises';
import type { Content } from '../../core/entry.ts';
import type { VirtualPath } from '../../core/virtual-path.ts';
import type { ImportBatch, ImportLook, ImportOutcome, ImportSource, PathProblem } from '../import-source.ts';
import { isAbsent, unlessAbsent } from './descriptor.ts';
import { lookAt } from './import-look.ts';
import { readImport } from './import-read.ts';
import { unreadable, walkImport } from './import-walk.ts';
import { isContent } from './stamp.ts';

export interface ImportInPlaceOptions {
  /** Absolute: the data root. */
  readonly root: string;
  /** Absolute files that are the operator's own, such as the metadata store's. */
  readonly excluded: ReadonlySet<string>;
}

export class ImportInPlace implements ImportSource {
  readonly #options: ImportInPlaceOptions;

  constructor(options: ImportInPlaceOptions) {
    this.#options = options;
  }

  walk(problem: PathProblem): AsyncIterable<ImportBatch> {
    const { root, excluded } = this.#options;
    return walkImport({ top: root, excluded, problem });
  }

  check(_names: readonly string[], path: VirtualPath): Promise<string | undefined> {
    return checkReadable(this.#options.root + path);
  }

  take(_names: readonly string[], path: VirtualPath, contentId: string): Promise<ImportOutcome> {
    return readImport(this.#options.root + path, contentId);
  }

  look(names: readonly string[]): Promise<ImportLook> {
    return lookAt([this.#options.root, ...names].join('/'));
  }

  isInPlace(path: VirtualPath, content: Content): Promise<boolean> {
    return isContentAt(this.#options.root + path, content);
  }

  async isImported(): Promise<boolean> {
    return true;
  }
}

export async function checkReadable(file: string): Promise<string | undefined> {
  try {
    await access(file, constants.R_OK);
    return undefined;
  } catch (error) {
    return isAbsent(error) ? undefined : unreadable(error);
  }
}

export async function isContentAt(file: string, content: Content): Promise<boolean> {
  const stats = await unlessAbsent(lstat(file));
  return stats !== undefined && isContent(stats, content);
}
