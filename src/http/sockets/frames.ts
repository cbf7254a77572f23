/** Bytes as the binary frames of a download. */
import type { ByteSink } from '../../backends/backend.ts';
import { bytesPassed } from '../../streams/passing-bytes.ts';
import type { TransferSocket } from './transfer-socket.ts';

const FRAME_BYTES = 64 * 1024;

/** Sends frames of 64 KiB, the last one shorter; at the pace of the client, one at a time. */
export class FrameSink implements ByteSink {
  readonly #socket: TransferSocket;
  readonly #frame = Buffer.allocUnsafeSlow(FRAME_BYTES);
  #filled = 0;
  readonly #sent: { bytes: number };

  /** @param sent counts the bytes of the frames */
  constructor(socket: TransferSocket, sent: { bytes: number }) {
    this.#socket = socket;
    this.#sent = sent;
  }

  async write(chunk: Uint8Array): Promise<void> {
    bytesPassed(chunk.length);
    for (let at = 0; at < chunk.length; ) {
      if (this.#filled === 0 && chunk.length - at >= FRAME_BYTES) {
        await this.#send(chunk.subarray(at, at + FRAME_BYTES));
        at += FRAME_BYTES;
        continue;
      }
      const piece = chunk.subarray(at, at + FRAME_BYTES - this.#filled);
      this.#frame.set(piece, this.#filled);
      this.#filled += piece.length;
      at += piece.length;
      if (this.#filled === FRAME_BYTES) await this.flush();
    }
  }

  /** Sends what is left. */
  async flush(): Promise<void> {
    if (this.#filled === 0) return;
    await this.#send(this.#frame.subarray(0, this.#filled));
    this.#filled = 0;
  }

  async #send(frame: Uint8Array): Promise<void> {
    await this.#socket.deliver(frame);
    this.#sent.bytes += frame.length;
  }
}
