/** Begins a resumable upload: judges it as the write that it will be, and decides which instance gets the bytes. */
import type { User } from '../core/permissions.ts';
import type { NewUpload } from '../metadata/upload-store.ts';
import { resolveCreatable } from './create-entry.ts';
import { atOwner, type Elsewhere } from './engine-context.ts';
import { placeElsewhere } from './place-new-entry.ts';
import { assertFits } from './staged-upload.ts';
import { KEPT_MS, UPLOADS_BACKEND, type UploadContext, type UploadTarget } from './upload-context.ts';
import { resolveWritable } from './write-file.ts';

/**
 * Everything that can forbid the upload now; the same is judged again when its bytes are there.
 * @param forwarded a peer has sent it on, so the bytes stay here
 * @returns the instance that shall have the bytes; undefined: this one
 */
export async function judgeUpload(
  context: UploadContext,
  user: User,
  target: UploadTarget,
  forwarded: boolean,
): Promise<Elsewhere | undefined> {
  const request = { ...target, user, forwarded };
  if (!target.overwrite) await resolveCreatable(context, request, 'file');
  else {
    const { entry } = await resolveWritable(context, request);
    if (entry && entry.instanceId !== context.instanceId && !forwarded) return atOwner(entry);
    if (entry) return undefined;
  }
  return await placeElsewhere(context, forwarded);
}

export type BeginUpload = Pick<NewUpload, 'id' | 'userName' | 'lengthBytes' | 'metadata' | 'concat'>;

/** @throws CallFSError PAYLOAD_TOO_LARGE, INSUFFICIENT_STORAGE */
export async function beginUpload(context: UploadContext, upload: BeginUpload): Promise<void> {
  await assertUploadFits(context, upload.lengthBytes);
  const { instanceId, clock, store } = context;
  await store.uploads.add({ ...upload, instanceId, expiresAtMs: clock.now() + KEPT_MS });
}

export async function assertUploadFits(context: UploadContext, lengthBytes: number | undefined): Promise<void> {
  await assertFits(context, UPLOADS_BACKEND, {
    declaredBytes: lengthBytes,
    open: () => {
      throw new TypeError('There are no bytes yet.');
    },
  });
}
