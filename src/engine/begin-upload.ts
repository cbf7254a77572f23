/** Begins a resumable upload: judges it as the write that it will be, and decides which instance gets the bytes. */
import type { BackendType, FileEntry } from '../core/entry.ts';
import type { User } from '../core/permissions.ts';
import type { NewUpload } from '../metadata/upload-store.ts';
import { chooseBackend } from './choose-backend.ts';
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
  const entry = await resolveTarget(context, user, target);
  if (entry && entry.instanceId !== context.instanceId && !forwarded) return atOwner(entry);
  const elsewhere = entry ? undefined : await placeElsewhere(context, forwarded, target.backendType);
  if (!elsewhere) chooseBackend(context, target.backendType, entry);
  return elsewhere;
}

/** The backend that gets the bytes of an upload that has arrived here. @throws CallFSError as `judgeUpload` */
export async function judgeBackend(context: UploadContext, user: User, target: UploadTarget): Promise<BackendType> {
  const entry = await resolveTarget(context, user, target);
  // What another instance holds is taken over.
  return chooseBackend(context, target.backendType, entry?.instanceId === context.instanceId ? entry : undefined);
}

/** The file that shall be replaced; undefined: it shall be created. */
async function resolveTarget(context: UploadContext, user: User, target: UploadTarget): Promise<FileEntry | undefined> {
  const request = { ...target, user, forwarded: true };
  if (target.overwrite) return (await resolveWritable(context, request)).entry;
  await resolveCreatable(context, request, 'file');
  return undefined;
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
