/** File descriptors with promises: the callback API without the cost of FileHandle objects, errors as the backend's. */
import * as fs from 'node:fs';
import { promisify } from 'node:util';
import { backendUnavailable, CallFSError, insufficientStorage, systemErrorCode } from '../../core/errors.ts';

export const openFile = promisify(fs.open);
export const closeFile = promisify(fs.close);

/** Closes what was only read: nothing is written back, so it is done at once, without a turn in the thread pool. */
export const closeReader = fs.closeSync;

/** An open file's inode is in memory: asking for it is faster than a turn in the thread pool. */
export const statReader = (fd: number): fs.Stats => fs.fstatSync(fd);

export const syncFile = promisify(fs.fsync);
export const startSync = promisify(fs.fdatasync);

export function statDescriptor(fd: number): Promise<fs.Stats> {
  return new Promise((resolve, reject) => {
    fs.fstat(fd, (error, stats) => (error ? reject(error) : resolve(stats)));
  });
}

/** Reads up to `length` bytes into the start of `target`; resolves to how many. */
export function readInto(fd: number, target: Uint8Array, length: number, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.read(fd, target, 0, length, position, (error, bytesRead) => (error ? reject(error) : resolve(bytesRead)));
  });
}

/** Fills the start of `target` with `length` bytes from `position`; fewer only at the end of the file. */
export async function readFully(fd: number, target: Uint8Array, length: number, position: number): Promise<number> {
  let filled = 0;
  while (filled < length) {
    const bytesRead = await readInto(fd, target.subarray(filled), length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled;
}

/** `ENOENT` and its kin become undefined; everything else is thrown. */
export async function unlessAbsent<T>(operation: Promise<T>): Promise<T | undefined> {
  try {
    return await operation;
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

/** Nothing is there: no such name, a parent that is a file, a name longer than the disk can have, a symbolic link. */
export function isAbsent(error: unknown): boolean {
  const code = systemErrorCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG' || code === 'ELOOP';
}

const NO_ROOM = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** A disk's error as clients may see it. */
export function toDiskError(error: Error): Error {
  const code = systemErrorCode(error);
  if (code === undefined || error instanceof CallFSError) return error;
  if (NO_ROOM.has(code)) return insufficientStorage(error);
  return backendUnavailable('The disk of the instance that keeps this content reports an error.', error);
}

/** The operation, its failure translated. */
export async function onDisk<T>(operation: Promise<T>): Promise<T> {
  try {
    return await operation;
  } catch (error) {
    throw error instanceof Error ? toDiskError(error) : error;
  }
}

/** Writes all bytes where the descriptor stands. */
export async function writeFully(fd: number, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length; ) written += await writeSome(fd, bytes.subarray(written));
}

function writeSome(fd: number, bytes: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.write(fd, bytes, (error, written) => (error ? reject(error) : resolve(written)));
  });
}
