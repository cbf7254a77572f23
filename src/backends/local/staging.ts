/** Receives the bytes of new content: written, checksummed and durable under its content id, not yet visible. */
import { once } from 'node:events';
import * as fs from 'node:fs';
import { constants } from 'node:fs';
import { unlink } from 'node:fs/promises';
import { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { backendUnavailable, CallFSError } from '../../core/errors.ts';
import { faultPoint } from '../../core/fault-point.ts';
import { bytesPassed } from '../../streams/passing-bytes.ts';
import type { ContentReader, StagedContent, StageOptions } from '../backend.ts';
import { ContentSums } from '../content-sums.ts';
import {
  closeFile,
  onDisk,
  openFile,
  startSync,
  statDescriptor,
  syncFile,
  toDiskError,
  unlessAbsent,
} from './descriptor.ts';
import type { DirectorySync } from './directory-sync.ts';
import { FileReader } from './file-reader.ts';
import type { Layout } from './layout.ts';
import { stampOf } from './stamp.ts';

/** Bytes that may wait in memory for the disk, for one upload. */
const BUFFERED_BYTES = 1024 * 1024;
/** The disk starts on a long upload this often, so that the last fsync does not wait for all of it. */
const SYNC_EVERY_BYTES = 64 * 1024 * 1024;

export interface StagingOptions extends StageOptions {
  /** Whether the content must survive power loss. */
  readonly durable: boolean;
}

export async function stageContent(
  layout: Layout,
  directories: DirectorySync,
  contentId: string,
  bytes: AsyncIterable<Uint8Array>,
  options: StagingOptions,
): Promise<StagedContent> {
  const file = layout.stagingFile(contentId);
  let fd: number | undefined;
  try {
    fd = await onDisk(openFile(file, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o644));
    faultPoint('stage:opened');
    const { sizeBytes, ...sums } = await receive(fd, bytes, options);
    faultPoint('stage:received');
    if (options.durable) await onDisk(syncFile(fd));
    faultPoint('stage:synced');
    const stats = await onDisk(statDescriptor(fd));
    if (stats.size !== sizeBytes) throw backendUnavailable(`${sizeBytes} bytes were written, ${stats.size} are there.`);
    await onDisk(directories.sync(layout.staging));
    faultPoint('stage:durable');
    const content = { contentId, sizeBytes, ...sums, storageKey: null, storageStamp: stampOf(stats) };
    return { content, mtimeMs: Math.floor(stats.mtimeMs), open: () => openStaged(file, sizeBytes) };
  } catch (error) {
    await unlessAbsent(unlink(file));
    throw error;
  } finally {
    if (fd !== undefined) await closeFile(fd);
  }
}

export async function openStaged(file: string, sizeBytes: number): Promise<ContentReader> {
  return new FileReader(await onDisk(openFile(file, constants.O_RDONLY)), sizeBytes);
}

interface Received extends ReturnType<ContentSums['take']> {
  readonly sizeBytes: number;
}

async function receive(fd: number, bytes: AsyncIterable<Uint8Array>, options: StagingOptions): Promise<Received> {
  const receiver = new FileReceiver(fd, options);
  // Not pipeline(): a failing disk must not destroy the source, the client still waits there for its answer.
  receiver.on('error', () => {});
  try {
    for await (const chunk of bytes) {
      if (receiver.errored) break;
      if (!receiver.write(chunk)) await once(receiver, 'drain');
    }
    receiver.end();
    await finished(receiver);
  } catch (error) {
    receiver.destroy();
    // The caller closes the descriptor: a write still on its way could end up in whatever file gets its number next.
    await Promise.allSettled([receiver.writing, receiver.syncing]);
    throw error;
  }
  await onDisk(receiver.syncing);
  return receiver.received();
}

/** Writes where the descriptor stands; what arrives during one write goes into the next as a whole. */
export class FileReceiver extends Writable {
  readonly #fd: number;
  readonly #options: StagingOptions;
  /** The last head start given to the disk. Its error must be seen: the kernel reports each failed write-back once. */
  syncing: Promise<void> = Promise.resolve();
  /** The write that is under way; never rejects. */
  writing: Promise<void> = Promise.resolve();
  #sizeBytes = 0;
  readonly #sums: ContentSums;
  #syncedBytes = 0;

  /** @param sums of the bytes that come before */
  constructor(fd: number, options: StagingOptions, sums = new ContentSums()) {
    super({ highWaterMark: BUFFERED_BYTES, decodeStrings: true });
    this.#fd = fd;
    this.#options = options;
    this.#sums = sums;
  }

  received(): Received {
    return { sizeBytes: this.#sizeBytes, ...this.#sums.take() };
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#append([chunk], done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#append(
      chunks.map(({ chunk }) => chunk),
      done,
    );
  }

  #append(chunks: Buffer[], done: (error?: Error | null) => void): void {
    for (const chunk of chunks) {
      bytesPassed(chunk.length);
      this.#sizeBytes += chunk.length;
    }
    const { maxBytes } = this.#options;
    if (maxBytes !== undefined && this.#sizeBytes > maxBytes) {
      done(new CallFSError('PAYLOAD_TOO_LARGE', `This server takes at most ${maxBytes} bytes in one file.`));
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.writing = promise;
    this.#writeAll(chunks, (error) => {
      if (!error) this.#startSync();
      resolve();
      faultPoint('stage:bytes-written');
      done(error);
    });
    // While the disk writes: the checksums cost a third of what an upload takes of a processor.
    for (const chunk of chunks) this.#sums.update(chunk);
  }

  #writeAll(chunks: Buffer[], done: (error?: Error | null) => void): void {
    const wanted = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    fs.writev(this.#fd, chunks, (error, written) => {
      if (error) done(toDiskError(error));
      else if (written === wanted) done();
      else this.#writeAll(dropBytes(chunks, written), done);
    });
  }

  #startSync(): void {
    if (!this.#options.durable || this.#sizeBytes - this.#syncedBytes < SYNC_EVERY_BYTES) return;
    this.#syncedBytes = this.#sizeBytes;
    this.syncing = Promise.all([this.syncing, startSync(this.#fd)]).then(() => {});
    this.syncing.catch(() => {});
  }
}

function dropBytes(chunks: readonly Buffer[], count: number): Buffer[] {
  const rest: Buffer[] = [];
  let dropped = 0;
  for (const chunk of chunks) {
    const skip = Math.min(chunk.length, count - dropped);
    dropped += skip;
    if (skip < chunk.length) rest.push(chunk.subarray(skip));
  }
  return rest;
}
