/** Reads one open file. The byte pump: a few reused buffers, one being read while the other is being sent. */
import { backendUnavailable } from '../../core/errors.ts';
import type { ByteSink, ContentReader } from '../backend.ts';
import { closeReader, onDisk, readFully } from './descriptor.ts';

/** Large enough that a read costs little beside the copying, small enough for many transfers at once. */
const BUFFER_BYTES = 256 * 1024;
/** Buffers kept for the next transfer. */
const MAX_IDLE_BUFFERS = 32;

const idleBuffers: Buffer[] = [];

function takeBuffer(): Buffer {
  return idleBuffers.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES);
}

function returnBuffer(buffer: Buffer): void {
  if (idleBuffers.length < MAX_IDLE_BUFFERS) idleBuffers.push(buffer);
}

export class FileReader implements ContentReader {
  readonly sizeBytes: number;
  readonly #fd: number;

  /** Takes the descriptor over: disposing closes it. */
  constructor(fd: number, sizeBytes: number) {
    this.#fd = fd;
    this.sizeBytes = sizeBytes;
  }

  async readAll(): Promise<Uint8Array> {
    const bytes = Buffer.allocUnsafe(this.sizeBytes);
    await this.#read(bytes, this.sizeBytes, 0);
    return bytes;
  }

  async copyTo(sink: ByteSink, start: number, end: number): Promise<void> {
    const buffers = [takeBuffer(), takeBuffer()] as const;
    let sending: Promise<void> = Promise.resolve();
    try {
      for (let at = start, turn = 0; at < end; turn ^= 1) {
        const buffer = buffers[turn === 0 ? 0 : 1];
        const length = Math.min(BUFFER_BYTES, end - at);
        await this.#read(buffer, length, at);
        at += length;
        // The other buffer must be free before this one is handed on: at most one write is under way.
        await sending;
        sending = sink.write(buffer.subarray(0, length));
        sending.catch(() => {});
      }
      await sending;
    } finally {
      // After a failed write the socket may still hold the buffers, so only settled ones are used again.
      sending.then(
        () => buffers.forEach(returnBuffer),
        () => {},
      );
    }
  }

  async #read(target: Uint8Array, length: number, position: number): Promise<void> {
    const filled = await onDisk(readFully(this.#fd, target, length, position));
    if (filled < length) throw backendUnavailable('The file was shortened on disk while it was being read.');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    closeReader(this.#fd);
  }
}
