/** The bytes of exactly one content, for whoever takes them over. */
import { PassThrough } from 'node:stream';
import type { ContentReader } from '../backends/backend.ts';
import type { FileEntry } from '../core/entry.ts';
import { notFound } from '../core/errors.ts';
import type { User } from '../core/permissions.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import type { EngineContext } from './engine-context.ts';
import { type OpenedFile, readFile } from './read-file.ts';
import { isShared } from './shared-bucket.ts';

/** Instances trust each other; who may move a file was decided before its bytes are asked for. */
const INSTANCE: User = { name: 'callfs-instance', uid: 0, gid: 0, groups: [], admin: true };

/** @throws CallFSError FILE_NOT_FOUND when the path has another content by now, or this instance does not hold it */
export async function findContent(context: EngineContext, path: VirtualPath, contentId: string): Promise<OpenedFile> {
  const found = await readFile(context, { user: INSTANCE, path, namesDirectory: false });
  if (found.kind === 'file') {
    if (found.entry.contentId === contentId) return found;
    await found.reader[Symbol.asyncDispose]();
  }
  throw notFound(path);
}

export async function* openContent(
  context: EngineContext,
  { contentId }: FileEntry,
  path: VirtualPath,
): AsyncGenerator<Uint8Array> {
  await using reader = (await findContent(context, path, contentId)).reader;
  yield* bytesOf(reader);
}

/** The bytes of a content, read here when this instance holds or reaches it, else asked of the instance that holds it. */
export async function* contentFrom(
  context: EngineContext,
  entry: FileEntry,
  path: VirtualPath,
): AsyncGenerator<Uint8Array> {
  if (entry.instanceId === context.instanceId) return yield* openContent(context, entry, path);
  if (!(await isShared(context, entry))) return yield* context.fetchContent(entry, path);
  const found = await readFile(context, { user: INSTANCE, path, namesDirectory: false });
  if (found.kind === 'elsewhere') return yield* context.fetchContent(entry, path);
  if (found.kind === 'directory') throw notFound(path);
  await using reader = found.reader;
  if (found.entry.contentId !== entry.contentId) throw notFound(path);
  yield* bytesOf(reader);
}

/** All bytes of a content; every chunk is the caller's own. */
export async function* bytesOf(reader: ContentReader): AsyncGenerator<Uint8Array> {
  const through = new PassThrough();
  // The reader uses its buffers again, so what waits in the stream is a copy.
  const sink = { write: (chunk: Uint8Array) => writeTo(through, Buffer.from(chunk)) };
  const copying = reader.copyTo(sink, 0, reader.sizeBytes).then(
    () => through.end(),
    (error: Error) => through.destroy(error),
  );
  yield* through;
  await copying;
}

function writeTo(through: PassThrough, chunk: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    through.write(chunk, (error) => (error ? reject(error) : resolve()));
  });
}
