/** Lets the disk follow moves of the namespace: files one by one, directories with everything in them at once. */
import { lstat, readdir, rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Content } from '../../core/entry.ts';
import { isWithin, type VirtualPath } from '../../core/virtual-path.ts';
import type { Moved } from '../backend.ts';
import { unlessAbsent } from './descriptor.ts';
import type { Layout } from './layout.ts';
import { isContent } from './stamp.ts';
import type { Way } from './way.ts';

export class Mover {
  readonly #layout: Layout;
  readonly #way: Way;

  constructor(layout: Layout, way: Way) {
    this.#layout = layout;
    this.#way = way;
  }

  /**
   * Moves what lies at the old path to the new one. All that was committed before must be done, and nothing that was
   * committed later: then what lies there is what the namespace moved. May be repeated.
   */
  async move({ path, to, content }: Moved): Promise<void> {
    if (content) await this.#moveFile(path, to, content);
    else await this.#moveDirectory(this.#layout.root + path, this.#layout.root + to);
  }

  async #moveFile(path: VirtualPath, newPath: VirtualPath, content: Content): Promise<void> {
    const to = this.#layout.naturalFile(newPath, content.contentId);
    const kept = this.#layout.longNameFile(content.contentId);
    const isKept = (await unlessAbsent(lstat(kept))) !== undefined;
    const from = isKept ? kept : this.#layout.naturalFile(path, content.contentId);
    const stats = await unlessAbsent(lstat(from));
    if (from === to || !stats?.isFile() || (await this.#way.findLink(from)) !== undefined) return;
    // Still staged, so what lies here is somebody else's; otherwise it was edited, and is to be found under the new name.
    if (!isContent(stats, content) && (await this.#isStaged(content))) return;
    await this.#clear(to);
    await this.#way.rename(from, to);
    await this.#way.pruneEmpty(dirname(from));
  }

  /**
   * Below a directory that has a shorter path now, what had too long a path for the disk may have one that it takes.
   * @returns the contents that are staged again, to be placed wherever they belong
   */
  async restage({ path, to }: Moved): Promise<readonly string[]> {
    if (Buffer.byteLength(to) >= Buffer.byteLength(path)) return [];
    const contentIds = (await unlessAbsent(readdir(this.#layout.longNames))) ?? [];
    for (const contentId of contentIds) {
      await this.#way.rename(this.#layout.longNameFile(contentId), this.#layout.stagingFile(contentId));
    }
    return contentIds;
  }

  async #isStaged({ contentId }: Content): Promise<boolean> {
    return (await unlessAbsent(lstat(this.#layout.stagingFile(contentId)))) !== undefined;
  }

  async #moveDirectory(from: string, to: string): Promise<void> {
    const stats = await unlessAbsent(lstat(from));
    if (!stats?.isDirectory() || (await this.#way.findLink(from)) !== undefined) return;
    const standing = await unlessAbsent(lstat(to));
    if (standing?.isDirectory() && (await this.#way.findLink(to)) === undefined) await this.#merge(from, to);
    else {
      await this.#clear(to);
      await this.#way.rename(from, to);
    }
    // What was known about the directories below is no longer so.
    this.#way.beginRound();
    await this.#way.pruneEmpty(dirname(from));
  }

  /** Files that CallFS does not know, or the first half of this move before a crash, lie at the new path already. */
  async #merge(from: string, to: string): Promise<void> {
    for (const { name } of await readdir(from, { withFileTypes: true })) {
      const [source, target] = [`${from}/${name}`, `${to}/${name}`];
      const standing = await unlessAbsent(lstat(target));
      if (standing?.isDirectory() && (await lstat(source)).isDirectory()) {
        await this.#merge(source, target);
        continue;
      }
      if (standing) await this.#way.moveAside(target);
      await this.#way.rename(source, target);
    }
    await rmdir(from);
    this.#way.touched.add(dirname(from));
  }

  async #clear(to: string): Promise<void> {
    const obstacle = await this.#way.findObstacle(to, () => false);
    if (obstacle !== undefined) await this.#way.moveAside(obstacle);
  }
}

/** More than can commit while one mutation is under way. */
const REMEMBERED = 1000;

/** The moves of late: what a commit wrote down about a path may be older than a move that was done already. */
export class RecentMoves {
  readonly #moves: Pick<Moved, 'path' | 'to'>[] = [];

  add({ path, to }: Moved): void {
    this.#moves.push({ path, to });
    if (this.#moves.length > REMEMBERED) this.#moves.shift();
  }

  /** Where what lay at a path may lie since, in the order of the moves. */
  laterPathsOf(path: VirtualPath): readonly VirtualPath[] {
    const paths: VirtualPath[] = [];
    let at = path;
    for (const move of this.#moves) {
      if (!isWithin(at, move.path)) continue;
      at = `${move.to}${at.slice(move.path.length)}` as VirtualPath;
      paths.push(at);
    }
    return paths;
  }
}
