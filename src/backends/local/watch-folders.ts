/**
 * Notices what happens below a folder: one watch of the system for each folder and none for files, so that it is
 * the folders that count against the system's limit.
 */
import { type FSWatcher, type Stats, watch } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { systemErrorCode } from '../../core/errors.ts';
import type { PathProblem } from '../import-source.ts';
import type { SourceWatch, WatchObserver } from '../watchable-source.ts';
import { isAbsent, unlessAbsent } from './descriptor.ts';

export interface FolderWatchOptions {
  /** Absolute. */
  readonly top: string;
  /** Whether what has these names is nobody's business: CallFS's own files, and the operator's. */
  readonly isLeftOut: (names: readonly string[]) => boolean;
  /** What it says of a folder holds for all below, so that is not watched. */
  readonly problem: PathProblem;
  readonly observer: WatchObserver;
}

interface Watched {
  readonly watcher: FSWatcher;
  readonly identity: string;
}

/** Linux queues 16,384 events by default and says nothing here when it drops more; half of them at once are suspicious. */
const MANY_EVENTS = 8192;

export class FolderWatch implements SourceWatch {
  readonly #options: FolderWatchOptions;
  /** By the folder's names, joined with `/`. */
  readonly #watched = new Map<string, Watched>();
  /** What appeared or went, to be looked at: it may be a folder. */
  readonly #unchecked = new Set<string>();
  #checking = false;
  #limited = false;
  #closed = false;
  #eventsInTurn = 0;

  constructor(options: FolderWatchOptions) {
    this.#options = options;
  }

  async refresh(): Promise<void> {
    this.#limited = false;
    const seen = new Set<string>();
    await this.#descend('', (key, isFolder) => {
      if (isFolder) seen.add(key);
    });
    for (const key of this.#watched.keys()) if (!seen.has(key)) this.#forget(key);
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    for (const { watcher } of this.#watched.values()) watcher.close();
    this.#watched.clear();
  }

  /** Watches a folder and all below it, telling of everything found; each folder is watched before it is listed. */
  async #descend(from: string, onFound: (key: string, isFolder: boolean) => void): Promise<void> {
    const waiting = [from];
    for (let key = waiting.pop(); key !== undefined && !this.#closed; key = waiting.pop()) {
      onFound(key, true);
      try {
        await this.#watch(key);
        for (const found of await readdir(this.#fileOf(key), { withFileTypes: true })) {
          const child = key === '' ? found.name : `${key}/${found.name}`;
          if (this.#options.isLeftOut(namesOf(child))) continue;
          if (found.isDirectory() && this.#options.problem(namesOf(child)) === undefined) waiting.push(child);
          else onFound(child, false);
        }
      } catch (error) {
        // What cannot be read is told by whoever walks the folder.
        if (!isAbsent(error) && systemErrorCode(error) !== 'EACCES') throw error;
      }
    }
  }

  async #watch(key: string): Promise<void> {
    const file = this.#fileOf(key);
    const stats = await lstat(file);
    const known = this.#watched.get(key);
    if (this.#closed || this.#limited || known?.identity === identityOf(stats)) return;
    if (known) this.#forget(key);
    try {
      const watcher = watch(file, (event, name) => this.#onEvent(key, event, name));
      watcher.on('error', () => this.#onError(key, watcher));
      this.#watched.set(key, { watcher, identity: identityOf(stats) });
    } catch (error) {
      this.#onRefused(error);
    }
  }

  #onRefused(error: unknown): void {
    const code = systemErrorCode(error);
    if (code !== 'ENOSPC' && code !== 'EMFILE') throw error;
    this.#limited = true;
    const [limit, now] =
      code === 'ENOSPC' ? ['max_user_watches', 'inotify watches'] : ['max_user_instances', 'inotify instances'];
    this.#options.observer.limited(
      `The system allows no more ${now}, so ${this.#watched.size} folders are watched and the others are not. ` +
        `Raise the limit with "sysctl fs.inotify.${limit}=<more>", one watch for each folder.`,
    );
  }

  #onError(key: string, watcher: FSWatcher): void {
    if (this.#watched.get(key)?.watcher !== watcher) return;
    this.#forget(key);
    this.#options.observer.missed();
  }

  #onEvent(folder: string, event: string, name: string | null): void {
    this.#countEvent();
    if (name === null) {
      this.#options.observer.missed();
      return;
    }
    const key = folder === '' ? name : `${folder}/${name}`;
    if (this.#options.isLeftOut(namesOf(key))) return;
    this.#options.observer.touched(namesOf(key));
    if (event !== 'rename') return;
    this.#unchecked.add(key);
    if (!this.#checking) void this.#check();
  }

  #countEvent(): void {
    if (this.#eventsInTurn++ === 0) setImmediate(() => this.#endTurn());
  }

  #endTurn(): void {
    if (this.#eventsInTurn >= MANY_EVENTS) this.#options.observer.missed();
    this.#eventsInTurn = 0;
  }

  /** Folders that came are watched, those that went are not any more. */
  async #check(): Promise<void> {
    this.#checking = true;
    try {
      for (const key of this.#unchecked) {
        this.#unchecked.delete(key);
        const stats = await unlessAbsent(lstat(this.#fileOf(key)));
        if (stats?.isDirectory() && this.#options.problem(namesOf(key)) === undefined) {
          await this.#descend(key, (found) => this.#options.observer.touched(namesOf(found)));
        } else this.#forget(key);
      }
    } catch {
      // The disk reports an error; whoever walks it tells which.
      this.#options.observer.missed();
    } finally {
      this.#checking = false;
    }
  }

  /** No longer watches a folder and those below it. */
  #forget(key: string): void {
    const known = this.#watched.get(key);
    if (!known) return;
    known.watcher.close();
    this.#watched.delete(key);
    for (const below of this.#watched.keys()) if (below.startsWith(`${key}/`)) this.#forget(below);
  }

  #fileOf(key: string): string {
    return key === '' ? this.#options.top : `${this.#options.top}/${key}`;
  }
}

function namesOf(key: string): string[] {
  return key === '' ? [] : key.split('/');
}

function identityOf({ dev, ino }: Stats): string {
  return `${dev}-${ino}`;
}
