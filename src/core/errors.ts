/**
 * The one table of error codes and the one error class that crosses layers.
 * Drivers translate into it at their edge; only `http/` renders it.
 */

export const statusByCode = {
  BAD_REQUEST: 400,
  INVALID_PATH: 400,
  IS_A_DIRECTORY: 400,
  AUTHENTICATION_FAILED: 401,
  PERMISSION_DENIED: 403,
  FILE_NOT_FOUND: 404,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  REQUEST_TIMEOUT: 408,
  FILE_ALREADY_EXISTS: 409,
  DIRECTORY_NOT_EMPTY: 409,
  NOT_A_DIRECTORY: 409,
  UPLOAD_OFFSET_CONFLICT: 409,
  LINK_GONE: 410,
  UPLOAD_GONE: 410,
  PRECONDITION_FAILED: 412,
  PAYLOAD_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  RANGE_NOT_SATISFIABLE: 416,
  MISDIRECTED_REQUEST: 421,
  UPLOAD_LOCKED: 423,
  RATE_LIMIT_EXCEEDED: 429,
  HEADER_FIELDS_TOO_LARGE: 431,
  CHECKSUM_MISMATCH: 460,
  INTERNAL_ERROR: 500,
  PROXY_ERROR: 502,
  METADATA_UNAVAILABLE: 503,
  BACKEND_UNAVAILABLE: 503,
  PEER_TIMEOUT: 504,
  INSUFFICIENT_STORAGE: 507,
  ROUTING_LOOP: 508,
} as const;

export type ErrorCode = keyof typeof statusByCode;

export interface ErrorOptions {
  /** Fields rendered beside `code` and `message`. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** Response headers that belong to this error, e.g. `allow`. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly cause?: unknown;
}

/** An error whose code and message may be shown to a client; `cause` stays in the log. */
export class CallFSError extends Error {
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'CallFSError';
    this.code = code;
    this.details = options.details ?? {};
    this.headers = options.headers ?? {};
  }

  get status(): number {
    return statusByCode[this.code];
  }
}

export const invalidPath = (problem: string): CallFSError => new CallFSError('INVALID_PATH', problem);

export const notFound = (path: string): CallFSError =>
  new CallFSError('FILE_NOT_FOUND', `There is no file or directory at ${path}.`, { details: { path } });

export const permissionDenied = (message: string): CallFSError => new CallFSError('PERMISSION_DENIED', message);

export const notADirectory = (path: string): CallFSError =>
  new CallFSError('NOT_A_DIRECTORY', `${path} is a file, so nothing can lie below it.`, { details: { path } });

export const isADirectory = (path: string): CallFSError =>
  new CallFSError('IS_A_DIRECTORY', `${path} is a directory; a file's content cannot be written to it.`, {
    details: { path },
  });

/** Seconds a client should wait before it repeats a request that failed for a passing reason. */
const RETRY_AFTER_SECONDS = '2';

export const metadataUnavailable = (cause: unknown): CallFSError =>
  new CallFSError('METADATA_UNAVAILABLE', 'The metadata store does not answer; try again shortly.', {
    cause,
    headers: { 'retry-after': RETRY_AFTER_SECONDS },
  });

export const backendUnavailable = (message: string, cause?: unknown): CallFSError =>
  new CallFSError('BACKEND_UNAVAILABLE', message, { cause, headers: { 'retry-after': RETRY_AFTER_SECONDS } });

export const insufficientStorage = (cause: unknown): CallFSError =>
  new CallFSError('INSUFFICIENT_STORAGE', 'There is no space left for this content on the instance that keeps it.', {
    cause,
  });

/** The `code` of a Node.js system error (`ENOENT`, …), or undefined. */
export function systemErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
