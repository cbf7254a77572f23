/** The bytes of exactly one object, asked for when they are wanted, and again from where they broke off. */
import type { Readable } from 'node:stream';
import { backendUnavailable } from '../../core/errors.ts';
import type { ByteSink, ContentReader } from '../backend.ts';
import type { S3Objects } from './s3-objects.ts';

export interface ReadableObject {
  readonly key: string;
  readonly etag: string;
  readonly sizeBytes: number;
}

/** Where a content is by now; undefined: nowhere in this bucket. */
export type Whereabouts = () => Promise<Pick<ReadableObject, 'key' | 'etag'> | undefined>;

/** Without a byte in between a read is asked for again so often. */
const MAX_ATTEMPTS = 4;

/** Small enough to be read as a whole when it is opened: one request instead of two, and it is there whatever comes. */
export const WHOLE_BYTES = 128 * 1024;

export class S3Reader implements ContentReader {
  readonly sizeBytes: number;
  readonly #objects: S3Objects;
  readonly #whereabouts: Whereabouts | undefined;
  #object: ReadableObject;
  /** An answer that nobody has read from yet. */
  #opened: Readable | undefined;

  /**
   * @param opened the bytes from the first on
   * @param whereabouts asked when the object is not there any more: it may have got another key; undefined: it cannot
   */
  constructor(
    objects: S3Objects,
    object: ReadableObject,
    opened: Readable | undefined,
    whereabouts: Whereabouts | undefined = undefined,
  ) {
    this.#objects = objects;
    this.#object = object;
    this.#opened = opened;
    this.#whereabouts = whereabouts;
    this.sizeBytes = object.sizeBytes;
    // What breaks off before it is wanted is asked for again.
    opened?.on('error', () => {});
  }

  async readAll(): Promise<Uint8Array> {
    const chunks: Buffer[] = [];
    const sink = {
      async write(chunk: Uint8Array): Promise<void> {
        chunks.push(Buffer.from(chunk));
      },
    };
    await this.copyTo(sink, 0, this.sizeBytes);
    return Buffer.concat(chunks);
  }

  async copyTo(sink: ByteSink, start: number, end: number): Promise<void> {
    let at = start;
    let failure: unknown;
    for (let attempt = 0; at < end; attempt++) {
      if (attempt === MAX_ATTEMPTS) throw backendUnavailable('The bucket broke the transfer off.', failure);
      const body = await this.#bodyFrom(at, end);
      const before = at;
      try {
        failure = undefined;
        const bytes = body[Symbol.asyncIterator]();
        for (;;) {
          const chunk = await bytes.next().catch((error: unknown) => {
            failure = error;
            return undefined;
          });
          if (!chunk || chunk.done) break;
          const piece = (chunk.value as Buffer).subarray(0, end - at);
          await sink.write(piece);
          at += piece.length;
          if (at === end) break;
        }
      } finally {
        body.destroy();
      }
      if (at > before) attempt = -1;
    }
  }

  async #bodyFrom(start: number, end: number): Promise<Readable> {
    const opened = this.#opened;
    this.#opened = undefined;
    if (opened && !opened.destroyed && start === 0 && end === this.sizeBytes) return opened;
    opened?.destroy();
    for (;;) {
      const { key, etag } = this.#object;
      const found = await this.#objects.open(key, { etag, sizeBytes: this.sizeBytes, start, end });
      if (found.kind === 'opened') return found.body;
      const now = await this.#whereabouts?.();
      if (!now || (now.key === key && now.etag === etag)) {
        throw backendUnavailable('The file was replaced while it was read; read it again.');
      }
      this.#object = { ...this.#object, ...now };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#opened?.destroy();
  }
}
