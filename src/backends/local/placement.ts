/**
 * Moves files between staging and their natural places, one at a time, without ever destroying bytes
 * the namespace does not know.
 */
import type { Stats } from 'node:fs';
import { lstat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { faultPoint } from '../../core/fault-point.ts';
import type { VirtualPath } from '../../core/virtual-path.ts';
import type { Discarded } from '../backend.ts';
import { unlessAbsent } from './descriptor.ts';
import type { Layout } from './layout.ts';
import type { RecentMoves } from './relocation.ts';
import { isContent, stampOf } from './stamp.ts';
import type { Way } from './way.ts';

export interface Placement {
  readonly contentId: string;
  readonly path: VirtualPath;
}

export interface PlacerOptions {
  readonly layout: Layout;
  readonly way: Way;
  /** Whether the namespace has a file of this instance at a path now. */
  readonly hasFile: (path: VirtualPath) => Promise<boolean>;
  readonly recentMoves: RecentMoves;
}

export class Placer {
  readonly #layout: Layout;
  readonly #way: Way;
  readonly #hasFile: PlacerOptions['hasFile'];
  readonly #recentMoves: RecentMoves;
  /** Discarded content → the stamp of another file that was seen in its place and seemed to be nobody's. */
  readonly #strays = new Map<string, string>();

  constructor({ layout, way, hasFile, recentMoves }: PlacerOptions) {
    this.#layout = layout;
    this.#way = way;
    this.#hasFile = hasFile;
    this.#recentMoves = recentMoves;
  }

  /**
   * Brings staged content to its natural place, replacing `known` garbage there.
   * @returns false when something else is in the way; `place` again with `force` once all garbage is gone
   */
  async place({ contentId, path }: Placement, known: readonly Discarded[], force = false): Promise<boolean> {
    const from = this.#layout.stagingFile(contentId);
    const to = this.#layout.naturalFile(path, contentId);
    if (!(await unlessAbsent(lstat(from)))) return true;
    const obstacle = await this.#way.findObstacle(to, (stats) => known.some((content) => isContent(stats, content)));
    if (obstacle !== undefined) {
      if (!force) return false;
      await this.#way.moveAside(obstacle);
    }
    faultPoint('settle:before-place');
    await this.#way.rename(from, to);
    faultPoint('settle:placed');
    return true;
  }

  /**
   * Removes exactly this content wherever it lies, never anything newer at its path.
   * @param others everything else that was discarded at this path; undefined: not all of it is known
   * @returns false when a later round must look again
   */
  async remove(discarded: Discarded, others: readonly Discarded[] | undefined): Promise<boolean> {
    const { contentId, path } = discarded;
    for (const named of [this.#layout.stagingFile(contentId), this.#layout.longNameFile(contentId)]) {
      if ((await unlessAbsent(unlink(named).then(() => true))) === true) return true;
    }
    const natural = this.#layout.naturalFile(path, contentId);
    faultPoint('settle:before-remove');
    const stats = await unlessAbsent(lstat(natural));
    const isOwnPlace = stats?.isFile() === true && (await this.#way.findLink(natural)) === undefined;
    if (!isOwnPlace || !isContent(stats, discarded)) {
      if (await this.#removeMoved(discarded)) return true;
      if (!isOwnPlace || !(await this.#seemsStray(stats, path, others))) return true;
      if (this.#strays.get(contentId) !== stampOf(stats)) {
        this.#strays.set(contentId, stampOf(stats));
        return false;
      }
      this.#strays.delete(contentId);
      await this.#way.moveAside(natural);
    } else {
      await unlessAbsent(unlink(natural));
    }
    faultPoint('settle:removed');
    await this.#way.pruneEmpty(dirname(natural));
    return true;
  }

  /** Removes it where a move has brought it whose commit overtook the one that discarded it. */
  async #removeMoved(discarded: Discarded): Promise<boolean> {
    for (const path of this.#recentMoves.laterPathsOf(discarded.path)) {
      const natural = this.#layout.naturalFile(path, discarded.contentId);
      const stats = await unlessAbsent(lstat(natural));
      if (!stats || !isContent(stats, discarded) || (await this.#way.findLink(natural)) !== undefined) continue;
      await unlessAbsent(unlink(natural));
      await this.#way.pruneEmpty(dirname(natural));
      return true;
    }
    return false;
  }

  /**
   * Changed outside CallFS before it was removed, so nobody's any more: neither garbage with a row of its own nor what
   * came after. Only so when it seems so twice: what came after may just have been removed too, and its row not be read yet.
   */
  async #seemsStray(stats: Stats, path: VirtualPath, others: readonly Discarded[] | undefined): Promise<boolean> {
    if (others === undefined || others.some((content) => isContent(stats, content))) return false;
    return !(await this.#hasFile(path));
  }
}
