/** Who takes the files of an instance that is being drained: each according to its room, none that has just failed. */

export interface DrainTarget {
  readonly instanceId: string;
  /** Undefined: it does not tell. */
  readonly freeBytes: number | undefined;
  /** Names the bucket that it keeps files in; undefined or empty: none. */
  readonly bucketId?: string;
}

/** What a file costs beside its bytes, so that empty ones are spread, too. */
const BYTES_PER_FILE = 4096;

interface Candidate extends DrainTarget {
  /** What it was given since it became a candidate, in bytes. */
  load: number;
  /** On the clock of `performance.now()`. */
  suspendedUntilMs: number;
}

export class DrainTargets {
  readonly #candidates = new Map<string, Candidate>();

  /** Takes the place of what was known; what each was given before still counts. */
  update(targets: readonly DrainTarget[]): void {
    const known = new Map(this.#candidates);
    this.#candidates.clear();
    for (const target of targets) {
      const { load = 0, suspendedUntilMs = 0 } = known.get(target.instanceId) ?? {};
      this.#candidates.set(target.instanceId, { ...target, load, suspendedUntilMs });
    }
  }

  /**
   * The one that has got least in proportion to its room.
   * @param bucketId where the file lies; who has that bucket is preferred, because the bytes stay. Empty: on a disk
   * @returns undefined: none can take so many bytes now
   */
  choose(sizeBytes: number, bucketId = ''): string | undefined {
    const awake = [...this.#candidates.values()].filter((each) => each.suspendedUntilMs <= performance.now());
    const sharers = bucketId === '' ? [] : awake.filter((each) => each.bucketId === bucketId);
    const cost = BYTES_PER_FILE + (sharers.length > 0 ? 0 : sizeBytes);
    const able = sharers.length > 0 ? sharers : awake.filter((each) => roomOf(each) >= cost);
    let best: Candidate | undefined;
    for (const candidate of able) {
      if (!best || fillOf(candidate, cost) < fillOf(best, cost)) best = candidate;
    }
    if (best) best.load += cost;
    return best?.instanceId;
  }

  /** Gives it nothing for a while. */
  suspend(instanceId: string, forMs: number): void {
    const candidate = this.#candidates.get(instanceId);
    if (candidate) candidate.suspendedUntilMs = performance.now() + forMs;
  }
}

/** One that does not tell its room is as good as any. */
const roomOf = ({ freeBytes = Number.MAX_SAFE_INTEGER }: Candidate): number => freeBytes;

function fillOf(candidate: Candidate, cost: number): number {
  return (candidate.load + cost) / roomOf(candidate);
}
