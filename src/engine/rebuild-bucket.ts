/** What a bucket still has of the files that a catalog names: the catalog says where each of them is. */
import type { PlacedHoldings } from '../backends/backend.ts';
import { forEachParallel } from '../core/for-each-parallel.ts';
import type { Ids } from '../core/runtime.ts';
import type { LocatedFileEntry } from './rebuild-disk.ts';

export interface BucketLook {
  /** As they were stored, with where they are now. */
  readonly found: readonly LocatedFileEntry[];
  /** Other bytes are where they were: here are the next versions. */
  readonly changed: readonly LocatedFileEntry[];
  readonly missing: readonly LocatedFileEntry[];
}

const LOOKS_AT_ONCE = 16;

export async function lookInBucket(
  bucket: PlacedHoldings,
  files: readonly LocatedFileEntry[],
  ids: Ids,
): Promise<BucketLook> {
  const found: LocatedFileEntry[] = [];
  const changed: LocatedFileEntry[] = [];
  const missing: LocatedFileEntry[] = [];
  await forEachParallel(files, LOOKS_AT_ONCE, async (file) => {
    const { entry, path } = file;
    const place = await bucket.find(entry, path);
    if (place) {
      found.push({ ...file, entry: { ...entry, ...place } });
      return;
    }
    const observed = await bucket.observeInstead(entry, path, ids.next());
    if (!observed) {
      missing.push(file);
      return;
    }
    const { content, mtimeMs } = observed;
    const next = { ...entry, ...content, etag: content.contentId, mtimeMs, version: entry.version + 1 };
    changed.push({ ...file, entry: next });
  });
  return { found, changed, missing };
}
