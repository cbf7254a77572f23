/** A request on `/v1/files/…`, parsed into what the use cases take. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { BackendType } from '../core/entry.ts';
import { CallFSError } from '../core/errors.ts';
import type { User } from '../core/permissions.ts';
import type { Preconditions } from '../core/preconditions.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import { authenticate } from './caller.ts';
import { ClientUpload, type RequestUpload } from './client-upload.ts';
import { parseDigests } from './digest-fields.ts';
import type { HttpServices } from './http-services.ts';
import { targetOf } from './request-state.ts';
import { FILES, parseTarget } from './request-target.ts';
import { BACKEND_TYPES } from './schemas/scalars.ts';

export interface FileRequest {
  readonly user: User;
  readonly path: VirtualPath;
  readonly namesDirectory: boolean;
  readonly preconditions: Preconditions;
}

export interface UploadRequest extends FileRequest {
  readonly mode: number | undefined;
  readonly contentType: string | null;
  readonly backendType: BackendType | undefined;
  readonly upload: RequestUpload;
}

/**
 * @param prefix what stands before the path in the target
 * @throws CallFSError AUTHENTICATION_FAILED before anything else is looked at, INVALID_PATH
 */
export function parseFileRequest(services: HttpServices, request: FastifyRequest, prefix = FILES): FileRequest {
  const user = authenticate(services, request);
  const { path, namesDirectory } = parseTarget(targetOf(request), prefix);
  const { headers } = request;
  const preconditions = {
    ifMatch: headers['if-match'],
    ifNoneMatch: headers['if-none-match'],
    ifModifiedSince: headers['if-modified-since'],
    ifUnmodifiedSince: headers['if-unmodified-since'],
  };
  return { user, path, namesDirectory, preconditions };
}

export function parseUploadRequest(
  services: HttpServices,
  request: FastifyRequest,
  reply: FastifyReply,
  prefix = FILES,
): UploadRequest {
  const parsed = parseFileRequest(services, request, prefix);
  assertWhole(request);
  return {
    ...parsed,
    mode: parseMode(request.headers['x-callfs-mode'], 'X-CallFS-Mode'),
    contentType: declaredContentType(request.headers['content-type']),
    backendType: parseBackendType(request.headers['x-callfs-backend'], 'X-CallFS-Backend'),
    upload: new ClientUpload(request.raw, reply.raw, parseDigests(request.headers)),
  };
}

/**
 * A part of a file must never be taken for the whole (RFC 9110 section 14.4).
 * @throws CallFSError BAD_REQUEST
 */
function assertWhole({ headers }: FastifyRequest): void {
  if (headers['content-range'] !== undefined) {
    throw new CallFSError('BAD_REQUEST', 'Parts of a file cannot be uploaded (Content-Range); send the whole file.');
  }
}

/** Permission bits and the sticky bit; set-user-id and set-group-id mean nothing here. */
const MAX_MODE = 0o1777;

/** @param name of the field, for the message */
export function parseMode(header: string | string[] | undefined, name: string): number | undefined {
  if (header === undefined) return undefined;
  const mode = typeof header === 'string' && /^[0-7]{1,5}$/.test(header) ? Number.parseInt(header, 8) : Number.NaN;
  if (mode <= MAX_MODE) return mode;
  throw new CallFSError('BAD_REQUEST', `${name} must be an octal mode from 0000 to 1777, for example 0640.`);
}

/** @param name of the field, for the message @throws CallFSError BAD_REQUEST */
export function parseBackendType(given: string | string[] | undefined, name: string): BackendType | undefined {
  if (given === undefined) return undefined;
  const type = BACKEND_TYPES.find((known) => known === given);
  if (type) return type;
  throw new CallFSError('BAD_REQUEST', `${name} must be one of ${BACKEND_TYPES.join(', ')}.`);
}

/** What curl and browsers send when nobody chose a type says nothing about the content. */
function declaredContentType(header: string | undefined): string | null {
  return header === undefined || /^application\/x-www-form-urlencoded\b/i.test(header) ? null : header;
}
