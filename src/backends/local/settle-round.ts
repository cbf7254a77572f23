/**
 * One round of the settler: reads what there is to do for this instance's disk, does it in the order in which it was
 * committed, makes it durable, and forgets it then.
 */
import { unlink } from 'node:fs/promises';
import { faultPoint } from '../../core/fault-point.ts';
import { forEachParallel } from '../../core/for-each-parallel.ts';
import type { VirtualPath } from '../../core/virtual-path.ts';
import type { ContentLedger, Discarded, Moved, Unsettled } from '../backend.ts';
import { ROUND_SIZE, type SettleWork } from '../settler.ts';
import type { CatalogRecorder } from './catalog-recorder.ts';
import { unlessAbsent } from './descriptor.ts';
import type { DirectorySync } from './directory-sync.ts';
import { type Placement, Placer } from './placement.ts';
import { Mover, RecentMoves } from './relocation.ts';
import { keyOf, overlap, pathsOf, touches } from './unsettled-paths.ts';
import { Way, type WayOptions } from './way.ts';

export interface SettleRoundOptions extends WayOptions {
  readonly ledger: ContentLedger;
  readonly instanceId: string;
  readonly directories: DirectorySync;
  /** Told of each content before it leaves staging, and of each entry before its row is forgotten. */
  readonly recorder?: CatalogRecorder | undefined;
  /** Told when something could not be settled; it is postponed until `retryPostponed`. */
  readonly onFailure: (error: unknown) => void;
}

/** Few, so that others get their turn in the thread pool. */
const PARALLEL = 8;

export class SettleRound implements SettleWork {
  readonly #options: SettleRoundOptions;
  readonly #way: Way;
  readonly #placer: Placer;
  readonly #mover: Mover;
  readonly #recentMoves = new RecentMoves();
  /** Staged content to be placed; true: may be removed when nothing points to it. */
  readonly #staged = new Map<string, boolean>();
  /** Staged content that the catalog knows, so that waiting does not write it again. */
  readonly #recorded = new Set<string>();
  /** Keys of what failed; left alone until the next retry. */
  readonly #postponed = new Set<string>();
  #outboxPending = true;

