/**
 * Brings a disk or a bucket to what the namespace says: content that was committed goes to its natural place,
 * content that was discarded goes away. One loop per backend, ordered, idempotent, restartable. This file
 * says when it works; what it does then is the backend's own.
 */

/** What there is to settle, and one round of it. */
export interface SettleWork {
  readonly stagedCount: number;
  /** @param mayRemove nothing may point to the content, and then it goes away */
  add(contentId: string, mayRemove: boolean): void;
  /** The next round reads the outbox even if nothing is staged. */
  lookAtOutbox(): void;
  retryPostponed(): void;
  /** @returns sawAll: no row of the outbox was left out; hasMore: there is more to do now */
  settleSome(): Promise<{ readonly sawAll: boolean; readonly hasMore: boolean }>;
}

export interface SettlerOptions {
  /** @param onFailure told when something could not be settled and is postponed until `retryPostponed` */
  readonly workWith: (onFailure: (error: unknown) => void) => SettleWork;
  /** Told when something could not be settled; it is repeated. */
  readonly onFailure: (error: unknown) => void;
}

/** Contents and removals in one round: bounds its memory and how long who waits may wait behind others. */
export const ROUND_SIZE = 512;

/** What is there when a round begins is in place after so many, unless moves of the same paths keep coming. */
const ENOUGH_ROUNDS = 2;
/** Other instances may discard or move content of this one; they do not tell, so it looks. */
const LOOK_EVERY_MS = 500;
const RETRY_AFTER_MS = 1000;
const GATHER_MS = 25;

export class Settler {
  readonly #options: Pick<SettlerOptions, 'onFailure'>;
  readonly #work: SettleWork;
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  /** Who waits until what was committed is in place, and how many whole rounds that may still take. */
  #waiting: { rounds: number; readonly resolve: () => void }[] = [];
  #stopped = false;
  /** Ends the pause before a round. */
  #hurry: () => void = () => {};

  constructor(options: SettlerOptions) {
    this.#options = options;
    this.#work = options.workWith((error) => this.#failed(error));
  }

  /** Finishes what an earlier process left: staged content that an entry points to is placed, any other removed. */
  async recover(staged: readonly string[]): Promise<void> {
    for (const contentId of staged) this.#work.add(contentId, true);
    while (await this.#round());
    this.start();
  }

  /** Looks from now on by itself for what there is to do. */
  start(): void {
    this.#timer = setInterval(() => this.outboxPending(), LOOK_EVERY_MS);
    this.#timer.unref();
  }

  /** @param mayRemove the outcome of the commit is unknown: nothing may point to the content */
  add(contentId: string, mayRemove: boolean): void {
    this.#work.add(contentId, mayRemove);
    this.wake();
  }

  outboxPending(): void {
    this.#work.lookAtOutbox();
    this.wake();
  }

  /** Resolves when everything committed before the call is in place, or has failed and will be repeated; whatever comes after. */
  settled(): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ rounds: ENOUGH_ROUNDS + Math.floor(this.#work.stagedCount / ROUND_SIZE), resolve });
    this.outboxPending();
    this.#hurry();
    return promise;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    clearTimeout(this.#retry);
    this.#hurry();
    await this.#running?.catch(() => {});
    for (const { resolve } of this.#waiting.splice(0)) resolve();
  }

  wake(): void {
    if (this.#running || this.#stopped) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      if (this.#waiting.length > 0) this.wake();
    });
  }

  async #run(): Promise<void> {
    try {
      do await this.#gather();
      while (!this.#stopped && (await this.#round()));
    } catch (error) {
      this.#failed(error);
    }
  }

  /** What arrives within a moment is settled together, with one fsync; content that is staged is read from there. */
  async #gather(): Promise<void> {
    if (this.#stopped || this.#waiting.length > 0 || this.#work.stagedCount >= ROUND_SIZE) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, GATHER_MS);
      this.#hurry = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Reports a failure and sees to it that everything is tried again. */
  #failed(error: unknown): void {
    this.#options.onFailure(error);
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      this.#work.retryPostponed();
      this.outboxPending();
    }, RETRY_AFTER_MS).unref();
  }

  /** One round; true when there is more to do now. */
  async #round(): Promise<boolean> {
    const waiting = this.#waiting.splice(0);
    let rest: typeof waiting = [];
    try {
      const { sawAll, hasMore } = await this.#work.settleSome();
      if (hasMore) rest = waiting.filter((waiter) => !sawAll || --waiter.rounds > 0);
      if (rest.length > 0) this.#work.lookAtOutbox();
      return hasMore;
    } finally {
      this.#waiting.unshift(...rest);
      for (const waiter of waiting) if (!rest.includes(waiter)) waiter.resolve();
    }
  }
}
