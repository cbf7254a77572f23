/** A body that is read as a whole: JSON that tells what to do. */
import { CallFSError } from '../core/errors.ts';
import type { ClientUpload } from './client-upload.ts';

/** @throws CallFSError PAYLOAD_TOO_LARGE, before it is read when its declared length tells */
export async function readSmallBody(upload: ClientUpload, maxBytes: number): Promise<Buffer> {
  if ((upload.declaredBytes ?? 0) > maxBytes) throw tooLarge(maxBytes);
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of upload.open()) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxBytes) throw tooLarge(maxBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function tooLarge(maxBytes: number): CallFSError {
  return new CallFSError('PAYLOAD_TOO_LARGE', `The body of this request may have at most ${maxBytes} bytes.`);
}
