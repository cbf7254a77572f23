/** Bytes as people read them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytesText } from './bytes-text.ts';

test('three digits and a unit', () => {
  const cases: readonly [number, string][] = [
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.00 kB'],
    [12_345, '12.3 kB'],
    [999_499, '999 kB'],
    [999_500, '1.00 MB'],
    [5e15, '5.00 PB'],
    [5e18, '5000 PB'],
  ];
  for (const [sizeBytes, text] of cases) assert.equal(bytesText(sizeBytes), text);
});
