/** One round of the settler for a bucket: objects go to the keys of their paths, garbage goes away. */
import { faultPoint } from '../../core/fault-point.ts';
import { forEachParallel } from '../../core/for-each-parallel.ts';
import type { LocatedEntry } from '../../core/located-entry.ts';
import type { Discarded, Moved, Unsettled } from '../backend.ts';
import { ROUND_SIZE, type SettleWork } from '../settler.ts';
import { type Placing, S3Placer, type S3PlacerOptions } from './s3-placer.ts';

export interface S3SettleRoundOptions extends S3PlacerOptions {
  /** Told when something could not be settled; it is postponed until `retryPostponed`. */
  readonly onFailure: (error: unknown) => void;
}

/** Requests on their way at the same time. */
const PARALLEL = 16;
/** What waits for another instance is looked at again. */
const LOOK_AGAIN_AFTER_MS = 1000;
/** Bytes of small contents that are kept until they are in their place, so that they need not be read again. */
const MAX_KEPT_BYTES = 16 * 1024 * 1024;

interface Staged {
  readonly mayRemove: boolean;
  readonly bytes: Uint8Array | undefined;
  /** It was begun and has failed: there may be an unfinished upload. */
  readonly isBroken: boolean;
}

export class S3SettleRound implements SettleWork {
  readonly #options: S3SettleRoundOptions;
  readonly #placer: S3Placer;
  readonly #staged = new Map<string, Staged>();
  /** Contents and rows that failed, left alone until the next retry, and such that wait for others: when to look again. */
  readonly #postponed = new Map<string | number, number>();
  /** What this process stages or has staged as long as it does not know what an earlier one left. */
  #begun: Set<string> | undefined = new Set();
  #keptBytes = 0;
  #outboxPending = true;

  constructor(options: S3SettleRoundOptions) {
    this.#options = options;
    this.#placer = new S3Placer(options);
  }

  get stagedCount(): number {
    return this.#staged.size;
  }

  begin(contentId: string): void {
    this.#begun?.add(contentId);
  }

  /** Kept for `add`, if there is room. */
  add(contentId: string, mayRemove: boolean, bytes?: Uint8Array): void {
    this.#forget(contentId);
    const kept = bytes && this.#keptBytes + bytes.length <= MAX_KEPT_BYTES ? bytes : undefined;
    this.#keptBytes += kept?.length ?? 0;
    this.#staged.set(contentId, { mayRemove, bytes: kept, isBroken: false });
  }

  /** Staging it has failed: what that left, which the bucket may have without having said so, has to go. */
  addBroken(contentId: string): void {
    this.#forget(contentId);
    this.#staged.set(contentId, { mayRemove: true, bytes: undefined, isBroken: true });
  }

