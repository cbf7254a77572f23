/**
 * Moves files between staging and their natural places, one at a time, without ever destroying bytes
 * the namespace does not know.
 */
import type { Stats } from 'node:fs';
import { lstat, mkdir, realpath, rename, rmdir, unlink } from 'node:fs/promises';
import { dirname, relative } from 'node:path';
import { systemErrorCode } from '../../core/errors.ts';
import type { VirtualPath } from '../../core/virtual-path.ts';
import type { Discarded } from '../backend.ts';
import { unlessAbsent } from './descriptor.ts';
import type { Layout } from './layout.ts';
import { isContent, stampOf } from './stamp.ts';

export interface Placement {
  readonly contentId: string;
  readonly path: VirtualPath;
}

export interface PlacerOptions {
  readonly layout: Layout;
  /** Told when a file that CallFS does not know was moved out of the way. */
  readonly onLostAndFound: (from: string, to: string) => void;
  /** Whether the namespace has a file of this instance at a path now. */
  readonly hasFile: (path: VirtualPath) => Promise<boolean>;
}

export class Placer {
  readonly #layout: Layout;
  readonly #onLostAndFound: PlacerOptions['onLostAndFound'];
  readonly #hasFile: PlacerOptions['hasFile'];
  /** Directories whose names changed and are not yet durable. */
  readonly touched = new Set<string>();
  /** Discarded content → the stamp of another file that was seen in its place and seemed to be nobody's. */
  readonly #strays = new Map<string, string>();
  /** Directories found in this round to be reached without symbolic links. */
  readonly #plain = new Set<string>();

  constructor({ layout, onLostAndFound, hasFile }: PlacerOptions) {
    this.#layout = layout;
    this.#onLostAndFound = onLostAndFound;
    this.#hasFile = hasFile;
  }

  /** What was known of the disk may have changed. */
  beginRound(): void {
    this.#plain.clear();
  }

  /**
   * Brings staged content to its natural place, replacing `known` garbage there.
   * @returns false when something else is in the way; `place` again with `force` once all garbage is gone
   */
  async place({ contentId, path }: Placement, known: readonly Discarded[], force = false): Promise<boolean> {
    const from = this.#layout.stagingFile(contentId);
    const to = this.#layout.naturalFile(path, contentId);
    if (!(await unlessAbsent(lstat(from)))) return true;
    const obstacle = await this.#findObstacle(to, known);
    if (obstacle !== undefined) {
      if (!force) return false;
      await this.#moveAside(obstacle);
    }
    await renameMakingParents(from, to);
    this.touched.add(dirname(to));
    return true;
  }

  /**
   * Removes exactly this content wherever it lies, never anything newer at its path.
   * @param others everything else that was discarded at this path; undefined: not all of it is known
   * @returns false when a later round must look again
   */
  async remove(discarded: Discarded, others: readonly Discarded[] | undefined): Promise<boolean> {
    const staged = this.#layout.stagingFile(discarded.contentId);
    if ((await unlessAbsent(unlink(staged).then(() => true))) === true) return true;
    const natural = this.#layout.naturalFile(discarded.path, discarded.contentId);
    const stats = await unlessAbsent(lstat(natural));
    if (!stats?.isFile() || (await this.#findLink(natural)) !== undefined) return true;
    if (isContent(stats, discarded)) {
      await unlessAbsent(unlink(natural));
    } else {
      if (!(await this.#seemsStray(stats, discarded.path, others))) return true;
      if (this.#strays.get(discarded.contentId) !== stampOf(stats)) {
        this.#strays.set(discarded.contentId, stampOf(stats));
        return false;
      }
      this.#strays.delete(discarded.contentId);
      await this.#moveAside(natural);
    }
    await this.#pruneEmptyDirectories(dirname(natural));
    return true;
  }

  /**
   * Changed outside CallFS before it was removed, so nobody's any more: neither garbage with a row of its own nor what
   * came after. Only so when it seems so twice: what came after may just have been removed too, and its row not be read yet.
   */
  async #seemsStray(stats: Stats, path: VirtualPath, others: readonly Discarded[] | undefined): Promise<boolean> {
    if (others === undefined || others.some((content) => isContent(stats, content))) return false;
    return !(await this.#hasFile(path));
  }

  /** The file or directory that stops `to` from being written; undefined when the way is free. */
  async #findObstacle(to: string, known: readonly Discarded[]): Promise<string | undefined> {
    const stats = await this.#lstatBelowFiles(to);
    if (stats === undefined || stats.file === to) {
      const link = await this.#findLink(to);
      if (link !== undefined) return link;
    }
    if (stats === undefined) return undefined;
    if (stats.file !== to) return stats.file;
    if (stats.isDirectory()) return (await removedIfEmpty(to)) ? undefined : to;
    return known.some((content) => isContent(stats, content)) ? undefined : to;
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
  async #findLink(file: string): Promise<string | undefined> {
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

  async #moveAside(obstacle: string): Promise<void> {
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

  async #pruneEmptyDirectories(from: string): Promise<void> {
    let directory = from;
    while (directory.length > this.#layout.root.length && !directory.startsWith(this.#layout.internal)) {
      if (!(await removedIfEmpty(directory))) break;
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

async function renameMakingParents(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
    await mkdir(dirname(to), { recursive: true });
    await rename(from, to);
  }
}
