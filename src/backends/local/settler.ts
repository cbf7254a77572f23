/**
 * Brings the disk to what the namespace says: content that was committed goes to its natural place,
 * content that was discarded goes away. One loop per instance, ordered, idempotent, restartable.
 */
import { readdir, unlink } from 'node:fs/promises';
import type { ContentLedger, Discarded } from '../backend.ts';
import { unlessAbsent } from './descriptor.ts';
import type { DirectorySync } from './directory-sync.ts';
import type { Layout } from './layout.ts';
import { type Placement, Placer, type PlacerOptions } from './placement.ts';

export interface SettlerOptions extends Omit<PlacerOptions, 'hasFile'> {
  readonly layout: Layout;
  readonly ledger: ContentLedger;
  readonly instanceId: string;
  readonly directories: DirectorySync;
  /** Told when something could not be settled; it is repeated. */
  readonly onFailure: (error: unknown) => void;
}

/** Contents and removals in one round: bounds its memory and how long `settled` may wait behind others. */
const ROUND_SIZE = 512;
const PARALLEL = 8;
/** Other instances may discard content of this one; they do not tell, so it looks. */
const LOOK_EVERY_MS = 500;
const RETRY_AFTER_MS = 1000;

export class Settler {
  readonly #options: SettlerOptions;
  readonly #placer: Placer;
  /** Staged content to be placed; true: may be removed when nothing points to it. */
  readonly #staged = new Map<string, boolean>();
  #removalsPending = true;
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  /** Contents whose placement or removal failed; left alone until the next retry. */
  readonly #postponed = new Set<string>();
  #stopped = false;

  constructor(options: SettlerOptions) {
    this.#options = options;
    this.#placer = new Placer({ ...options, hasFile: (path) => options.ledger.hasFile(path) });
  }

  /** Finishes what an earlier process left: staged content that an entry points to is placed, any other removed. */
  async recover(): Promise<void> {
    for (const contentId of await readdir(this.#options.layout.staging)) this.#staged.set(contentId, true);
    while (await this.#round());
    this.#timer = setInterval(() => this.removalsPending(), LOOK_EVERY_MS);
    this.#timer.unref();
  }

  /** @param mayRemove the outcome of the commit is unknown: nothing may point to the content */
  add(contentId: string, mayRemove: boolean): void {
    this.#staged.set(contentId, mayRemove);
    this.#wake();
  }

  removalsPending(): void {
    this.#removalsPending = true;
    this.#wake();
  }

  /** Resolves when everything committed before the call is in place, or when a round has failed. */
  async settled(): Promise<void> {
    await this.#running?.catch(() => {});
    this.removalsPending();
    await this.#running?.catch(() => {});
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    clearTimeout(this.#retry);
    await this.#running?.catch(() => {});
  }

  #wake(): void {
    if (this.#running || this.#stopped) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  async #run(): Promise<void> {
    // What arrives in the same turn of the event loop is settled together.
    await new Promise((resolve) => setImmediate(resolve));
    try {
      while (!this.#stopped && (await this.#round()));
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Reports a failure and sees to it that everything is tried again. */
  #failed(error: unknown): void {
    this.#options.onFailure(error);
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      this.#postponed.clear();
      this.removalsPending();
    }, RETRY_AFTER_MS).unref();
  }

  /** One round; true when there is more to do now. */
  async #round(): Promise<boolean> {
    const { ledger, instanceId } = this.#options;
    const wanted = this.#ready().take(ROUND_SIZE).toArray();
    if (wanted.length === 0 && !this.#removalsPending) return false;
    this.#removalsPending = false;
    this.#placer.beginRound();
    const located = await ledger.locateContents(wanted);
    // Read after `located`: it holds every removal that came before the places just read.
    const rows = await ledger.listDiscarded(instanceId, ROUND_SIZE);
    const allKnown = rows.length < ROUND_SIZE;
    const blocked = allKnown ? await this.#placeAll(located, rows) : [];
    const removed = await this.#removeAll(rows, allKnown);
    await this.#eachAlone(blocked, (placement) => this.#place(placement, [], true));
    if (allKnown) await this.#dropUnwanted(wanted, located);
    await this.#makeDurable(removed);
    this.#removalsPending ||= !allKnown && removed.length > 0;
    return this.#removalsPending || !this.#ready().next().done;
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
      if (content.backendType === 'localfs' && !(await this.#placer.remove(content, others))) {
        this.#removalsPending = true;
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
    await forEachParallel(contents, async (content) => {
      try {
        await work(content);
      } catch (error) {
        this.#postponed.add(content.contentId);
        this.#failed(error);
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

  /** Removals are forgotten only when the disk cannot bring the files back. */
  async #makeDurable(discarded: readonly Discarded[]): Promise<void> {
    const touched = [...this.#placer.touched];
    this.#placer.touched.clear();
    if (discarded.length === 0) return;
    await forEachParallel(touched, (directory) => this.#options.directories.sync(directory));
    await this.#options.ledger.forgetDiscarded(discarded.map(({ seq }) => seq));
  }
}

async function forEachParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  const lane = async (): Promise<void> => {
    for (const item of rest) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(PARALLEL, items.length) }, lane));
}
