/**
 * What a single-use link leads to: the entry that it was made for, wherever that is by now, with the content and the
 * permissions of this moment. Opening uses nothing up.
 */
import type { ByteSink } from '../backends/backend.ts';
import type { FileEntry } from '../core/entry.ts';
import { backendUnavailable, CallFSError } from '../core/errors.ts';
import type { User } from '../core/permissions.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import { digestOf, isToken, type LinkContext } from './link-context.ts';
import { readFile, resolveReadable } from './read-file.ts';
import { retryWhileChanging } from './retry-while-changing.ts';
import { StreamedContent } from './streamed-content.ts';

export interface FoundLink {
  readonly digest: string;
  readonly entry: FileEntry;
}

export interface OpenedLink extends FoundLink, AsyncDisposable {
  /** Sends the bytes from `start` (inclusive) to `end` (exclusive). Each byte once, in order. */
  copyTo(sink: ByteSink, start: number, end: number): Promise<void>;
}

/** @throws CallFSError NOT_FOUND, or LINK_GONE when it is used up, expired, or leads nowhere any more */
export async function findLink(context: LinkContext, token: string): Promise<FoundLink> {
  return followLink(context, token, async (user, path) => {
    const { entry } = await resolveReadable(context, { user, path, namesDirectory: false });
    return entry.type === 'file' ? { entry } : undefined;
  });
}

/**
 * Like `findLink`, with the bytes about to flow, from whichever instance holds them.
 * @throws CallFSError PROXY_ERROR, PEER_TIMEOUT or BACKEND_UNAVAILABLE when they cannot be read now
 */
export async function openLink(context: LinkContext, token: string, requestId: string): Promise<OpenedLink> {
  return followLink(context, token, async (user, path, entryId) => {
    const found = await readFile(context, { user, path, namesDirectory: false });
    if (found.kind === 'directory') return undefined;
    const { entry } = found;
    const isOther = entry.id !== entryId;
    if (found.kind === 'elsewhere') {
      return isOther ? undefined : held(entry, await StreamedContent.begin(fetchFrom(context, entry, path, requestId)));
    }
    if (!isOther) return held(entry, found.reader);
    await found.reader[Symbol.asyncDispose]();
    return undefined;
  });
}

function held(entry: FileEntry, content: Pick<OpenedLink, 'copyTo'> & AsyncDisposable): Omit<OpenedLink, 'digest'> {
  return {
    entry,
    copyTo: (sink, start, end) => content.copyTo(sink, start, end),
    [Symbol.asyncDispose]: () => content[Symbol.asyncDispose](),
  };
}

/** @param look gives undefined when the path means something else by now */
async function followLink<F extends { readonly entry: FileEntry }>(
  context: LinkContext,
  token: string,
  look: (user: User, path: VirtualPath, entryId: string) => Promise<F | undefined>,
): Promise<F & FoundLink> {
  const digest = digestOf(context, token);
  const link = isToken(token) ? await context.store.links.find(digest) : undefined;
  if (!link) throw new CallFSError('NOT_FOUND', 'There is no such link.');
  const user = context.findUser(link.userName);
  if (link.used || link.expiresAtMs <= context.clock.now() || !user) throw linkGone();
  return retryWhileChanging(async () => {
    const [located] = await context.store.describeEntries([link.entryId]);
    if (!located) throw linkGone();
    try {
      const found = await look(user, located.path, link.entryId);
      return found?.entry.id === link.entryId ? { ...found, digest } : undefined;
    } catch (error) {
      return concealing(error);
    }
  });
}

export const linkGone = (): CallFSError =>
  new CallFSError('LINK_GONE', 'The link was used, has expired, or leads to nothing any more.');

/** Who has a link and no key is told neither paths nor who may do what. Undefined: something moved; look again. */
function concealing(error: unknown): undefined {
  if (!(error instanceof CallFSError)) throw error;
  switch (error.code) {
    case 'FILE_NOT_FOUND':
      return undefined;
    case 'PERMISSION_DENIED':
      throw linkGone();
    case 'BACKEND_UNAVAILABLE':
      throw backendUnavailable('The file cannot be read at the moment; the link stays as it is.', error);
    default:
      throw error;
  }
}

function fetchFrom(
  context: LinkContext,
  entry: FileEntry,
  path: VirtualPath,
  requestId: string,
): AsyncIterable<Uint8Array> {
  try {
    return context.fetchContent(entry, path, requestId);
  } catch (error) {
    if (!(error instanceof CallFSError) || error.code !== 'MISDIRECTED_REQUEST') throw error;
    const message = `The file is on instance ${entry.instanceId}, and this one does not forward; ask that one.`;
    throw new CallFSError('MISDIRECTED_REQUEST', message, { details: { instance_id: entry.instanceId } });
  }
}
