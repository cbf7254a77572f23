/** A body whose digests the client has told: it ends with an error when it is not what was meant. */
import { createHash } from 'node:crypto';
import { CallFSError } from '../core/errors.ts';

export interface ExpectedDigest {
  /** The header field and its algorithm, for the message. */
  readonly field: string;
  /** As node:crypto names it. */
  readonly algorithm: 'sha256' | 'sha512' | 'md5';
  readonly digest: Uint8Array;
}

/** @throws CallFSError BAD_REQUEST after the last byte, so that whoever takes the bytes drops them */
export async function* verifiedBody(
  bytes: AsyncIterable<Uint8Array>,
  expected: readonly ExpectedDigest[],
): AsyncGenerator<Uint8Array> {
  const hashes = new Map(expected.map(({ algorithm }) => [algorithm, createHash(algorithm)]));
  for await (const chunk of bytes) {
    for (const hash of hashes.values()) hash.update(chunk);
    yield chunk;
  }
  const digests = new Map(Array.from(hashes, ([algorithm, hash]) => [algorithm, hash.digest()]));
  for (const { field, algorithm, digest } of expected) {
    const actual = digests.get(algorithm);
    if (actual?.equals(digest)) continue;
    const message = `The body is not what ${field} says: that of what arrived is ${actual?.toString('base64')}.`;
    throw new CallFSError('BAD_REQUEST', message, { details: { field } });
  }
}
