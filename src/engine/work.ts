/** Long work as its use case sees it: whether it shall go on, and where it tells how far it is. */
import type { BackendType } from '../core/entry.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import type { FileMove } from './move-files.ts';

/** Totals are 0 as long as they are not known. */
export interface WorkProgress {
  filesDone: number;
  filesTotal: number;
  bytesDone: number;
  bytesTotal: number;
}

export interface Work {
  /** Aborted: nothing new begins, what is under way ends soon, and the use case rejects. */
  readonly signal: AbortSignal;
  readonly progress: WorkProgress;
  readonly hands: WorkHands;
}

/** What one instance may ask of any, itself among them, for the user whose work it is. Both reject when that is not possible at all. */
export interface WorkHands {
  /** Lets an instance take a file over, which stays where it is in the namespace. @param backendType undefined: any */
  relocate(path: VirtualPath, targetId: string, backendType: BackendType | undefined): Promise<FileMove>;

  /** Lets an instance copy a file into a directory that nobody sees yet. */
  copyInto(instanceId: string, task: CopyTask, signal: AbortSignal): Promise<'copied' | 'gone'>;
}

export interface CopyTask {
  /** The file that is copied, wherever it is by now. */
  readonly entryId: string;
  readonly parentId: string;
  readonly name: string;
  /** Where the copy's holder shall keep it; undefined: where it keeps new files. */
  readonly backendType: BackendType | undefined;
}

export const noProgress = (): WorkProgress => ({ filesDone: 0, filesTotal: 0, bytesDone: 0, bytesTotal: 0 });
