/** Digest fields: any of them is read or refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CallFSError } from '../core/errors.ts';
import { parseDigests } from './digest-fields.ts';

const DIGEST = Buffer.alloc(32, 7).toString('base64');

test('any field at all is read or refused with 400, and a digest that is read has its length', () => {
  const piece = fc.constantFrom(
    ...['sha-256', 'sha-512', 'md5', '=', ':', ',', ';', ' ', '"', '?1', '@1', '%"', '(', ')', '*', 'A'],
    ...[`sha-256=:${DIGEST}:`, DIGEST],
  );
  const field = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(piece, { maxLength: 10 }).map((pieces) => pieces.join('')),
  );
  fc.assert(
    fc.property(fc.constantFrom('content-digest', 'repr-digest', 'content-md5'), field, (name, text) => {
      try {
        for (const { algorithm, digest } of parseDigests({ [name]: text })) {
          assert.equal(digest.length, { sha256: 32, sha512: 64, md5: 16 }[algorithm]);
        }
      } catch (error) {
        assert(error instanceof CallFSError && error.code === 'BAD_REQUEST', String(error));
      }
    }),
    { numRuns: 10_000 },
  );
});
