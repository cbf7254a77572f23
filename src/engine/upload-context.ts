/** What resumable uploads work with beside the rest, and how one is found. */
import type { PartialContents } from '../backends/partial-contents.ts';
import type { BackendType } from '../core/entry.ts';
import { backendUnavailable, CallFSError } from '../core/errors.ts';
import type { User } from '../core/permissions.ts';
import type { Preconditions } from '../core/preconditions.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import type { UploadRecord } from '../metadata/upload-store.ts';
import { backendFor, type EngineContext } from './engine-context.ts';
import type { UploadLocks } from './upload-locks.ts';

export interface UploadContext extends EngineContext {
  /** Undefined: there is no such user any more. */
  readonly findUser: (name: string) => User | undefined;
  readonly locks: UploadLocks;
}

/** What shall become of an upload. */
export interface UploadTarget {
  readonly path: VirtualPath;
  /** Undefined: the default. */
  readonly mode: number | undefined;
  readonly contentType: string | null;
  /** Where the file's bytes shall be kept; undefined: where they are, or where new files go. */
  readonly backendType: BackendType | undefined;
  /** A file that is there is replaced; otherwise nothing may be there. */
  readonly overwrite: boolean;
  readonly preconditions: Preconditions;
}

/** Where their bytes are until they are complete, whatever the backend of the file: only a disk keeps what is not. */
export const UPLOADS_BACKEND = 'localfs';

/** So long after its last byte an upload that is not finished is kept. */
export const KEPT_MS = 24 * 60 * 60 * 1000;

export function partialsOf(context: EngineContext): PartialContents {
  const { partials } = backendFor(context, UPLOADS_BACKEND);
  if (!partials) throw backendUnavailable('This instance cannot keep resumable uploads.');
  return partials;
}

/** @throws CallFSError NOT_FOUND also for what is another user's; UPLOAD_GONE when it expired */
export async function getUpload({ store, clock }: UploadContext, user: User, id: string): Promise<UploadRecord> {
  const record = await store.uploads.find(id);
  if (!record || (record.userName !== user.name && !user.admin)) throw noUpload();
  if (record.expiresAtMs > clock.now()) return record;
  throw new CallFSError('UPLOAD_GONE', 'This upload has expired; begin a new one.');
}

export const noUpload = (): CallFSError => new CallFSError('NOT_FOUND', 'There is no such upload.');
