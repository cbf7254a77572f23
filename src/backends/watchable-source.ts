/**
 * Files that exist beside the namespace, and what happens to them from now on. Like an import source it knows nothing
 * about the namespace, and names are counted from the top.
 */
import type { Holdings } from './backend.ts';
import type { ImportBatch, ImportSource, PathProblem } from './import-source.ts';

export interface WatchObserver {
  /** Something happened, or may have happened, to what has these names. Told again and again while it goes on. */
  touched(names: readonly string[]): void;
  /** Something may have happened without being told: everything must be looked at. */
  missed(): void;
  /** The system lets no more folders be watched; `problem` says so to the operator. What happens in the others is not told. */
  limited(problem: string): void;
}

export interface SourceWatch extends Disposable {
  /** Watches every folder that is there now. Tells of nothing that happened before, so walk after it. */
  refresh(): Promise<void>;
}

export interface WatchableSource extends ImportSource {
  /** The folder, for the operator. */
  readonly top: string;
  /** Whether its files lie in their natural places already: the top is the data root. */
  readonly inPlace: boolean;
  /**
   * Some of what lies in one folder, nothing below it, as `walk` would give it; undefined: the folder is not there.
   * @param names of the folder's children; what is a folder or gone is left out
   */
  pick(folder: readonly string[], names: readonly string[], problem: PathProblem): Promise<ImportBatch | undefined>;
  /** Which files a process of this host has open for writing, by their names joined with `/`; as far as this process may see. */
  beingWritten(): ReadonlySet<string>;
  /** Resolves to what tells the top from another one mounted in its place. Rejects with one line for the operator when it is not there. */
  identify(): Promise<string>;
  watch(problem: PathProblem, observer: WatchObserver): SourceWatch;
  /** What the instance that takes the files up holds, without a claim. */
  openHoldings(): Promise<Holdings>;
}
