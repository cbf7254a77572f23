/** Files that lie in the data root already, in their natural places. */
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import type { VirtualPath } from '../../core/virtual-path.ts';
import type { ImportBatch, ImportOutcome, ImportSource, PathProblem } from '../import-source.ts';
import { isAbsent } from './descriptor.ts';
import { readImport } from './import-read.ts';
import { unreadable, walkImport } from './import-walk.ts';

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
