/** GET and HEAD: what is at a path, and its bytes when this instance holds them. */
import type { Backend, ContentReader, FoundContent } from '../backends/backend.ts';
import type { DirectoryEntry, FileEntry } from '../core/entry.ts';
import { backendUnavailable, permissionDenied } from '../core/errors.ts';
import { permits, READ, type User } from '../core/permissions.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import { adoptContent } from './adopt-content.ts';
import { atOwner, backendFor, type Elsewhere, type EngineContext } from './engine-context.ts';
import { getEntry, resolvePath } from './resolve-path.ts';
import { retryWhileChanging } from './retry-while-changing.ts';

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

/** Opens a file of this instance; the reader's bytes are those of the entry, checked on disk. */
export async function readFile(
  context: EngineContext,
  request: ReadRequest,
): Promise<OpenedFile | FoundDirectory | Elsewhere<FileEntry>> {
  return lookAt(context, request, async (backend, entry) => {
    const found = await backend.open(entry, request.path);
    return found.kind === 'intact' ? { kind: 'file', entry, reader: found.reader } : found.kind;
  });
}

/** Like `readFile` without opening: the answer to HEAD is as true as that to GET. */
export async function statEntry(
  context: EngineContext,
  request: ReadRequest,
): Promise<FoundFile | FoundDirectory | Elsewhere<FileEntry>> {
  return lookAt(context, request, async (backend, entry) => {
    const kind = await backend.probe(entry, request.path);
    return kind === 'intact' ? { kind: 'file', entry } : kind;
  });
}

type Look<F> = (backend: Backend, entry: FileEntry) => Promise<F | Exclude<FoundContent['kind'], 'intact'>>;

async function lookAt<F extends FoundFile>(
  context: EngineContext,
  request: ReadRequest,
  look: Look<F>,
): Promise<F | FoundDirectory | Elsewhere<FileEntry>> {
  let lookedFor: string | undefined;
  let hasSettled = false;
  return retryWhileChanging(async () => {
    const entry = await resolveReadable(context, request);
    if (entry.type === 'directory') return { kind: 'directory', entry };
    if (entry.instanceId !== context.instanceId) return atOwner(entry);
    const backend = backendFor(context, entry.backendType);
    const found = await look(backend, entry);
    if (typeof found !== 'string') return found;
    // Replaced or removed since it was resolved? Then the next resolution tells; only then is the disk in doubt.
    if (lookedFor !== entry.contentId) {
      lookedFor = entry.contentId;
    } else if (!hasSettled) {
      await backend.settled();
      hasSettled = true;
    } else if (found === 'changed') {
      await adoptContent(context, backend, entry, request.path);
    } else {
      throw backendUnavailable(`The bytes of ${request.path} are missing on instance ${context.instanceId}.`);
    }
    return undefined;
  });
}

async function resolveReadable(
  context: EngineContext,
  { user, path, namesDirectory }: ReadRequest,
): Promise<FileEntry | DirectoryEntry> {
  const entry = getEntry(await resolvePath(context, user, path), namesDirectory);
  if (!permits(user, entry, READ)) throw permissionDenied(`You may not read ${path}.`);
  return entry;
}