  #forget(contentId: string): void {
    this.#keptBytes -= this.#staged.get(contentId)?.bytes?.length ?? 0;
    this.#staged.delete(contentId);
  }

  lookAtOutbox(): void {
    this.#outboxPending = true;
  }

  retryPostponed(): void {
    this.#postponed.clear();
  }

  async settleSome(): Promise<{ sawAll: boolean; hasMore: boolean }> {
    const { ledger, instanceId } = this.#options;
    await this.#recover();
    const wanted = this.#ready().take(ROUND_SIZE).toArray();
    if (wanted.length === 0 && !this.#outboxPending) return { sawAll: true, hasMore: false };
    this.#outboxPending = false;
    const located = await ledger.describeContents(wanted);
    const limit = ROUND_SIZE + this.#postponed.size;
    // Read after `located`: it holds everything that was committed before the places just read.
    const rows = await ledger.listOutbox(instanceId, limit);
    const allKnown = rows.length < limit;
    if (wanted.length + rows.length > 0) faultPoint('settle:looked');
    const ready = rows.filter(({ seq }) => !this.#isPostponed(seq));
    const discarded = ready.filter((row) => row.kind === 'discard');
    const garbage = new Map(discarded.map((row) => [row.storageKey ?? '', row]));
    await this.#placeStaged(wanted, located, garbage);
    const followed = await this.#followMoves(ready, garbage);
    const done = [...followed, ...(await this.#discardAll(discarded))];
    if (done.length > 0) await ledger.forgetOutbox(done);
    faultPoint('settle:forgotten');
    // What was placed has left its old key as garbage.
    this.#outboxPending ||= (!allKnown && done.length > 0) || wanted.length > 0 || followed.length > 0;
    return { sawAll: allKnown, hasMore: this.#outboxPending || !this.#ready().next().done };
  }

  /** What an earlier process has left: staged contents, and uploads that broke off. */
  async #recover(): Promise<void> {
    const { objects, keys } = this.#options;
    const begun = this.#begun;
    if (!begun) return;
    const isOld = (contentId: string | undefined): contentId is string =>
      contentId !== undefined && !begun.has(contentId);
    for await (const { key } of objects.list(keys.staging)) {
      const contentId = keys.stagedContentOf(key);
      if (isOld(contentId)) this.add(contentId, true);
    }
    for await (const upload of objects.unfinishedUploads(keys.staging)) {
      if (isOld(keys.stagedContentOf(upload.key))) await objects.abortUpload(upload);
    }
    this.#begun = undefined;
  }

  #isPostponed(key: string | number): boolean {
    return (this.#postponed.get(key) ?? 0) > performance.now();
  }

  /** Staged contents that are not left alone now. */
  #ready(): IteratorObject<string, undefined> {
    return this.#staged.keys().filter((contentId) => !this.#isPostponed(contentId));
  }

  /** What fails for one is tried again later and holds up no other. @returns undefined: it failed */
  async #alone<T>(key: string | number, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      this.#postponed.set(key, Number.POSITIVE_INFINITY);
      this.#options.onFailure(error);
      return undefined;
    }
  }

  #wait(key: string | number): void {
    this.#postponed.set(key, performance.now() + LOOK_AGAIN_AFTER_MS);
  }

  async #placeStaged(
    wanted: readonly string[],
    located: readonly LocatedEntry[],
    garbage: ReadonlyMap<string, Discarded>,
  ): Promise<void> {
    const places = byContent(located);
    await forEachParallel(wanted, PARALLEL, (contentId) =>
      this.#alone(contentId, async () => {
        const staged = this.#staged.get(contentId);
        const place = places.get(contentId);
        if (!place && staged?.mayRemove) await this.#removeStaged(contentId, staged);
        const placing =
          place && this.#isOwn(place) ? await this.#placer.place(place, staged?.bytes, garbage) : 'placed';
        if (placing === 'later') this.#wait(contentId);
        if (placing === 'placed') this.#forget(contentId);
      }),
    );
  }

  async #removeStaged(contentId: string, { isBroken }: Staged): Promise<void> {
    const { objects, keys } = this.#options;
    const key = keys.stagingKey(contentId);
    if (isBroken) for await (const upload of objects.unfinishedUploads(key)) await objects.abortUpload(upload);
    await objects.remove(key);
  }

  #isOwn({ entry }: LocatedEntry): boolean {
    return entry.instanceId === this.#options.instanceId && entry.backendType === 's3';
  }

  /** @returns the rows that need nothing more */
  async #followMoves(rows: readonly Unsettled[], garbage: ReadonlyMap<string, Discarded>): Promise<number[]> {
    const done: number[] = [];
    // One after the other: they may concern the same objects.
    for (const row of rows) {
      if (row.kind !== 'move') continue;
      const placing = await this.#alone(row.seq, () => this.#followMove(row, garbage));
      if (placing === 'placed') done.push(row.seq);
      if (placing === 'later') this.#wait(row.seq);
      if (placing === 'soon') this.#outboxPending = true;
    }
    return done;
  }

  /** Wherever the entry is by now: an earlier row has nothing to do that a later one would not. */
  async #followMove({ content, entryId = '' }: Moved, garbage: ReadonlyMap<string, Discarded>): Promise<Placing> {
    const { ledger } = this.#options;
    const files = content ? await ledger.describeContents([content.contentId]) : ledger.filesBelow(entryId);
    let placing: Placing = 'placed';
    await forEachParallel(files, PARALLEL, async (file) => {
      const placed = this.#isOwn(file) ? await this.#placer.place(file, undefined, garbage) : 'placed';
      if (placed !== 'placed') placing = placed;
    });
    return placing;
  }

  /** @returns the rows that are done */
  async #discardAll(rows: readonly Discarded[]): Promise<number[]> {
    if (rows.length === 0) return [];
    const done: number[] = [];
    // Now, after what was placed in this round.
    const pointedTo = byContent(await this.#options.ledger.describeContents(rows.map(({ contentId }) => contentId)));
    await forEachParallel(rows, PARALLEL, (row) =>
      this.#alone(row.seq, async () => {
        await this.#placer.discard(row, pointedTo.get(row.contentId));
        done.push(row.seq);
      }),
    );
    return done;
  }
}

function byContent(located: readonly LocatedEntry[]): Map<string, LocatedEntry> {
  return new Map(located.map((each) => [each.entry.type === 'file' ? each.entry.contentId : '', each]));
}
