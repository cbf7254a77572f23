/** GET and HEAD: what is at a path, and its bytes when this instance holds or reaches them. */
import type { Backend, ContentReader, FoundContent } from '../backends/backend.ts';
import type { DirectoryEntry, FileEntry } from '../core/entry.ts';
import { backendUnavailable, permissionDenied } from '../core/errors.ts';
import { permits, READ, type User } from '../core/permissions.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import { adoptContent } from './adopt-content.ts';
import { concerns, earlierPaths } from './earlier-paths.ts';
import { atOwner, backendFor, type Elsewhere, type EngineContext } from './engine-context.ts';
import { getEntry, pathsVersionOf, resolvePath } from './resolve-path.ts';
import { retryWhileChanging } from './retry-while-changing.ts';
import { isShared } from './shared-bucket.ts';

export interface ReadRequest {
  readonly user: User;
  readonly path: VirtualPath;
  /** The path was written with a trailing slash: only a directory will do. */
  readonly namesDirectory: boolean;
}

export interface OpenedFile {
  readonly kind: 'file';
  readonly entry: FileEntry;
  /** Whoever asked disposes it. */
  readonly reader: ContentReader;
}

export interface FoundFile {
  readonly kind: 'file';
  readonly entry: FileEntry;
}

export interface FoundDirectory {
  readonly kind: 'directory';
  readonly entry: DirectoryEntry;
}

/** Opens a file that this instance holds or reaches; the reader's bytes are those of the entry, checked where they lie. */
export async function readFile(
  context: EngineContext,
  request: ReadRequest,
): Promise<OpenedFile | FoundDirectory | Elsewhere<FileEntry>> {
  return lookAt(context, request, async (backend, entry, path) => {
    const found = await backend.open(entry, path);
    return found.kind === 'intact' ? { kind: 'file', entry, reader: found.reader } : found.kind;
  });
}

/** Like `readFile` without opening: the answer to HEAD is as true as that to GET. */
export async function statEntry(
  context: EngineContext,
  request: ReadRequest,
): Promise<FoundFile | FoundDirectory | Elsewhere<FileEntry>> {
  return lookAt(context, request, async (backend, entry, path) => {
    const kind = await backend.probe(entry, path);
    return kind === 'intact' ? { kind: 'file', entry } : kind;
  });
}

type Look<F> = (
  backend: Backend,
  entry: FileEntry,
  path: VirtualPath,
) => Promise<F | Exclude<FoundContent['kind'], 'intact'>>;

/** So often a reader waits for a disk that follows moves which go on and on. */
const MAX_WAITS = 20;
/** What a reader looks through of what the disk has yet to do. */
const OUTBOX_LIMIT = 10_000;

async function lookAt<F extends FoundFile>(
  context: EngineContext,
  request: ReadRequest,
  look: Look<F>,
): Promise<F | FoundDirectory | Elsewhere<FileEntry>> {
  const { path } = request;
  let lookedFor: string | undefined;
  let waits = 0;
  let quietAt: number | undefined;
  return retryWhileChanging(async () => {
    const { entry, pathsVersion } = await resolveReadable(context, request);
    if (entry.type === 'directory') return { kind: 'directory', entry };
    const isOwn = entry.instanceId === context.instanceId;
    if (!isOwn && !(await isShared(context, entry))) return atOwner(entry);
    const backend = backendFor(context, entry.backendType);
    const found = await look(backend, entry, path);
    if (typeof found !== 'string') return found;
    // Replaced, removed or settled since it was resolved? Then the next resolution tells; only then is the disk in doubt.
    const place = `${entry.contentId} ${entry.storageKey}`;
    if (lookedFor !== place) {
      lookedFor = place;
      return undefined;
    }
    // What was changed outside CallFS only the owner adopts.
    if (!isOwn) return atOwner(entry);
    const unsettled = await context.store.listOutbox(context.instanceId, OUTBOX_LIMIT, entry.backendType);
    for (const earlier of earlierPaths(path, unsettled)) {
      const there = await look(backend, entry, earlier);
      if (typeof there !== 'string') return there;
    }
    waits += 1;
    if (waits === 1 || (waits < MAX_WAITS && unsettled.some((row) => concerns(row, path)))) {
      await backend.settled();
    } else if (waits < MAX_WAITS && (quietAt !== pathsVersion || (await pathsVersionOf(context)) !== pathsVersion)) {
      // A move may have been done after the look and before the outbox was read: look once more while nothing moves.
      quietAt = pathsVersion;
    } else if (found === 'changed') {
      await adoptContent(context, backend, entry, path);
    } else {
      throw backendUnavailable(`The bytes of ${path} are missing on instance ${context.instanceId}.`);
    }
    return undefined;
  });
}

/** @throws CallFSError FILE_NOT_FOUND, PERMISSION_DENIED */
export async function resolveReadable(
  context: EngineContext,
  { user, path, namesDirectory }: ReadRequest,
): Promise<{ readonly entry: FileEntry | DirectoryEntry; readonly pathsVersion: number }> {
  const resolved = await resolvePath(context, user, path);
  const entry = getEntry(resolved, namesDirectory);
  if (!permits(user, entry, READ)) throw permissionDenied(`You may not read ${path}.`);
  return { entry, pathsVersion: resolved.pathsVersion };
}
