/** RFC 9110 section 14, case by case. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseRanges } from './ranges.ts';

const WHOLE = { kind: 'whole' };
const UNSATISFIABLE = { kind: 'unsatisfiable' };
const parts = (...ranges: [number, number][]) => ({
  kind: 'parts',
  ranges: ranges.map(([start, end]) => ({ start, end })),
});

const CASES: readonly [field: string | undefined, size: number, verdict: object][] = [
  [undefined, 10, WHOLE],
  ['bytes=0-4', 10, parts([0, 5])],
  ['bytes=0-0', 10, parts([0, 1])],
  ['bytes=5-', 10, parts([5, 10])],
  ['bytes=-3', 10, parts([7, 10])],
  ['bytes=-300', 10, parts([0, 10])],
  ['bytes=8-99', 10, parts([8, 10])],
  ['BYTES = 1-2'.replace(' = ', '='), 10, parts([1, 3])],
  ['bytes=0-1,4-5', 10, parts([0, 2], [4, 6])],
  ['bytes=4-5, 0-1', 10, parts([4, 6], [0, 2])],
  ['bytes=,0-1,,', 10, parts([0, 2])],
  ['bytes=0-1,20-30', 10, parts([0, 2])],
  ['bytes=10-', 10, UNSATISFIABLE],
  ['bytes=99-100', 10, UNSATISFIABLE],
  ['bytes=-0', 10, UNSATISFIABLE],
  ['bytes=0-', 0, UNSATISFIABLE],
  ['bytes=-5', 0, UNSATISFIABLE],
  ['bytes=5-4', 10, WHOLE],
  ['bytes=a-b', 10, WHOLE],
  ['bytes=-', 10, WHOLE],
  ['bytes=', 10, WHOLE],
  ['bytes', 10, WHOLE],
  ['lines=0-4', 10, WHOLE],
  ['bytes=0-5,3-8', 10, WHOLE],
  [`bytes=${Array.from({ length: 33 }, (_, index) => `${2 * index}-${2 * index}`).join(',')}`, 100, WHOLE],
];

test('ranges are understood as the standard says', () => {
  for (const [field, size, verdict] of CASES) assert.deepEqual(parseRanges(field, size), verdict, String(field));
});

test('whatever is asked, every part lies inside the content and no byte comes twice', () => {
  const spec = fc.oneof(
    fc.string(),
    fc.tuple(fc.nat(50), fc.nat(50)).map(([a, b]) => `${a}-${b}`),
    fc.nat(50).map((n) => `-${n}`),
  );
  fc.assert(
    fc.property(fc.array(spec, { maxLength: 5 }), fc.nat(40), (specs, size) => {
      const verdict = parseRanges(`bytes=${specs.join(',')}`, size);
      if (verdict.kind !== 'parts') return;
      const bytes = verdict.ranges.flatMap(({ start, end }) =>
        Array.from({ length: end - start }, (_, i) => start + i),
      );
      assert(verdict.ranges.every(({ start, end }) => 0 <= start && start < end && end <= size));
      assert.equal(new Set(bytes).size, bytes.length);
    }),
    { numRuns: 10_000 },
  );
});

test('any field at all is understood or ignored', () => {
  const piece = fc.constantFrom(
    'bytes',
    '=',
    '-',
    ',',
    ' ',
    '\t',
    '0',
    '9',
    '99999999999999999999',
    'x',
    ';',
    '*',
    '/',
  );
  const field = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(piece, { maxLength: 20 }).map((pieces) => pieces.join('')),
    fc.array(piece, { maxLength: 20 }).map((pieces) => `bytes=${pieces.join('')}`),
  );
  const size = fc.oneof(fc.nat(30), fc.constantFrom(0, 1, 2 ** 40, Number.MAX_SAFE_INTEGER));
  fc.assert(
    fc.property(field, size, (text, sizeBytes) => {
      const verdict = parseRanges(text, sizeBytes);
      if (verdict.kind !== 'parts') return;
      for (const { start, end } of verdict.ranges) {
        assert(Number.isSafeInteger(start) && Number.isSafeInteger(end), text);
        assert(0 <= start && start < end && end <= sizeBytes, text);
      }
    }),
    { numRuns: 10_000 },
  );
});
