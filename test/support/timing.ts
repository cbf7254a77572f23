/** How long answers take. */
import { type Answer, type CallOptions, call } from './client.ts';

export interface TimedAnswer extends Answer {
  readonly ms: number;
}

export async function timedCall(
  method: string,
  url: string,
  path: string,
  options: CallOptions = {},
): Promise<TimedAnswer> {
  const startedAt = performance.now();
  const answer = await call(method, url, path, options);
  return { ...answer, ms: performance.now() - startedAt };
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

const TRIES = 5;

/**
 * The median of `count` requests, measured again while it is not below the limit: what else the machine has to do for a
 * moment is no slowness of the instance, which would last.
 */
export async function quietMedian(limitMs: number, ...request: Parameters<typeof latencies>): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < TRIES && least >= limitMs; attempt++) {
    least = Math.min(least, median(await latencies(...request)));
  }
  return least;
}

/** Milliseconds of `count` requests, one after the other; each must be answered with `status`. */
export async function latencies(
  count: number,
  status: number,
  ...request: Parameters<typeof timedCall>
): Promise<number[]> {
  const times: number[] = [];
  for (let round = 0; round < count; round++) {
    const answer = await timedCall(...request);
    if (answer.status !== status) throw new Error(`${request[0]} ${request[2]}: ${answer.status} ${answer.text}`);
    times.push(answer.ms);
  }
  return times;
}
