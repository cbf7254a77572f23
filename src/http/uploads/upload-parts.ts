/** `Upload-Concat`: an upload that is put together from others (tus, concatenation extension). */

import { CallFSError } from '../../core/errors.ts';
import type { User } from '../../core/permissions.ts';
import { bytesOf } from '../../engine/open-content.ts';
import { getUpload, noUpload, partialsOf, type UploadContext } from '../../engine/upload-context.ts';
import type { UploadRecord } from '../../metadata/upload-store.ts';
import { pathOfTarget, UPLOADS } from '../request-target.ts';
import { PARTIAL, stateOf } from './upload-exchange.ts';

const FINAL = /^final; ?(\S+(?: \S+)*)$/;
const MAX_PARTS = 1000;

export interface UploadParts {
  /** The instance that has the bytes of all of them. */
  readonly instanceId: string;
  readonly records: readonly UploadRecord[];
}

/**
 * @returns undefined: it is not put together from others
 * @throws CallFSError BAD_REQUEST, NOT_FOUND
 */
export async function findParts(
  context: UploadContext,
  user: User,
  concat: string | undefined,
): Promise<UploadParts | undefined> {
  if (concat === undefined || concat === PARTIAL) return undefined;
  const urls = FINAL.exec(concat)?.[1]?.split(' ') ?? [];
  if (urls.length === 0 || urls.length > MAX_PARTS) {
    const message = `Upload-Concat must be "partial", or "final;" and the URLs of up to ${MAX_PARTS} uploads.`;
    throw new CallFSError('BAD_REQUEST', message);
  }
  const records: UploadRecord[] = [];
  for (const url of urls) records.push(await getUpload(context, user, idOf(url)));
  const [first] = records;
  if (!first || records.some(({ concat: of }) => of !== PARTIAL)) {
    throw new CallFSError('BAD_REQUEST', 'Only uploads that began with "Upload-Concat: partial" can be put together.');
  }
  if (records.some(({ instanceId }) => instanceId !== first.instanceId)) {
    const message = 'The parts of an upload must have been begun at the same instance.';
    throw new CallFSError('BAD_REQUEST', message);
  }
  return { instanceId: first.instanceId, records };
}

function idOf(url: string): string {
  const path = pathOfTarget(url);
  if (path.startsWith(`${UPLOADS}/`)) return path.slice(UPLOADS.length + 1);
  throw noUpload();
}

/** Bytes in all of them. @throws CallFSError BAD_REQUEST when one is not complete */
export async function lengthOf(context: UploadContext, { records }: UploadParts): Promise<number> {
  let total = 0;
  for (const record of records) {
    const { offset, lengthBytes } = await stateOf(context, record);
    if (offset !== lengthBytes) throw new CallFSError('BAD_REQUEST', `The part ${record.id} is not complete yet.`);
    total += offset;
  }
  return total;
}

export async function* bytesOfParts(context: UploadContext, { records }: UploadParts): AsyncGenerator<Uint8Array> {
  for (const { id, lengthBytes } of records) {
    if (lengthBytes === 0) continue;
    await using reader = await partialsOf(context).open(id);
    yield* bytesOf(reader);
  }
}

export async function removeParts(context: UploadContext, { records }: UploadParts): Promise<void> {
  for (const { id } of records) {
    await partialsOf(context).remove(id);
    await context.store.uploads.remove(id);
  }
}
