/** POST: creates a file or a directory where nothing is, with the parents that are missing. */
import type { BackendType, DirectoryEntry, Entry, EntryType, FileEntry } from '../core/entry.ts';
import { CallFSError } from '../core/errors.ts';
import type { User } from '../core/permissions.ts';
import { evaluatePreconditions, type Preconditions } from '../core/preconditions.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import type { CreateOutcome, NewEntry } from '../metadata/metadata-store.ts';
import { chooseBackend } from './choose-backend.ts';
import type { Elsewhere, EngineContext, Upload } from './engine-context.ts';
import { EntryConflict } from './entry-conflict.ts';
import { type Creator, newDirectory, newFile } from './new-entry.ts';
import { placeElsewhere } from './place-new-entry.ts';
import { assertMayCreate, type ResolvedPath, resolvePath } from './resolve-path.ts';
import { retryWhileChanging } from './retry-while-changing.ts';
import { assertFits, type StagedUpload, stageUpload } from './staged-upload.ts';

export interface CreateRequest extends Pick<Creator, 'finishesUpload'> {
  readonly user: User;
  readonly path: VirtualPath;
  /** Undefined: the default. */
  readonly mode: number | undefined;
  readonly preconditions: Preconditions;
  /** A peer has sent it on, and what a peer has sent on is not sent on again; or there is nobody to send it to. */
  readonly forwarded: boolean;
}

export interface CreateFileRequest extends CreateRequest {
  readonly contentType: string | null;
  /** Where its bytes shall be kept; undefined: where they are, or where new files go. */
  readonly backendType: BackendType | undefined;
  readonly upload: Upload;
}

export interface CreatedFile {
  readonly kind: 'created';
  readonly entry: FileEntry;
}

/** @throws EntryConflict when the path is taken, before the body is read if that is known then */
export async function createFile(
  context: EngineContext,
  request: CreateFileRequest,
): Promise<CreatedFile | Elsewhere<undefined>> {
  await resolveCreatable(context, request, 'file');
  const elsewhere = await placeElsewhere(context, request.forwarded, request.backendType);
  if (elsewhere) return elsewhere;
  const backendType = chooseBackend(context, request.backendType, undefined);
  await assertFits(context, backendType, request.upload);
  await using staged = await stageUpload(context, backendType, request.upload);
  const entry = await retryWhileChanging(() => commitFile(context, request, staged));
  return { kind: 'created', entry };
}

/** What a commit needs to know: the bytes are staged, and so is where they are. */
export type CommitRequest = Omit<CreateFileRequest, 'upload' | 'backendType'>;

/** Undefined: what was found on the way is not so any more. @throws EntryConflict */
export async function commitFile(
  context: EngineContext,
  request: CommitRequest,
  staged: StagedUpload,
): Promise<FileEntry | undefined> {
  const file = staged.asFile(request.contentType);
  const resolved = await resolveCreatable(context, request, 'file');
  const commit = () => insertAt(context, resolved, request, (name) => newFile(context, name, request, file));
  const outcome = await staged.commit(commit, ({ kind }) => kind === 'created');
  return createdOf(context, request, outcome, 'file') as FileEntry | undefined;
}

export interface CreatedDirectory {
  /** `existing`: this instance had made it before. */
  readonly kind: 'created' | 'existing';
  readonly entry: DirectoryEntry;
}

/** @throws EntryConflict when a file, or a directory that another instance made, has the path */
export async function createDirectory(
  context: EngineContext,
  request: CreateRequest,
): Promise<CreatedDirectory | Elsewhere<undefined>> {
  try {
    return await retryWhileChanging(async () => {
      const resolved = await resolveCreatable(context, request, 'directory');
      const elsewhere = await placeElsewhere(context, request.forwarded);
      if (elsewhere) return elsewhere;
      const outcome = await insertAt(context, resolved, request, (name) => newDirectory(context, name, request));
      const entry = createdOf(context, request, outcome, 'directory');
      return entry && { kind: 'created', entry: entry as DirectoryEntry };
    });
  } catch (error) {
    if (!(error instanceof EntryConflict) || error.elsewhere || error.existing.type === 'file') throw error;
    return { kind: 'existing', entry: error.existing };
  }
}

/** @throws CallFSError when the path may not be created, EntryConflict when it is taken */
export async function resolveCreatable(
  context: EngineContext,
  { user, path, preconditions }: CreateRequest,
  wanted: EntryType,
): Promise<ResolvedPath> {
  const resolved = await resolvePath(context, user, path);
  if (resolved.entry) throw conflict(context, path, resolved.entry, wanted);
  assertMayCreate(user, resolved);
  if (evaluatePreconditions(preconditions, undefined, false) === 'failed') {
    throw new CallFSError('PRECONDITION_FAILED', `There is nothing at ${path} that could match the condition.`);
  }
  return resolved;
}

/** One transaction: the missing parents and the entry itself. */
export function insertAt(
  context: EngineContext,
  { parent, missing }: ResolvedPath,
  creator: Creator,
  toEntry: (name: string) => NewEntry,
): Promise<CreateOutcome> {
  const parentCreator = { user: creator.user, mode: undefined };
  const missingParents = missing.slice(0, -1).map((name) => newDirectory(context, name, parentCreator));
  const { finishesUpload } = creator;
  const entry = toEntry(missing.at(-1) ?? '');
  return context.store.createEntry({ parentId: parent.id, missingParents, entry, finishesUpload });
}

function createdOf(
  context: EngineContext,
  { path }: CreateRequest,
  outcome: CreateOutcome,
  wanted: EntryType,
): Entry | undefined {
  switch (outcome.kind) {
    case 'created':
      return outcome.entry;
    case 'exists':
      throw conflict(context, path, outcome.entry, wanted);
    case 'changed':
      return undefined;
  }
}

function conflict(context: EngineContext, path: VirtualPath, existing: Entry, wanted: EntryType): EntryConflict {
  return new EntryConflict(path, existing, wanted, existing.instanceId !== context.instanceId);
}
