/** A content that is in memory, as a backend gives it. */
import type { ByteSink, ContentReader } from './backend.ts';

export class BytesReader implements ContentReader {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get sizeBytes(): number {
    return this.#bytes.length;
  }

  async readAll(): Promise<Uint8Array> {
    return this.#bytes;
  }

  async copyTo(sink: ByteSink, start: number, end: number): Promise<void> {
    if (end > start) await sink.write(this.#bytes.subarray(start, end));
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
