/** What makes one run differ from the next, handed out by `src/compose/` so that tests can decide it. */

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
}

export interface Ids {
  /** A new identifier, unique in the whole cluster, usable as a file name. */
  next(): string;
  /** A name for one request: unique, in no order. */
  nextRequest(): string;
}
