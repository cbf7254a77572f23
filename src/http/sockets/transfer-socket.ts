/**
 * One WebSocket of a transfer. What ws lacks for it: a client ends its upload with a close frame and then waits for the
 * verdict, so that frame is answered when the verdict is known (RFC 6455 section 5.5.1 allows the delay), not at once.
 */
import { on } from 'node:events';
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import { ClientGone } from '../../cluster/exchange.ts';

/** What the close frame of a transfer says (RFC 6455 section 7.4.1). */
export const CLOSE = { done: 1000, goingAway: 1001, refused: 1008, tooLarge: 1009, failed: 1011 } as const;

/** With these an upload is complete; a frame without a code is one of them. */
const ENDS_UPLOAD: readonly unknown[] = [undefined, CLOSE.done, CLOSE.goingAway];

/** Emitted when the client has ended its upload; everything before has been emitted by then. */
const ENDED = 'upload-ended';

export class TransferSocket extends WebSocket {
  #takesUpload = false;
  #concluded = false;
  readonly #gone = new AbortController();
  #connection: Socket | undefined;

  /** To be called once, when the connection is a WebSocket; nothing is read from it until `upload` or `resume`. */
  begin(connection: Socket, idleTimeoutMs: number): void {
    this.#connection = connection;
    // A failure shows in what fails, and in the end of the connection.
    this.on('error', () => {});
    this.on('close', () => this.#gone.abort());
    connection.removeAllListeners('timeout');
    connection.setTimeout(idleTimeoutMs, () => this.#onIdle());
    this.pause();
  }

  #onIdle(): void {
    super.close(CLOSE.refused, 'idle for too long');
    this.terminate();
  }

  /** Aborted when the connection ends. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** The bytes of all messages, as fast as they are taken. @throws ClientGone unless the client ends its upload properly */
  async *upload(): AsyncGenerator<Buffer> {
    this.#takesUpload = true;
    // At most one message waits beside the one in work.
    const options = { close: [ENDED], signal: this.gone, highWaterMark: 1, lowWaterMark: 1 };
    try {
      const messages = on(this, 'message', options);
      this.resume();
      for await (const [message] of messages) yield message as Buffer;
    } catch (error) {
      throw new ClientGone('the client broke its upload off', { cause: error });
    }
  }

  /** Called by ws when a close frame has come, or something that no WebSocket may send. */
  override close(code?: number, reason?: string | Buffer): void {
    if (this.#takesUpload && !this.#concluded && ENDS_UPLOAD.includes(code) && !hasUnfinishedMessage(this)) {
      // From now on it is this side's turn.
      this.#connection?.setTimeout(0);
      this.emit(ENDED);
      return;
    }
    super.close(code, reason);
  }

  /** Resolves when the kernel has the frame: text as a text frame, bytes as a binary one, which may be reused then. */
  deliver(data: string | Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.send(data, (error) => (error ? reject(new ClientGone('the client is gone', { cause: error })) : resolve()));
    });
  }

  /** Ends the transfer; what the client still sends is dropped. */
  conclude(code: number, reason: string): void {
    this.#concluded = true;
    this.resume();
    super.close(code, reason);
  }
}

/**
 * Whether the client closes in the middle of a message, whose pieces ws keeps until the last one: taken for the end of
 * the upload, the file would lack them. Nothing but a look into ws tells.
 */
function hasUnfinishedMessage(socket: WebSocket): boolean {
  const receiver: unknown = Reflect.get(socket, '_receiver');
  return typeof receiver === 'object' && receiver !== null && Reflect.get(receiver, '_fragmented') !== 0;
}
