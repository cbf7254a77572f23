/** A second file of the same bytes, where the filesystem can share the blocks of two files (reflink: Btrfs, XFS, ZFS). */
import { constants } from 'node:fs';
import { chmod, copyFile, unlink } from 'node:fs/promises';
import type { Content } from '../../core/entry.ts';
import { systemErrorCode } from '../../core/errors.ts';
import type { StagedContent } from '../backend.ts';
import {
  closeFile,
  closeReader,
  onDisk,
  openFile,
  statDescriptor,
  statReader,
  syncFile,
  unlessAbsent,
} from './descriptor.ts';
import type { DirectorySync } from './directory-sync.ts';
import type { Layout } from './layout.ts';
import { openStaged } from './staging.ts';
import { isContent, stampOf } from './stamp.ts';

export interface CloneOptions {
  readonly layout: Layout;
  readonly directories: DirectorySync;
  /** Whether the clone must survive power loss. */
  readonly durable: boolean;
}

const OPEN_FOR_READING = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const STAGED_MODE = 0o644;

/**
 * Stages what lies in `file` under another content id without reading it.
 * @returns undefined: `file` is not this content, or the filesystem cannot share blocks
 */
export async function cloneContent(
  { layout, directories, durable }: CloneOptions,
  file: string,
  original: Content,
  contentId: string,
): Promise<StagedContent | undefined> {
  const source = await onDisk(unlessAbsent(openFile(file, OPEN_FOR_READING)));
  if (source === undefined) return undefined;
  const clone = layout.stagingFile(contentId);
  try {
    if (!isContent(statReader(source), original)) return undefined;
    // By the descriptor: the path may lead to another file a moment later.
    if (!(await cloneFile(`/proc/self/fd/${source}`, clone))) return undefined;
    // Changed in place meanwhile, outside CallFS: nobody knows what the clone has.
    if (!isContent(statReader(source), original)) {
      await unlessAbsent(unlink(clone));
      return undefined;
    }
  } finally {
    closeReader(source);
  }
  try {
    const stats = await onDisk(settleClone(clone, durable));
    await onDisk(directories.sync(layout.staging));
    const { sizeBytes, checksum, sha256 } = original;
    const sums = sha256 === undefined ? { checksum } : { checksum, sha256 };
    const content = { contentId, sizeBytes, ...sums, storageKey: null, storageStamp: stampOf(stats) };
    return { content, mtimeMs: Math.floor(stats.mtimeMs), open: () => openStaged(clone, sizeBytes) };
  } catch (error) {
    await unlessAbsent(unlink(clone));
    throw error;
  }
}

/** How filesystems and kernels say that they cannot; the bytes can still be copied one by one. */
const CANNOT = new Set(['ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EXDEV', 'EINVAL', 'ENOTTY', 'ENOENT', 'EPERM', 'ETXTBSY']);

async function cloneFile(from: string, to: string): Promise<boolean> {
  try {
    await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE);
    return true;
  } catch (error) {
    await unlessAbsent(unlink(to));
    if (CANNOT.has(systemErrorCode(error) ?? '')) return false;
    return onDisk(Promise.reject(error));
  }
}

async function settleClone(file: string, durable: boolean) {
  await chmod(file, STAGED_MODE);
  const fd = await openFile(file, constants.O_RDONLY);
  try {
    if (durable) await syncFile(fd);
    return await statDescriptor(fd);
  } finally {
    await closeFile(fd);
  }
}
