/** When each error occurs. */
import type { ErrorCode } from '../../core/errors.ts';

export const ERROR_MEANINGS: Readonly<Record<ErrorCode, string>> = {
  BAD_REQUEST: 'a header field, a parameter or the body is wrong',
  INVALID_PATH:
    'the path cannot be one of the namespace: bad percent-encoding or UTF-8, control characters, `.` or `..`, a name over 255 bytes …',
  IS_A_DIRECTORY: 'PUT on a directory',
  AUTHENTICATION_FAILED: 'no valid key',
  PERMISSION_DENIED: 'the user may not do this',
  FILE_NOT_FOUND: 'nothing is there',
  NOT_FOUND: 'no such route, job or link',
  METHOD_NOT_ALLOWED: 'the resource does not have this method; `Allow` tells those that it has',
  REQUEST_TIMEOUT: 'the header fields took longer than `server.idle_timeout`, or 60 s',
  FILE_ALREADY_EXISTS: 'something is there already, here or at another instance',
  DIRECTORY_NOT_EMPTY: 'DELETE without `recursive`',
  NOT_A_DIRECTORY: 'a parent is a file',
  LINK_GONE: 'the link was used, has expired, or leads to nothing any more',
  PRECONDITION_FAILED: 'a condition is not met',
  PAYLOAD_TOO_LARGE: 'more than `server.max_upload_size`, or than a JSON body may have',
  RANGE_NOT_SATISFIABLE: 'no byte of the file is in the ranges; `Content-Range: bytes */N` tells its size',
  MISDIRECTED_REQUEST:
    'the entry belongs to another instance and this one does not forward; with `instance_id` and `url`',
  HEADER_FIELDS_TOO_LARGE: 'target and header fields are more than 32 KiB',
  RATE_LIMIT_EXCEEDED: 'too many of these requests from one address; `Retry-After` tells how long to wait',
  INTERNAL_ERROR: 'a bug; the request id leads to the log',
  PROXY_ERROR: 'the owner cannot be reached; with `instance_id`',
  METADATA_UNAVAILABLE: 'the metadata store does not answer; with `Retry-After`',
  BACKEND_UNAVAILABLE: "the owner's disk fails, or the bytes are missing there; with `Retry-After`",
  PEER_TIMEOUT: 'the owner took the request and went silent; with `instance_id`',
  INSUFFICIENT_STORAGE: "no room on the owner's disk",
  ROUTING_LOOP: 'the configured address of a peer leads back to the asking instance',
  UPLOAD_OFFSET_CONFLICT: 'the upload has another offset than the request says',
  UPLOAD_GONE: 'the upload has expired, or its instance lost it',
  UPLOAD_LOCKED: 'another request writes to the upload',
  UNSUPPORTED_MEDIA_TYPE: 'the body is not of the type that the resource takes',
  CHECKSUM_MISMATCH: 'the bytes are not those that `Upload-Checksum` is of',
};
