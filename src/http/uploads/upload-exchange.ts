/** What a request of the tus protocol does to the upload that it is for, at the instance that has the bytes. */
import type { PieceCheck } from '../../backends/partial-contents.ts';
import { CallFSError } from '../../core/errors.ts';
import type { User } from '../../core/permissions.ts';
import { assertUploadFits, beginUpload } from '../../engine/begin-upload.ts';
import { type FinishedUpload, finishUpload } from '../../engine/finish-upload.ts';
import { getUpload, KEPT_MS, partialsOf, type UploadContext } from '../../engine/upload-context.ts';
import type { UploadRecord } from '../../metadata/upload-store.ts';
import type { TusWork, UploadState } from './tus-exchange.ts';
import { parseTarget } from './upload-metadata.ts';

/** `Upload-Concat` of what is only a part of something. */
export const PARTIAL = 'partial';

export interface UploadExchangeOptions {
  readonly context: UploadContext;
  readonly user: User;
  readonly id: string;
  readonly metadata: string;
  readonly concat: string | undefined;
  /** Of the piece that the request brings. */
  readonly check: PieceCheck | undefined;
  /** Told before what may take long, until it is disposed. */
  readonly takesLong: () => Disposable;
}

export class UploadExchange implements TusWork {
  readonly #options: UploadExchangeOptions;
  /** Settles when nothing is written any more, whatever became of the request. */
  settled: Promise<unknown> = Promise.resolve();
  /** What became of the upload with this request. */
  finished: FinishedUpload | undefined;

  constructor(options: UploadExchangeOptions) {
    this.#options = options;
  }

  async create(lengthBytes: number | undefined): Promise<void> {
    const { context, user, id, metadata, concat } = this.#options;
    await beginUpload(context, { id, userName: user.name, lengthBytes, metadata, concat });
  }

  async find(): Promise<UploadState> {
    return stateOf(this.#options.context, await this.record());
  }

  record(): Promise<UploadRecord> {
    const { context, user, id } = this.#options;
    return getUpload(context, user, id);
  }

  async declareLength(lengthBytes: number): Promise<void> {
    await assertUploadFits(this.#options.context, lengthBytes);
    await this.#prolong(lengthBytes);
  }

  async write(bytes: AsyncIterable<Uint8Array>, offset: number): Promise<number> {
    const writing = this.#write(bytes, offset);
    this.settled = writing.catch(() => {});
    return await writing;
  }

  async #write(bytes: AsyncIterable<Uint8Array>, offset: number): Promise<number> {
    const { context, id, check } = this.#options;
    if ((await this.record()).finished) return offset;
    try {
      return await partialsOf(context).append(id, { offset, bytes, check });
    } finally {
      await this.#prolong();
    }
  }

  async #prolong(lengthBytes?: number): Promise<void> {
    const { context, id } = this.#options;
    await context.store.uploads.change({ id, lengthBytes, expiresAtMs: context.clock.now() + KEPT_MS });
  }

  async remove(): Promise<void> {
    const { context, id } = this.#options;
    await partialsOf(context).remove(id);
    await context.store.uploads.remove(id);
  }

  async finish(): Promise<void> {
    const { context, takesLong } = this.#options;
    const record = await this.record();
    if (record.concat === PARTIAL) return;
    using _told = takesLong();
    this.finished = await finishUpload(context, record, parseTarget(record.metadata));
  }
}

export async function stateOf(context: UploadContext, record: UploadRecord): Promise<UploadState> {
  const { id, lengthBytes, finished } = record;
  if (finished && lengthBytes !== undefined) return { offset: lengthBytes, lengthBytes };
  return { offset: await partialsOf(context).sizeOf(id), lengthBytes };
}

export function isComplete({ offset, lengthBytes }: UploadState): boolean {
  return offset === lengthBytes;
}

/** @throws CallFSError UNSUPPORTED_MEDIA_TYPE */
export function assertPiece(contentType: string | undefined): void {
  if (contentType === PIECE_TYPE) return;
  throw new CallFSError('UNSUPPORTED_MEDIA_TYPE', `The Content-Type of a part of an upload must be ${PIECE_TYPE}.`);
}

export const PIECE_TYPE = 'application/offset+octet-stream';
