/** An upload from the first byte until its fate is known: committed, forwarded or discarded. */
import type { Backend, StagedContent } from '../backends/backend.ts';
import { type BackendType, type FileEntry, haveSameBytes } from '../core/entry.ts';
import { backendUnavailable, CallFSError } from '../core/errors.ts';
import { faultPoint } from '../core/fault-point.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import { backendFor, type EngineContext, type Upload } from './engine-context.ts';
import type { FileContent } from './new-entry.ts';
import { bytesOf } from './open-content.ts';

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
    yield* bytesOf(reader);
  }

  /** Runs the transaction that may commit this content; when its outcome stays unknown the bytes are kept until it is known. */
  async commit<T>(transaction: () => Promise<T>, hasCommitted: (outcome: T) => boolean): Promise<T> {
    try {
      faultPoint('engine:before-commit');
      const outcome = await transaction();
      faultPoint('engine:after-commit');
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

/** Bytes that some backend of the cluster has already: the limit for uploads does not concern them. */
export async function stageCopy(
  context: EngineContext,
  type: BackendType,
  original: FileEntry,
  bytes: AsyncIterable<Uint8Array>,
): Promise<StagedUpload> {
  const backend = backendFor(context, type);
  await backend.assertRoom(original.sizeBytes);
  const staged = await backend.stage(context.ids.next(), bytes, {
    maxBytes: undefined,
    declaredBytes: original.sizeBytes,
  });
  if (haveSameBytes(staged.content, original)) return new StagedUpload(backend, staged);
  await backend.discard(staged);
  throw backendUnavailable(`The bytes that instance ${original.instanceId} sent are not those that were stored.`);
}

/** The same bytes in a second content of this instance, without reading them; undefined: that is not possible. */
export async function stageClone(
  context: EngineContext,
  original: FileEntry,
  path: VirtualPath,
): Promise<StagedUpload | undefined> {
  const backend = backendFor(context, original.backendType);
  const staged = await backend.stageClone(context.ids.next(), original, path);
  return staged && new StagedUpload(backend, staged);
}

export async function stageUpload(context: EngineContext, type: BackendType, upload: Upload): Promise<StagedUpload> {
  const backend = backendFor(context, type);
  const staged = await backend.stage(context.ids.next(), upload.open(), {
    maxBytes: context.maxUploadBytes,
    declaredBytes: upload.declaredBytes,
  });
  return new StagedUpload(backend, staged);
}
