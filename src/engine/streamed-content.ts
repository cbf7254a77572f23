/** A content that arrives as a stream, read in order. */
import type { ByteSink } from '../backends/backend.ts';
import { backendUnavailable } from '../core/errors.ts';

export class StreamedContent implements AsyncDisposable {
  readonly #bytes: AsyncIterator<Uint8Array>;
  /** Arrived, but not taken yet. */
  #ahead: Uint8Array | undefined;

  private constructor(bytes: AsyncIterator<Uint8Array>, first: Uint8Array | undefined) {
    this.#bytes = bytes;
    this.#ahead = first;
  }

  /** Resolves when the first bytes are there. Rejects as the stream does when it begins. */
  static async begin(bytes: AsyncIterable<Uint8Array>): Promise<StreamedContent> {
    const iterator = bytes[Symbol.asyncIterator]();
    const { value, done } = await iterator.next();
    return new StreamedContent(iterator, done ? undefined : value);
  }

  /** Sends the next `end - start` bytes. @throws CallFSError BACKEND_UNAVAILABLE when there are fewer */
  async copyTo(sink: ByteSink, start: number, end: number): Promise<void> {
    for (let left = end - start; left > 0; ) {
      const chunk = this.#ahead ?? (await this.#next());
      const piece = chunk.subarray(0, left);
      this.#ahead = piece.length < chunk.length ? chunk.subarray(piece.length) : undefined;
      await sink.write(piece);
      left -= piece.length;
    }
  }

  async #next(): Promise<Uint8Array> {
    const { value, done } = await this.#bytes.next();
    if (done) throw backendUnavailable('The content ended too early.');
    return value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#bytes.return?.();
  }
}
