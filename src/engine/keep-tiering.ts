/** Rounds of tiering again and again, for as long as an instance runs. */
import { setTimeout as pause } from 'node:timers/promises';
import type { TierReport } from './tier-files.ts';

export interface KeepTieringOptions {
  /** From the end of a round to the beginning of the next. */
  readonly everyMs: number;
  /** From 0 to below 1; decides when the first round begins. */
  readonly random: number;
  /** One round; its signal is aborted when it shall end. */
  readonly round: (signal: AbortSignal) => Promise<TierReport>;
  /** A round was broken off; it is repeated. */
  readonly onFailure: (error: unknown) => void;
  /** Resolves after that time, or when the signal is aborted. Default: by the clock. */
  readonly wait?: (durationMs: number, signal: AbortSignal) => Promise<void>;
}

/** The first round begins within this part of the time between two, so that instances started together take turns. */
const FIRST_WITHIN = 0.1;
/** After a round that an obstacle ended; twice as long after each further one, up to the time between two rounds. */
const AGAIN_AFTER_MS = 60_000;
/** How long a stop waits for files on their way; what is not committed then is removed at the next start. */
const STOP_WITHIN_MS = 10_000;

export function keepTiering(options: KeepTieringOptions): AsyncDisposable {
  const stop = new AbortController();
  const ended = repeatRounds(options, stop.signal);
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      const late = new AbortController();
      await Promise.race([ended, pause(STOP_WITHIN_MS, undefined, { signal: late.signal }).catch(() => {})]);
      late.abort();
    },
  };
}

async function repeatRounds(
  { everyMs, random, round, onFailure, wait = waitUnlessAborted }: KeepTieringOptions,
  signal: AbortSignal,
): Promise<void> {
  let obstaclesInRow = 0;
  for (let waitMs = everyMs * FIRST_WITHIN * random; ; ) {
    await wait(waitMs, signal);
    if (signal.aborted) return;
    const isBrokenOff = await round(signal).then(
      ({ obstacle }) => obstacle !== undefined,
      (error: unknown) => {
        if (!signal.aborted) onFailure(error);
        return true;
      },
    );
    obstaclesInRow = isBrokenOff ? obstaclesInRow + 1 : 0;
    waitMs = isBrokenOff ? Math.min(everyMs, AGAIN_AFTER_MS * 2 ** (obstaclesInRow - 1)) : everyMs;
  }
}

async function waitUnlessAborted(durationMs: number, signal: AbortSignal): Promise<void> {
  await pause(durationMs, undefined, { signal, ref: false }).catch(() => {});
}