  constructor(options: SettleRoundOptions) {
    this.#options = options;
    const { layout, ledger } = options;
    this.#way = new Way(options);
    this.#mover = new Mover(layout, this.#way);
    this.#placer = new Placer({
      ...{ layout, way: this.#way, recentMoves: this.#recentMoves },
      hasFile: (path) => ledger.hasFile(path),
    });
  }

  get stagedCount(): number {
    return this.#staged.size;
  }

  add(contentId: string, mayRemove: boolean): void {
    this.#staged.set(contentId, mayRemove);
  }

  lookAtOutbox(): void {
    this.#outboxPending = true;
  }

  retryPostponed(): void {
    this.#postponed.clear();
  }

  async settleSome(): Promise<{ sawAll: boolean; hasMore: boolean }> {
    const { ledger, instanceId } = this.#options;
    // What is postponed must not hide what comes after it.
    const [postponed, limit] = [this.#postponed.size, ROUND_SIZE + this.#postponed.size];
    const wanted = this.#ready().take(ROUND_SIZE).toArray();
    if (wanted.length === 0 && !this.#outboxPending) return { sawAll: true, hasMore: false };
    this.#outboxPending = false;
    this.#way.beginRound();
    const located = await ledger.locateContents(wanted);
    await this.#record(located);
    // Read after `located`: it holds everything that was committed before the places just read.
    const rows = await ledger.listOutbox(instanceId, limit);
    const allKnown = rows.length < limit;
    if (wanted.length + rows.length > 0) faultPoint('settle:looked');
    const moves = rows.filter((row) => row.kind === 'move');
    const replayed = moves.length > 0 && (await this.#replay(rows));
    const placeable = moves.length > 0 ? this.#unmoved(located, moves) : located;
    const discarded = rows.filter((row) => row.kind === 'discard');
    const blocked = allKnown ? await this.#placeAll(placeable, discarded) : [];
    // A replay has done its removals in their turn.
    const removed = moves.length > 0 ? [] : await this.#removeAll(discarded, allKnown);
    await this.#eachAlone(blocked, (placement) => this.#place(placement, [], true));
    if (allKnown) await this.#dropUnwanted(wanted, located);
    await this.#makeDurable(removed);
    const cameOn = replayed || removed.length > 0 || this.#postponed.size > postponed;
    this.#outboxPending ||= !allKnown && cameOn;
    return { sawAll: allKnown, hasMore: this.#outboxPending || !this.#ready().next().done };
  }

  /** Before the staged names disappear, which alone say that something is here that the catalog does not know yet. */
  async #record(located: readonly Placement[]): Promise<void> {
    for (const contentId of this.#recorded) if (!this.#staged.has(contentId)) this.#recorded.delete(contentId);
    const unknown = located.map(({ contentId }) => contentId).filter((contentId) => !this.#recorded.has(contentId));
    await this.#options.recorder?.recordContents(unknown);
    if (unknown.length > 0) faultPoint('settle:recorded');
    for (const contentId of unknown) this.#recorded.add(contentId);
  }

  /**
   * Does what commits left in their order: a path in the outbox is the one that things had on the disk when everything
   * before was done. What fails, or touches what failed, is left for later.
   * @returns whether anything was done
   */
  async #replay(rows: readonly Unsettled[]): Promise<boolean> {
    const failed = new Set<VirtualPath>();
    let done: Unsettled[] = [];
    let cameOn = false;
    for (const row of rows) {
      const paths = pathsOf(row);
      if (
        this.#postponed.has(keyOf(row)) ||
        paths.some((path) => failed.values().some((other) => overlap(path, other)))
      ) {
        for (const path of paths) failed.add(path);
        this.#postponed.add(keyOf(row));
        continue;
      }
      // A move that is repeated after a crash must not find what another brought to its old path since.
      if (row.kind === 'move' && done.some((other) => other.kind === 'move' && touches(other, row))) {
        await this.#makeDurable(done);
        done = [];
      }
      try {
        if (await this.#handle(row)) done.push(row);
        else for (const path of paths) failed.add(path);
        cameOn ||= done.length > 0;
      } catch (error) {
        for (const path of paths) failed.add(path);
        this.#postponed.add(keyOf(row));
        this.#options.onFailure(error);
      }
    }
    await this.#makeDurable(done);
    return cameOn;
  }

  /** False: another round must look again. */
  async #handle(row: Unsettled): Promise<boolean> {
    if (row.kind === 'discard') {
      if (!(await this.#placer.remove(row, undefined))) return false;
      this.#staged.delete(row.contentId);
      return true;
    }
    faultPoint('settle:before-move');
    await this.#mover.move(row);
    faultPoint('settle:moved');
    if (!row.content) for (const contentId of await this.#mover.restage(row)) this.#staged.set(contentId, false);
    this.#recentMoves.add(row);
    return true;
  }

  /** Places that no move touches; the others may have been read before it, or wait until it is done. */
  #unmoved(located: readonly Placement[], moves: readonly Moved[]): readonly Placement[] {
    return located.filter((placement) => {
      const touching = moves.filter((move) => pathsOf(move).some((path) => overlap(path, placement.path)));
      if (touching.some((move) => this.#postponed.has(keyOf(move)))) this.#postponed.add(placement.contentId);
      return touching.length === 0;
    });
  }

  /** Staged contents that did not fail just now. */
  #ready(): IteratorObject<string, undefined> {
    return this.#staged.keys().filter((contentId) => !this.#postponed.has(contentId));
  }

  /** @returns what could not be placed yet because something was in the way */
  async #placeAll(located: readonly Placement[], discarded: readonly Discarded[]): Promise<Placement[]> {
    const blocked: Placement[] = [];
    const garbage = Map.groupBy(discarded, ({ path }) => path);
    await this.#eachAlone(located, async (placement) => {
      const known = garbage.get(placement.path) ?? [];
      if (!(await this.#place(placement, known, false))) blocked.push(placement);
    });
    return blocked;
  }

  async #place(placement: Placement, known: readonly Discarded[], force: boolean): Promise<boolean> {
    if (!(await this.#placer.place(placement, known, force))) return false;
    this.#staged.delete(placement.contentId);
    return true;
  }

  /** @returns what is gone */
  async #removeAll(discarded: readonly Discarded[], allKnown: boolean): Promise<Discarded[]> {
    const removed: Discarded[] = [];
    const byPath = Map.groupBy(discarded, ({ path }) => path);
    const ready = discarded.filter(({ contentId }) => !this.#postponed.has(contentId));
    await this.#eachAlone(ready, async (content) => {
      const others = allKnown ? byPath.get(content.path) : undefined;
      if (!(await this.#placer.remove(content, others))) {
        this.#outboxPending = true;
        return;
      }
      this.#staged.delete(content.contentId);
      removed.push(content);
    });
    return removed;
  }

  /** What fails for one content is tried again later and holds up no other. */
  async #eachAlone<T extends { readonly contentId: string }>(
    contents: readonly T[],
    work: (content: T) => Promise<unknown>,
  ): Promise<void> {
    await forEachParallel(contents, PARALLEL, async (content) => {
      try {
        await work(content);
      } catch (error) {
        this.#postponed.add(content.contentId);
        this.#options.onFailure(error);
      }
    });
  }

  async #dropUnwanted(wanted: readonly string[], located: readonly Placement[]): Promise<void> {
    const pointedTo = new Set(located.map(({ contentId }) => contentId));
    for (const contentId of wanted) {
      if (pointedTo.has(contentId)) continue;
      if (this.#staged.get(contentId)) await unlessAbsent(unlink(this.#options.layout.stagingFile(contentId)));
      this.#staged.delete(contentId);
    }
  }

  /** What was done is forgotten only when the disk cannot undo it. */
  async #makeDurable(done: readonly Unsettled[]): Promise<void> {
    const touched = [...this.#way.touched];
    this.#way.touched.clear();
    if (done.length === 0) return;
    faultPoint('settle:before-sync');
    try {
      await forEachParallel(touched, PARALLEL, (directory) => this.#options.directories.sync(directory));
    } catch (error) {
      for (const directory of touched) this.#way.touched.add(directory);
      throw error;
    }
    faultPoint('settle:synced');
    await this.#options.recorder?.recordEntries(done.map(({ entryId }) => entryId ?? ''));
    faultPoint('settle:recorded');
    await this.#options.ledger.forgetOutbox(done.map(({ seq }) => seq));
    faultPoint('settle:forgotten');
  }
}
