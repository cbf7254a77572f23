/** The checksums of one content, taken while its bytes pass. */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Content } from '../core/entry.ts';

export class ContentSums {
  readonly #sha256 = createHash('sha256');
  #crc = 0;

  update(chunk: Uint8Array): void {
    this.#crc = crc32(chunk, this.#crc);
    this.#sha256.update(chunk);
  }

  /** Of all bytes so far; once. */
  take(): Required<Pick<Content, 'checksum' | 'sha256'>> {
    return { checksum: this.#crc.toString(16).padStart(8, '0'), sha256: this.#sha256.digest('hex') };
  }
}
