/** Content of any size without holding it: deterministic, cheap to make, never the same in two places. */
import { createHash, type Hash } from 'node:crypto';

const BLOCK_BYTES = 256 * 1024;

/** The content in blocks of 256 KiB, each a buffer of its own; `hash` is fed with what was handed out. */
export function* patternBlocks(sizeBytes: number, hash: Hash = createHash('sha256')): Generator<Buffer> {
  const block = Buffer.alloc(BLOCK_BYTES);
  for (let at = 0; at < BLOCK_BYTES; at += 4) block.writeUInt32LE(Math.imul(at + 1, 2_654_435_761) >>> 0, at);
  for (let at = 0; at < sizeBytes; at += BLOCK_BYTES) {
    const bytes = Buffer.from(block.subarray(0, Math.min(BLOCK_BYTES, sizeBytes - at)));
    if (bytes.length >= 8) bytes.writeBigUInt64LE(BigInt(at), 0);
    hash.update(bytes);
    yield bytes;
  }
}
