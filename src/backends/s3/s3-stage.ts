/** Receives the bytes of new content: durable in the bucket, under a key of its own that no path has. */
import { CallFSError } from '../../core/errors.ts';
import { faultPoint } from '../../core/fault-point.ts';
import { bytesPassed } from '../../streams/passing-bytes.ts';
import type { StagedContent, StageOptions } from '../backend.ts';
import { BytesReader } from '../bytes-reader.ts';
import { ContentSums } from '../content-sums.ts';
import type { S3Objects } from './s3-objects.ts';
import { PART_BYTES } from './s3-parts.ts';
import { S3Reader, WHOLE_BYTES } from './s3-reader.ts';

/** Content that was staged, with its bytes when they are few. */
export interface StagedObject extends StagedContent {
  readonly bytes: Uint8Array | undefined;
}

export interface StageObject extends StageOptions {
  readonly contentId: string;
  readonly key: string;
  readonly bytes: AsyncIterable<Uint8Array>;
  readonly nowMs: () => number;
  /** Told before anything is sent. */
  readonly onSend: () => void;
}

/** Rejects when the source or the bucket fails; what was sent until then may have arrived. */
export async function stageObject(objects: S3Objects, request: StageObject): Promise<StagedObject> {
  const { contentId, key, nowMs } = request;
  const sums = new ContentSums();
  let sizeBytes = 0;
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of request.bytes) {
      sizeBytes += chunk.length;
      if (request.maxBytes !== undefined && sizeBytes > request.maxBytes) throw tooLarge(request.maxBytes);
      sums.update(chunk);
      bytesPassed(chunk.length);
      yield chunk;
    }
  }
  faultPoint('stage:opened');
  const source = inBlocks(counted());
  const first = await takeFirst(source);
  request.onSend();
  const body = first.isAll ? Buffer.concat(first.chunks) : undefined;
  const etag = body
    ? ((await objects.put(key, { body, contentId })) ?? '')
    : await objects.upload(key, { bytes: chain(first.chunks, source), sizeBytes: request.declaredBytes, contentId });
  faultPoint('stage:durable');
  const content = { contentId, sizeBytes, ...sums.take(), storageKey: key, storageStamp: etag };
  const bytes = sizeBytes <= WHOLE_BYTES ? body : undefined;
  const open = async () =>
    bytes ? new BytesReader(bytes) : new S3Reader(objects, { key, etag, sizeBytes }, undefined);
  return { content, mtimeMs: nowMs(), open, bytes };
}

/** Less than this is not worth a buffer of its own: clients may send single bytes. */
const BLOCK_BYTES = 64 * 1024;

/** The same bytes in pieces that are not small; each is valid until the next is asked for. */
async function* inBlocks(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  let length = 0;
  for await (const chunk of bytes) {
    if (length + chunk.length > BLOCK_BYTES) {
      yield block.subarray(0, length);
      length = 0;
    }
    if (chunk.length >= BLOCK_BYTES) yield chunk;
    else {
      block.set(chunk, length);
      length += chunk.length;
    }
  }
  yield block.subarray(0, length);
}

interface FirstBytes {
  readonly chunks: Buffer[];
  /** The source has no more. */
  readonly isAll: boolean;
}

/** As much as one request takes. */
async function takeFirst(source: AsyncGenerator<Uint8Array>): Promise<FirstBytes> {
  const chunks: Buffer[] = [];
  let length = 0;
  while (length <= PART_BYTES) {
    const next = await source.next();
    if (next.done) return { chunks, isAll: true };
    // The source may use its buffer again.
    chunks.push(Buffer.from(next.value));
    length += next.value.length;
  }
  return { chunks, isAll: false };
}

async function* chain(first: Buffer[], rest: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    for (let chunk = first.shift(); chunk; chunk = first.shift()) yield chunk;
    yield* rest;
  } finally {
    await rest.return(undefined);
  }
}

function tooLarge(maxBytes: number): CallFSError {
  return new CallFSError('PAYLOAD_TOO_LARGE', `This server takes at most ${maxBytes} bytes in one file.`);
}
