/** The checksums of an object that is read for nothing else. */
import type { VirtualPath } from '../../core/virtual-path.ts';
import type { ObservedContent } from '../backend.ts';
import { ContentSums } from '../content-sums.ts';
import type { ObjectLedger } from '../object-ledger.ts';
import type { FoundObject, S3Objects } from './s3-objects.ts';
import { type ReadableObject, S3Reader } from './s3-reader.ts';

/** Rejects with BACKEND_UNAVAILABLE also when the object is another one by now. */
export async function readSums(objects: S3Objects, object: ReadableObject): Promise<ReturnType<ContentSums['take']>> {
  const sums = new ContentSums();
  const sink = {
    async write(chunk: Uint8Array): Promise<void> {
      sums.update(chunk);
    },
  };
  await using reader = new S3Reader(objects, object, undefined);
  await reader.copyTo(sink, 0, object.sizeBytes);
  return sums.take();
}

/** Reads an object that was found under a key as new content named `contentId`. */
export async function readObserved(
  objects: S3Objects,
  key: string,
  { etag, sizeBytes, modifiedMs }: Pick<FoundObject, 'etag' | 'sizeBytes' | 'modifiedMs'>,
  contentId: string,
): Promise<ObservedContent> {
  const sums = await readSums(objects, { key, etag, sizeBytes });
  return { content: { contentId, sizeBytes, ...sums, storageKey: key, storageStamp: etag }, mtimeMs: modifiedMs };
}

/** What lies under the key where the entry at a path has its content; undefined: nothing, or another entry has it there. */
export async function observeObject(
  objects: S3Objects,
  ledger: Pick<ObjectLedger, 'describeKeys' | 'describeContents'>,
  key: string,
  { path, contentId }: { readonly path: VirtualPath; readonly contentId: string },
): Promise<ObservedContent | undefined> {
  const found = await objects.head(key);
  if (!found) return undefined;
  // What another entry has there for the moment is nobody's change of this one.
  const [resident] = await ledger.describeKeys([key]);
  if (resident?.path !== path) return undefined;
  return readObserved(objects, key, found, (await freeLabel(ledger, found)) ?? contentId);
}

/** The content that an object says it is, unless an entry points to that: then the object is a copy with its label. */
export async function freeLabel(
  ledger: Pick<ObjectLedger, 'describeContents'>,
  { contentId }: Pick<FoundObject, 'contentId'>,
): Promise<string | undefined> {
  if (contentId === undefined) return undefined;
  return (await ledger.describeContents([contentId])).length > 0 ? undefined : contentId;
}
