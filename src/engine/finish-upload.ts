/** A resumable upload whose bytes have all arrived becomes a file, once, as if they had come in one request. */
import type { FileEntry } from '../core/entry.ts';
import { permissionDenied } from '../core/errors.ts';
import type { User } from '../core/permissions.ts';
import type { UploadRecord } from '../metadata/upload-store.ts';
import { judgeBackend } from './begin-upload.ts';
import { commitFile } from './create-entry.ts';
import { backendFor } from './engine-context.ts';
import { bytesOf } from './open-content.ts';
import { retryWhileChanging } from './retry-while-changing.ts';
import { assertFits, StagedUpload, stageUpload } from './staged-upload.ts';
import { noUpload, partialsOf, UPLOADS_BACKEND, type UploadContext, type UploadTarget } from './upload-context.ts';
import { commitWrite } from './write-file.ts';

export type FinishedUpload =
  | { readonly kind: 'file'; readonly entry: FileEntry; readonly created: boolean }
  /** It was finished before, and what has become of the file since is another matter. */
  | { readonly kind: 'earlier' };

/** @throws CallFSError whatever the write would be refused with; the bytes are kept, and it may be tried again */
export async function finishUpload(
  context: UploadContext,
  { id, userName }: UploadRecord,
  target: UploadTarget,
): Promise<FinishedUpload> {
  const user = context.findUser(userName);
  if (!user) throw permissionDenied(`There is no user ${userName} any more.`);
  const partials = partialsOf(context);
  // Before the bytes are brought into position: they may have been for nothing.
  if (await isFinished(context, id)) return { kind: 'earlier' };
  await using upload = await stageFinished(context, user, id, target);
  // What another instance holds is taken over: the bytes are here.
  const request = { ...target, user, forwarded: true, finishesUpload: id };
  const finished = await retryWhileChanging<FinishedUpload>(async () => {
    if (await isFinished(context, id)) return { kind: 'earlier' };
    if (!target.overwrite) {
      const entry = await commitFile(context, request, upload);
      return entry && { kind: 'file', entry, created: true };
    }
    const written = await commitWrite(context, request, upload);
    return written?.kind === 'written' ? { kind: 'file', entry: written.entry, created: written.created } : undefined;
  });
  await partials.remove(id);
  return finished;
}

/** On the disk that has the bytes they only get a second name; another backend is sent them. */
async function stageFinished(
  context: UploadContext,
  user: User,
  id: string,
  target: UploadTarget,
): Promise<StagedUpload> {
  const type = await judgeBackend(context, user, target);
  const partials = partialsOf(context);
  if (type === UPLOADS_BACKEND) {
    return new StagedUpload(backendFor(context, type), await partials.stage(id, context.ids.next()));
  }
  await using reader = await partials.open(id);
  const upload = { declaredBytes: reader.sizeBytes, open: () => bytesOf(reader) };
  await assertFits(context, type, upload);
  return await stageUpload(context, type, upload);
}

async function isFinished({ store }: UploadContext, id: string): Promise<boolean> {
  const record = await store.uploads.find(id);
  if (!record) throw noUpload();
  return record.finished;
}
