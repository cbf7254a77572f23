/** What lies on disk under a name, told without opening it. */
import type { Stats } from 'node:fs';
import { lstat } from 'node:fs/promises';
import type { ImportLook } from '../import-source.ts';
import { unlessAbsent } from './descriptor.ts';

const MISSING: ImportLook = { kind: 'missing', fingerprint: 'missing', changedMs: Number.NEGATIVE_INFINITY };

export async function lookAt(file: string): Promise<ImportLook> {
  const stats = await unlessAbsent(lstat(file));
  if (!stats) return MISSING;
  const { dev, ino, size, mtimeMs, ctimeMs } = stats;
  // Not the modification time: whoever copies or unpacks sets it back, and anybody may set it to the future.
  return { kind: kindOf(stats), fingerprint: `${dev}-${ino}-${size}-${mtimeMs}-${ctimeMs}`, changedMs: ctimeMs };
}

function kindOf(stats: Stats): ImportLook['kind'] {
  if (stats.isFile()) return 'file';
  return stats.isDirectory() ? 'folder' : 'other';
}
