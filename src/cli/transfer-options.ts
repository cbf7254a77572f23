/** What commands that move many files let the operator say about how they do it. */
import { InvalidArgumentError } from 'commander';
import { parseSize } from '../config/size.ts';

const MAX_PARALLEL = 64;

/** Bytes per second. */
export function parseRate(text: string): number {
  try {
    const bytes = parseSize(text.replace(/\/s$/i, ''));
    if (bytes > 0) return bytes;
  } catch {
    // Told below, with what a rate looks like.
  }
  throw new InvalidArgumentError('It must be bytes per second, such as 50MB/s or 10MiB/s.');
}

export function parseParallel(text: string): number {
  const count = parseCount(text);
  if (count >= 1 && count <= MAX_PARALLEL) return count;
  throw new InvalidArgumentError(`It must be a number from 1 to ${MAX_PARALLEL}.`);
}

export function parseCount(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It must be a whole number.');
}
