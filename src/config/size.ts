/** Sizes as operators write them (`10MiB`, `10MB`, or bytes) and as the code uses them: bytes. */
import { InvalidValue } from './invalid-value.ts';

const BYTES_BY_UNIT: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['b', 1],
  ['kb', 1e3],
  ['mb', 1e6],
  ['gb', 1e9],
  ['tb', 1e12],
  ['kib', 2 ** 10],
  ['mib', 2 ** 20],
  ['gib', 2 ** 30],
  ['tib', 2 ** 40],
]);

const SIZE = /^(\d+(?:\.\d+)?) ?([A-Za-z]*)$/;

/** Bytes; units are read in any letter case. Throws InvalidValue. */
export function parseSize(raw: unknown): number {
  const match = typeof raw === 'number' || typeof raw === 'string' ? SIZE.exec(String(raw)) : null;
  const unitBytes = BYTES_BY_UNIT.get(match?.[2]?.toLowerCase() ?? '');
  const sizeBytes = Number(match?.[1]) * (unitBytes ?? Number.NaN);
  if (!Number.isSafeInteger(sizeBytes)) {
    throw new InvalidValue('must be a size such as 500MB, 10MiB or 1GiB, or a whole number of bytes');
  }
  return sizeBytes;
}
