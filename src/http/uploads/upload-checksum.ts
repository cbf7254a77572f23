/** `Upload-Checksum`: the checksum extension of tus. */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { PieceCheck } from '../../backends/partial-contents.ts';
import { CallFSError } from '../../core/errors.ts';

export const CHECKSUM_ALGORITHMS = ['sha1', 'sha256', 'sha512', 'md5', 'crc32'] as const;

type Algorithm = (typeof CHECKSUM_ALGORITHMS)[number];

/** @throws CallFSError BAD_REQUEST when it cannot be read or the algorithm is not known */
export function parseChecksum(field: string | string[] | undefined): PieceCheck | undefined {
  if (field === undefined) return undefined;
  const [algorithm = '', expected = '', ...rest] = String(field).split(' ');
  const known = CHECKSUM_ALGORITHMS.find((name) => name === algorithm);
  if (known && expected !== '' && rest.length === 0) return new ChecksumCheck(known, expected);
  const names = CHECKSUM_ALGORITHMS.join(', ');
  throw new CallFSError('BAD_REQUEST', `Upload-Checksum must be one of ${names}, a space, and the checksum in base64.`);
}

class ChecksumCheck implements PieceCheck {
  readonly #expected: string;
  readonly #sum: { update(chunk: Uint8Array): unknown; digest(): Buffer };

  constructor(algorithm: Algorithm, expected: string) {
    this.#expected = expected;
    this.#sum = algorithm === 'crc32' ? new Crc32() : createHash(algorithm);
  }

  update(chunk: Uint8Array): void {
    this.#sum.update(chunk);
  }

  verify(): void {
    if (this.#sum.digest().equals(Buffer.from(this.#expected, 'base64'))) return;
    throw new CallFSError('CHECKSUM_MISMATCH', 'The bytes are not what Upload-Checksum says; they were thrown away.');
  }
}

class Crc32 {
  #crc = 0;

  update(chunk: Uint8Array): void {
    this.#crc = crc32(chunk, this.#crc);
  }

  digest(): Buffer {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(this.#crc);
    return bytes;
  }
}
