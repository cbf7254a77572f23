/** The order that the store in memory lists names in. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { compareBytes } from './byte-order.ts';

it('orders any two well-formed strings as their UTF-8 bytes', () => {
  const text = fc
    .oneof(
      fc.string({ unit: 'binary', maxLength: 6 }),
      fc
        .array(fc.constantFrom('a', 'é', '\ud7ff', '\ue000', '\uff5e', '\uffff', '\u{10000}', '\u{1f600}'), {
          maxLength: 5,
        })
        .map((parts) => parts.join('')),
    )
    .filter((value) => value.isWellFormed());
  fc.assert(
    fc.property(text, text, (left, right) => {
      const expected = Buffer.compare(Buffer.from(left), Buffer.from(right));
      assert.equal(Math.sign(compareBytes(left, right)), expected);
    }),
    { numRuns: 5000 },
  );
});
