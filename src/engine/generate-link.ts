/** Makes a single-use link to a file, for somebody without a key. */
import { CallFSError } from '../core/errors.ts';
import { digestOf, type LinkContext, newToken } from './link-context.ts';
import { type ReadRequest, resolveReadable } from './read-file.ts';

export interface GenerateLink extends ReadRequest {
  readonly lifetimeMs: number;
}

export interface GeneratedLink {
  /** Opens the file once; shown only now. */
  readonly token: string;
  /** Milliseconds since the epoch. */
  readonly expiresAtMs: number;
}

/** @throws CallFSError FILE_NOT_FOUND, PERMISSION_DENIED when the user may not read the file, BAD_REQUEST for a directory */
export async function generateLink(context: LinkContext, request: GenerateLink): Promise<GeneratedLink> {
  const { entry } = await resolveReadable(context, request);
  if (entry.type === 'directory') {
    throw new CallFSError('BAD_REQUEST', `${request.path} is a directory; a link can only lead to a file.`);
  }
  const token = newToken();
  const expiresAtMs = context.clock.now() + request.lifetimeMs;
  const digest = digestOf(context, token);
  await context.store.links.add({ digest, entryId: entry.id, userName: request.user.name, expiresAtMs });
  return { token, expiresAtMs };
}
