/** Entries as they begin: who owns them, where they live, which mode they get. */
import { type BackendType, type Content, DEFAULT_DIRECTORY_MODE, DEFAULT_FILE_MODE } from '../core/entry.ts';
import { primaryGroup, type User } from '../core/permissions.ts';
import type { NewDirectory, NewFile } from '../metadata/metadata-store.ts';
import type { EngineContext } from './engine-context.ts';

export interface Creator {
  readonly user: User;
  /** Undefined: the default. */
  readonly mode: number | undefined;
  /** The resumable upload that becomes the entry. */
  readonly finishesUpload?: string | undefined;
}

export interface FileContent {
  readonly content: Content;
  readonly contentType: string | null;
  readonly mtimeMs: number;
  readonly backendType: BackendType;
}

export function newFile(context: EngineContext, name: string, creator: Creator, file: FileContent): NewFile {
  const { content, contentType, mtimeMs, backendType } = file;
  return {
    type: 'file',
    ...attributes(context, name, creator.user),
    ...content,
    etag: content.contentId,
    mode: creator.mode ?? DEFAULT_FILE_MODE,
    contentType,
    mtimeMs,
    backendType,
  };
}

export function newDirectory(context: EngineContext, name: string, creator: Creator): NewDirectory {
  return {
    type: 'directory',
    ...attributes(context, name, creator.user),
    mode: creator.mode ?? DEFAULT_DIRECTORY_MODE,
  };
}

function attributes(context: EngineContext, name: string, user: User) {
  const nowMs = context.clock.now();
  return {
    id: context.ids.next(),
    name,
    owner: user.name,
    group: primaryGroup(user),
    uid: user.uid,
    gid: user.gid,
    mtimeMs: nowMs,
    createdAtMs: nowMs,
    instanceId: context.instanceId,
    backendType: context.defaultBackend,
  };
}
