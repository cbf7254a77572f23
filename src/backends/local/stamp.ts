/**
 * By what a file on disk is recognised as the content that was stored: its inode, its time and its
 * size. The inode alone is not enough (files are edited in place), nor is the time (two files may
 * share it). Renaming keeps all three.
 */
import type { Stats } from 'node:fs';
import type { Content } from '../../core/entry.ts';

export function stampOf(stats: Stats): string {
  return `${stats.ino}-${stats.mtimeMs}`;
}

export function isContent(stats: Stats, content: Content): boolean {
  return stats.isFile() && stats.size === content.sizeBytes && stampOf(stats) === content.storageStamp;
}
