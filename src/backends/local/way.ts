/**
 * The way to natural places on the disk: what stands in it, moving that aside without destroying it, and leaving no
 * empty directories behind.
 */
import type { Stats } from 'node:fs';
import { lstat, mkdir, realpath, rename, rmdir } from 'node:fs/promises';
import { dirname, relative } from 'node:path';
import { systemErrorCode } from '../../core/errors.ts';
import { unlessAbsent } from './descriptor.ts';
import type { Layout } from './layout.ts';

export interface WayOptions {
  readonly layout: Layout;
  /** Told when a file that CallFS does not know was moved out of the way. */
  readonly onLostAndFound: (from: string, to: string) => void;
}

export class Way {
  readonly #layout: Layout;
  readonly #onLostAndFound: WayOptions['onLostAndFound'];
  /** Directories whose names changed and are not yet durable. */
  readonly touched = new Set<string>();
  /** Directories found in this round to be reached without symbolic links. */
  readonly #plain = new Set<string>();

  constructor({ layout, onLostAndFound }: WayOptions) {
    this.#layout = layout;
    this.#onLostAndFound = onLostAndFound;
  }

  /** What was known of the disk may have changed. */
  beginRound(): void {
    this.#plain.clear();
  }

  /**
   * The file or directory that stops `to` from being written; undefined when the way is free.
   * @param mayGo whether a file that stands at `to` itself may be replaced
   */
  async findObstacle(to: string, mayGo: (stats: Stats) => boolean): Promise<string | undefined> {
    const stats = await this.#lstatBelowFiles(to);
    if (stats === undefined || stats.file === to) {
      const link = await this.findLink(to);
      if (link !== undefined) return link;
    }
    if (stats === undefined) return undefined;
    if (stats.file !== to) return stats.file;
    if (stats.isDirectory()) return (await removedIfEmpty(to)) ? undefined : to;
    return mayGo(stats) ? undefined : to;
  }

  /** What is at `file`, or the nearest thing above it that is no directory. */
  async #lstatBelowFiles(file: string): Promise<(Stats & { file: string }) | undefined> {
    try {
      return Object.assign(await lstat(file), { file });
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return undefined;
      if (systemErrorCode(error) !== 'ENOTDIR') throw error;
    }
    for (let above = dirname(file); above.length > this.#layout.root.length; above = dirname(above)) {
      const stats = await unlessAbsent(lstat(above));
      if (stats && !stats.isDirectory()) return Object.assign(stats, { file: above });
    }
    return undefined;
  }

  /** The topmost symbolic link among the directories above `file`: what lies behind it is not in this root. */
  async findLink(file: string): Promise<string | undefined> {
    const directory = dirname(file);
    if (this.#plain.has(directory)) return undefined;
    if ((await unlessAbsent(realpath(directory))) === directory) {
      this.#plain.add(directory);
      return undefined;
    }
    let above = this.#layout.root;
    for (const name of relative(this.#layout.root, directory).split('/')) {
      above = `${above}/${name}`;
      if ((await unlessAbsent(lstat(above)))?.isSymbolicLink()) return above;
    }
    return undefined;
  }

  async moveAside(obstacle: string): Promise<void> {
    const place = relative(this.#layout.root, obstacle).replaceAll('/', '%2F').slice(0, 150);
    for (let number = 1; ; number++) {
      const to = `${this.#layout.lostAndFound}/${number}-${place}`;
      if (await unlessAbsent(lstat(to))) continue;
      await rename(obstacle, to);
      this.touched.add(dirname(obstacle)).add(this.#layout.lostAndFound);
      this.#onLostAndFound(obstacle, to);
      return;
    }
  }

  /** Renames, making the directories that are missing above `to`. */
  async rename(from: string, to: string): Promise<void> {
    try {
      await rename(from, to);
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error;
      await mkdir(dirname(to), { recursive: true });
      await rename(from, to);
    }
    this.touched.add(dirname(from)).add(dirname(to));
  }

  #mayPrune(directory: string): boolean {
    const { internal, copies } = this.#layout;
    return !directory.startsWith(internal) || directory.startsWith(`${copies}/`);
  }

  /** Removes `directory` and those above it for as long as they are empty. */
  async pruneEmpty(from: string): Promise<void> {
    let directory = from;
    while (directory.length > this.#layout.root.length && this.#mayPrune(directory)) {
      if (!(await removedIfEmpty(directory))) break;
      this.#plain.delete(directory);
      directory = dirname(directory);
    }
    this.touched.add(directory);
  }
}

async function removedIfEmpty(directory: string): Promise<boolean> {
  try {
    await rmdir(directory);
    return true;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOENT') return true;
    if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'ENOTDIR') return false;
    throw error;
  }
}
