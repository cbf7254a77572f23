/** The body of an upload over a WebSocket: the connection becomes one only when somebody takes the bytes. */
import type { RequestUpload } from '../client-upload.ts';
import type { TransferSocket } from './transfer-socket.ts';

export class SocketUpload implements RequestUpload {
  readonly declaredBytes = undefined;
  readonly #upgrade: () => TransferSocket;
  /** Undefined: the client has not been asked for the bytes. */
  socket: TransferSocket | undefined;
  receivedBytes = 0;

  constructor(upgrade: () => TransferSocket) {
    this.#upgrade = upgrade;
  }

  get isOpened(): boolean {
    return this.socket !== undefined;
  }

  open(): AsyncIterable<Uint8Array> {
    this.socket = this.#upgrade();
    return this.#count(this.socket.upload());
  }

  relay(): AsyncIterable<Uint8Array> {
    return this.open();
  }

  async *#count(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of bytes) {
      this.receivedBytes += chunk.length;
      yield chunk;
    }
  }
}
