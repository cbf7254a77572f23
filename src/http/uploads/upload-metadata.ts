/** `Upload-Metadata`: what a client says that its upload shall become. */
import { Metadata } from '@tus/server';
import { CallFSError, invalidPath, isADirectory } from '../../core/errors.ts';
import { ROOT_PATH, toVirtualPath, type VirtualPath } from '../../core/virtual-path.ts';
import type { UploadTarget } from '../../engine/upload-context.ts';
import { parseBackendType, parseMode } from '../file-request.ts';

/** @param field as it came; empty: nothing was said @throws CallFSError BAD_REQUEST, INVALID_PATH, IS_A_DIRECTORY */
export function parseTarget(field: string): UploadTarget {
  const values = parse(field);
  const { path, filetype, mode, overwrite, backend, 'if-match': ifMatch } = values;
  if (!path) {
    throw new CallFSError('BAD_REQUEST', 'Upload-Metadata must have a path: "path", a space, and the path in base64.');
  }
  if (overwrite && overwrite !== 'true' && overwrite !== 'false') {
    throw new CallFSError('BAD_REQUEST', 'overwrite in Upload-Metadata must be true or false.');
  }
  return {
    path: parsePath(path),
    mode: parseMode(mode ?? undefined, 'mode in Upload-Metadata'),
    contentType: parseType(filetype),
    backendType: parseBackendType(backend ?? undefined, 'backend in Upload-Metadata'),
    // A key without a value stands for true.
    overwrite: overwrite !== undefined && overwrite !== 'false',
    preconditions: { ifMatch: ifMatch ?? undefined },
  };
}

function parse(field: string): Readonly<Record<string, string | null>> {
  if (field === '') return {};
  try {
    const values = Metadata.parse(field);
    // Decoded leniently; another spelling of the same bytes is none of ours to accept.
    if (Object.values(values).some((value) => value?.includes('\ufffd'))) throw new Error('not UTF-8');
    return values;
  } catch (error) {
    const message = 'Upload-Metadata must be keys with values in base64 of UTF-8, separated by commas.';
    throw new CallFSError('BAD_REQUEST', message, { cause: error });
  }
}

/** Not percent-encoded: base64 takes care of every byte. */
function parsePath(text: string): VirtualPath {
  if (!text.startsWith('/')) throw invalidPath('The path in Upload-Metadata must be absolute.');
  const path = toVirtualPath(text.split('/').filter((name) => name !== ''));
  if (path === ROOT_PATH || text.endsWith('/')) throw isADirectory(path);
  return path;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const NOT_IN_A_FIELD = /[\u0000-\u001f\u007f-\uffff]/;

/** It will be a header field, and browsers say nothing about files whose type they do not know. */
function parseType(type: string | null | undefined): string | null {
  if (!type) return null;
  if (!NOT_IN_A_FIELD.test(type)) return type;
  throw new CallFSError('BAD_REQUEST', 'filetype in Upload-Metadata must be a media type.');
}
