/** Names to which something happened, until it is time to look at them: when nothing has happened to them for a moment. */
import type { ImportLook } from '../backends/import-source.ts';
import type { ImportNames } from './adopt-tree.ts';

/** A file is taken to be whole when it was left alone for so long. */
export const QUIET_MS = 1000;

export interface Touched {
  readonly names: ImportNames;
  /** By a clock that only goes forward. */
  readonly dueMs: number;
  /** The fingerprint at the last look, if nothing has been told since. */
  readonly seen: string | undefined;
  /** Why it was not adopted then. */
  readonly reason: string | undefined;
}

export class TouchedNames {
  readonly #touched = new Map<string, Touched>();

  get size(): number {
    return this.#touched.size;
  }

  touch(names: ImportNames, quietMs = QUIET_MS): void {
    const touched = { names, dueMs: performance.now() + quietMs, seen: undefined, reason: undefined };
    this.#touched.set(names.join('/'), touched);
  }

  /** To be looked at once more; what was told meanwhile comes first. */
  again({ names, seen, reason }: Omit<Touched, 'dueMs'>, afterMs: number): void {
    const key = names.join('/');
    if (this.#touched.has(key)) return;
    this.#touched.set(key, { names, seen, reason, dueMs: performance.now() + afterMs });
  }

  /** Takes out what is due, by the folders it lies in. */
  takeDue(limit: number): Touched[][] {
    const nowMs = performance.now();
    const due: Touched[] = [];
    for (const [key, touched] of this.#touched) {
      if (touched.dueMs > nowMs) continue;
      this.#touched.delete(key);
      if (due.push(touched) === limit) break;
    }
    return [...Map.groupBy(due, ({ names }) => names.slice(0, -1).join('/')).values()];
  }

  /** How long until something is due. */
  nextInMs(): number {
    let nextMs = Number.POSITIVE_INFINITY;
    for (const { dueMs } of this.#touched.values()) nextMs = Math.min(nextMs, dueMs);
    return Math.max(0, nextMs - performance.now());
  }
}

/** Whether nobody has written to it for a moment, or taken it away. The disk's clock need not be this host's. */
export function isQuiet(look: ImportLook, { seen }: Pick<Touched, 'seen'>, nowMs: number): boolean {
  return nowMs - look.changedMs >= QUIET_MS || seen === look.fingerprint;
}
