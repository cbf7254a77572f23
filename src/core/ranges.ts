/** Range requests: RFC 9110 section 14. Pure. */

/** Bytes from `start` up to, but not including, `end`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export type RangeVerdict =
  /** No range, or one that cannot be understood: the whole content answers (section 14.2). */
  | { readonly kind: 'whole' }
  | { readonly kind: 'parts'; readonly ranges: readonly ByteRange[] }
  | { readonly kind: 'unsatisfiable' };

/** More parts than this, or parts that repeat bytes, are an attack or a mistake (section 17.15): the whole content answers. */
const MAX_RANGES = 32;

export function parseRanges(field: string | undefined, sizeBytes: number): RangeVerdict {
  const specs = field === undefined ? undefined : /^bytes[ \t]*=(.*)$/i.exec(field)?.[1];
  if (specs === undefined) return { kind: 'whole' };
  const ranges: ByteRange[] = [];
  let count = 0;
  for (const spec of specs.split(',')) {
    const trimmed = spec.trim();
    // Empty list elements are ignored (section 5.6.1.2).
    if (trimmed === '') continue;
    const range = parseRange(trimmed, sizeBytes);
    if (range === undefined || ++count > MAX_RANGES) return { kind: 'whole' };
    if (range.start < range.end) ranges.push(range);
  }
  if (count === 0) return { kind: 'whole' };
  if (ranges.length === 0) return { kind: 'unsatisfiable' };
  return overlap(ranges) ? { kind: 'whole' } : { kind: 'parts', ranges };
}

/** Empty (`start` = `end`) when no byte of the content is in it; undefined when it cannot be understood. */
function parseRange(spec: string, sizeBytes: number): ByteRange | undefined {
  const [, first, last] = /^(\d*)-(\d*)$/.exec(spec) ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined;
  if (first === '') return { start: Math.max(0, sizeBytes - Number(last)), end: sizeBytes };
  const start = Number(first);
  if (last !== '' && Number(last) < start) return undefined;
  const end = last === '' ? sizeBytes : Math.min(Number(last) + 1, sizeBytes);
  return start < end ? { start, end } : { start: 0, end: 0 };
}

function overlap(ranges: readonly ByteRange[]): boolean {
  const sorted = ranges.toSorted((left, right) => left.start - right.start);
  return sorted.some((range, index) => index > 0 && range.start < (sorted[index - 1]?.end ?? 0));
}
