/** PUT: replaces a file's content wherever the file lives, or creates the file here. */
import type { FileEntry } from '../core/entry.ts';
import { isADirectory, permissionDenied } from '../core/errors.ts';
import { permits, WRITE } from '../core/permissions.ts';
import { hasPreconditions } from '../core/preconditions.ts';
import { assertUnchanged } from './assert-unchanged.ts';
import { chooseBackend } from './choose-backend.ts';
import { type CommitRequest, type CreateFileRequest, insertAt } from './create-entry.ts';
import { atOwner, type Elsewhere, type EngineContext } from './engine-context.ts';
import { newFile } from './new-entry.ts';
import { placeElsewhere } from './place-new-entry.ts';
import { assertMayCreate, type ResolvedPath, resolvePath } from './resolve-path.ts';
import { retryWhileChanging } from './retry-while-changing.ts';
import { assertFits, type StagedUpload, stageUpload } from './staged-upload.ts';

/** When `forwarded` and the file went to another instance while the body arrived, the new content stays here. */
export type WriteFileRequest = CreateFileRequest;

export interface WrittenFile {
  readonly kind: 'written';
  readonly entry: FileEntry;
  readonly created: boolean;
}

/** Another instance created the file while this one received the bytes: hand them over, then dispose them. */
export interface WrittenElsewhere extends Elsewhere<FileEntry | undefined> {
  /** Undefined: the body has not been asked for. */
  readonly staged: StagedUpload | undefined;
}

interface Writable extends Omit<ResolvedPath, 'entry'> {
  readonly entry: FileEntry | undefined;
}

export async function writeFile(
  context: EngineContext,
  request: WriteFileRequest,
): Promise<WrittenFile | WrittenElsewhere> {
  const { entry } = await resolveWritable(context, request);
  if (entry && entry.instanceId !== context.instanceId) return { ...atOwner(entry), staged: undefined };
  const elsewhere = entry ? undefined : await placeElsewhere(context, request.forwarded, request.backendType);
  if (elsewhere) return { ...elsewhere, staged: undefined };
  const backendType = chooseBackend(context, request.backendType, entry);
  await assertFits(context, backendType, request.upload);
  return writeStaged(context, request, await stageUpload(context, backendType, request.upload));
}

/** The same once the bytes have arrived: also again, when the one they were handed over to is not the owner any more. */
export async function writeStaged(
  context: EngineContext,
  request: WriteFileRequest,
  staged: StagedUpload,
): Promise<WrittenFile | WrittenElsewhere> {
  let handedOver = false;
  try {
    const outcome = await retryWhileChanging(() => commitWrite(context, request, staged));
    handedOver = outcome.kind === 'elsewhere';
    return outcome;
  } finally {
    if (!handedOver) await staged[Symbol.asyncDispose]();
  }
}

/** Undefined: what was found on the way is not so any more. */
export async function commitWrite(
  context: EngineContext,
  request: CommitRequest,
  staged: StagedUpload,
): Promise<WrittenFile | WrittenElsewhere | undefined> {
  const target = await resolveWritable(context, request);
  const { entry } = target;
  if (!entry) return commitCreation(context, request, staged, target);
  const isElsewhere = entry.instanceId !== context.instanceId;
  if (isElsewhere && !request.forwarded) return { ...atOwner(entry), staged };
  return commitReplacement(context, request, staged, entry, isElsewhere);
}

async function commitCreation(
  context: EngineContext,
  request: CommitRequest,
  staged: StagedUpload,
  target: Writable,
): Promise<WrittenFile | undefined> {
  const file = staged.asFile(request.contentType);
  const insert = () =>
    insertAt(context, { ...target, entry: undefined }, request, (name) => newFile(context, name, request, file));
  const outcome = await staged.commit(insert, ({ kind }) => kind === 'created');
  if (outcome.kind !== 'created') return undefined;
  return { kind: 'written', entry: outcome.entry as FileEntry, created: true };
}

async function commitReplacement(
  context: EngineContext,
  request: CommitRequest,
  staged: StagedUpload,
  entry: FileEntry,
  takeOver: boolean,
): Promise<WrittenFile | undefined> {
  const { content, contentType, mtimeMs, backendType } = staged.asFile(request.contentType);
  const replace = () =>
    context.store.replaceContent({
      entryId: entry.id,
      expectContentId: hasPreconditions(request.preconditions) ? entry.contentId : undefined,
      instanceId: context.instanceId,
      backendType,
      takeOver,
      content,
      contentType,
      mtimeMs,
      discardPrevious: true,
      finishesUpload: request.finishesUpload,
    });
  const outcome = await staged.commit(replace, ({ kind }) => kind === 'replaced');
  if (outcome.kind !== 'replaced') return undefined;
  // The bytes that became garbage may lie in another backend than the new ones.
  for (const backend of context.backends.values()) backend.outboxPending();
  return { kind: 'written', entry: outcome.entry, created: false };
}

/** Everything that can forbid the write: the path, the permissions, the conditions. */
export async function resolveWritable(context: EngineContext, request: CommitRequest): Promise<Writable> {
  const { user, path } = request;
  const resolved = await resolvePath(context, user, path);
  const { entry } = resolved;
  if (entry?.type === 'directory') throw isADirectory(path);
  if (!entry) assertMayCreate(user, resolved);
  else if (!permits(user, entry, WRITE)) throw permissionDenied(`You may not write to ${path}.`);
  assertUnchanged(path, entry, request.preconditions);
  return { ...resolved, entry };
}
