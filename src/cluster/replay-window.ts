/**
 * Refuses what was seen before, in constant memory: per sender's boot, the highest counter and a bitmap of
 * those below it (the sliding window of RFC 4303 section 3.4.3).
 */

/** Requests of one peer that may overtake each other. */
const WINDOW = 65_536;
/** Boots remembered at once; a peer has one, or a few when it restarts often. */
const MAX_BOOTS = 1024;

interface Seen {
  readonly bits: Uint32Array;
  highest: number;
  lastUsedMs: number;
}

export class ReplayWindow {
  readonly #boots = new Map<string, Seen>();
  readonly #forgetAfterMs: number;

  /** @param forgetAfterMs how long a message can be accepted at all; a boot unheard of for longer is forgotten */
  constructor(forgetAfterMs: number) {
    this.#forgetAfterMs = forgetAfterMs;
  }

  /** True for the first time, false for a repetition or something too old to tell. */
  accept(bootId: string, counter: number, nowMs: number): boolean {
    const seen = this.#boots.get(bootId) ?? this.#remember(bootId, nowMs);
    seen.lastUsedMs = nowMs;
    if (counter > seen.highest) {
      advance(seen, counter);
    } else if (counter <= seen.highest - WINDOW || isSet(seen.bits, counter)) {
      return false;
    }
    set(seen.bits, counter);
    return true;
  }

  #remember(bootId: string, nowMs: number): Seen {
    if (this.#boots.size >= MAX_BOOTS) {
      for (const [id, { lastUsedMs }] of this.#boots) {
        if (nowMs - lastUsedMs > this.#forgetAfterMs) this.#boots.delete(id);
      }
    }
    const seen = { bits: new Uint32Array(WINDOW / 32), highest: 0, lastUsedMs: nowMs };
    this.#boots.set(bootId, seen);
    return seen;
  }
}

function advance(seen: Seen, counter: number): void {
  if (counter - seen.highest >= WINDOW) seen.bits.fill(0);
  else for (let passed = seen.highest + 1; passed < counter; passed++) clear(seen.bits, passed);
  seen.highest = counter;
}

const wordOf = (counter: number): number => (counter % WINDOW) >>> 5;
const bitOf = (counter: number): number => 1 << (counter & 31);

function isSet(bits: Uint32Array, counter: number): boolean {
  return ((bits[wordOf(counter)] ?? 0) & bitOf(counter)) !== 0;
}

function set(bits: Uint32Array, counter: number): void {
  bits[wordOf(counter)] = (bits[wordOf(counter)] ?? 0) | bitOf(counter);
}

function clear(bits: Uint32Array, counter: number): void {
  bits[wordOf(counter)] = (bits[wordOf(counter)] ?? 0) & ~bitOf(counter);
}
