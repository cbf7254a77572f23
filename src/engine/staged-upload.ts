/** An upload from the first byte until its fate is known: committed, forwarded or discarded. */
import { PassThrough } from 'node:stream';
import type { Backend, StagedContent } from '../backends/backend.ts';
import type { BackendType } from '../core/entry.ts';
import { CallFSError } from '../core/errors.ts';
import { backendFor, type EngineContext, type Upload } from './engine-context.ts';
import type { FileContent } from './new-entry.ts';

export class StagedUpload implements AsyncDisposable {
  readonly #backend: Backend;
  readonly #staged: StagedContent;
  #concluded = false;

  constructor(backend: Backend, staged: StagedContent) {
    this.#backend = backend;
    this.#staged = staged;
  }

  get sizeBytes(): number {
    return this.#staged.content.sizeBytes;
  }

  asFile(contentType: string | null): FileContent {
    return { ...this.#staged, contentType, backendType: this.#backend.type };
  }

  /** The bytes once more, for another instance. */
  async *bytes(): AsyncGenerator<Uint8Array> {
    await using reader = await this.#staged.open();
    const through = new PassThrough();
    // The reader uses its buffers again, so what waits in the stream is a copy.
    const sink = { write: (chunk: Uint8Array) => writeTo(through, Buffer.from(chunk)) };
    const copying = reader.copyTo(sink, 0, reader.sizeBytes).then(
      () => through.end(),
      (error: Error) => through.destroy(error),
    );
    yield* through;
    await copying;
  }

  /** Runs the transaction that may commit this content; when its outcome stays unknown the bytes are kept until it is known. */
  async commit<T>(transaction: () => Promise<T>, hasCommitted: (outcome: T) => boolean): Promise<T> {
    try {
      const outcome = await transaction();
      if (hasCommitted(outcome)) this.#conclude(() => this.#backend.committed(this.#staged));
      return outcome;
    } catch (error) {
      this.#conclude(() => this.#backend.reconcile(this.#staged));
      throw error;
    }
  }

  #conclude(fate: () => void): void {
    this.#concluded = true;
    fate();
  }

  /** Discards the bytes unless they were committed. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#concluded) await this.#backend.discard(this.#staged);
  }
}

function writeTo(through: PassThrough, chunk: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    through.write(chunk, (error) => (error ? reject(error) : resolve()));
  });
}

/** @throws CallFSError PAYLOAD_TOO_LARGE or INSUFFICIENT_STORAGE when the declared size already tells */
export async function assertFits(context: EngineContext, type: BackendType, upload: Upload): Promise<void> {
  const { declaredBytes } = upload;
  if (declaredBytes === undefined) return;
  if (context.maxUploadBytes !== undefined && declaredBytes > context.maxUploadBytes) {
    const message = `This server takes at most ${context.maxUploadBytes} bytes in one file.`;
    throw new CallFSError('PAYLOAD_TOO_LARGE', message);
  }
  await backendFor(context, type).assertRoom(declaredBytes);
}

export async function stageUpload(context: EngineContext, type: BackendType, upload: Upload): Promise<StagedUpload> {
  const backend = backendFor(context, type);
  const staged = await backend.stage(context.ids.next(), upload.open(), { maxBytes: context.maxUploadBytes });
  return new StagedUpload(backend, staged);
}
