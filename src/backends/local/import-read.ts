/** Reads a file that is to be imported, once, and tells when it changes meanwhile. */
import { constants, type Stats } from 'node:fs';
import { ContentSums } from '../content-sums.ts';
import type { ImportOutcome } from '../import-source.ts';
import { closeReader, isAbsent, openFile, readFully, statReader } from './descriptor.ts';
import { unreadable } from './import-walk.ts';
import { stampOf } from './stamp.ts';

const OPEN_FOR_READING = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const BUFFER_BYTES = 256 * 1024;
const FILE_BITS = 0o777;

export async function readImport(file: string, contentId: string): Promise<ImportOutcome> {
  try {
    const fd = await openFile(file, OPEN_FOR_READING);
    try {
      return await read(fd, contentId);
    } finally {
      closeReader(fd);
    }
  } catch (error) {
    return isAbsent(error) ? { kind: 'gone' } : { kind: 'refused', reason: unreadable(error) };
  }
}

async function read(fd: number, contentId: string): Promise<ImportOutcome> {
  const before = statReader(fd);
  if (!before.isFile()) return { kind: 'gone' };
  const sums = await sumsOf(fd, before.size);
  if (sums === undefined || !isUnchanged(before, statReader(fd))) {
    return { kind: 'refused', reason: 'It changed while it was being read.' };
  }
  const content = { contentId, sizeBytes: before.size, ...sums, storageKey: null, storageStamp: stampOf(before) };
  return { kind: 'imported', content, mtimeMs: Math.floor(before.mtimeMs), mode: before.mode & FILE_BITS };
}

/** Undefined: the file has another size than it had. */
async function sumsOf(fd: number, sizeBytes: number): Promise<ReturnType<ContentSums['take']> | undefined> {
  // One byte more than expected, so that the end is seen.
  const buffer = Buffer.allocUnsafe(Math.min(BUFFER_BYTES, sizeBytes + 1));
  const sums = new ContentSums();
  for (let at = 0; ; ) {
    const length = await readFully(fd, buffer, buffer.length, at);
    sums.update(buffer.subarray(0, length));
    at += length;
    if (at > sizeBytes) return undefined;
    if (length < buffer.length) return at === sizeBytes ? sums.take() : undefined;
  }
}

/** Also the time of the last change of the inode: it moves when somebody sets the modification time back. */
function isUnchanged(before: Stats, after: Stats): boolean {
  return before.size === after.size && stampOf(before) === stampOf(after) && before.ctimeMs === after.ctimeMs;
}
