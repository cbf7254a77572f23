/** The clock and the ids that everything is handed. */
import { randomUUID } from 'node:crypto';
import { v7 as uuid } from 'uuid';

export const clock = { now: () => Date.now() };
// Node.js takes randomness for its own UUIDs in large pieces, so one a request costs next to nothing.
export const ids = { next: () => uuid(), nextRequest: () => randomUUID() };
