/**
 * Splits the raw request target. Routing sees only a fixed stand-in for the path below a prefix, so no router
 * decodes, normalises or refuses a path before the one place that parses it.
 */
import { CallFSError, invalidPath } from '../core/errors.ts';
import { type ParsedPath, parseEncodedPath } from '../core/virtual-path.ts';

/** Prefixes below which the rest of the target is a path of the namespace. */
export const FILES = '/v1/files';
export const DIRECTORIES = '/v1/directories';
/** For requests that want to become a WebSocket; for all others a directory of the namespace like any other. */
export const SOCKETS = `${FILES}/ws`;
export const INTERNAL = '/v1/internal';
/** Below it a token, which is a secret as long as it lives. */
export const DOWNLOADS = '/download';
/** For peers: the bytes of a file that they take over. */
export const CONTENTS = `${INTERNAL}/contents`;

/** For peers: a file of a tree that is being copied. */
export const COPIES = `${INTERNAL}/copies`;
/** Work that goes on after its client was answered. */
export const JOBS = '/v1/jobs';
/** Resumable uploads. */
export const UPLOADS = '/v1/uploads';
export const LINKS = '/v1/links/generate';

const STAND_IN = '/-';
/** A target that no route serves. */
const UNKNOWN = '/-';

/** The route that serves a prefix. */
export const routeOf = (prefix: string): string => prefix + STAND_IN;

/** The route of requests for a WebSocket: no other target leads there. */
export const SOCKET_ROUTE = `${routeOf(FILES)}/ws`;

/** The target that the router shall see. @param isUpgrade the request wants to become a WebSocket */
export function toRouted(target: string, isUpgrade = false): string {
  const { path, query } = split(target);
  if (isUpgrade) return SOCKET_ROUTE + query;
  if (path.startsWith(`${DOWNLOADS}/`)) return routeOf(DOWNLOADS) + query;
  for (const prefix of [FILES, DIRECTORIES, CONTENTS, COPIES, INTERNAL]) {
    if (path === prefix || path.startsWith(`${prefix}/`)) return `${prefix}${STAND_IN}${query}`;
  }
  // Outside the prefixes nothing is spelled with "%", and the router would decode it.
  return path.includes('%') ? `${UNKNOWN}${query}` : path + query;
}

/** What a target names, without query and authority: for the log, which neither may enter. */
export function pathOfTarget(target: string): string {
  return split(target).path;
}

/**
 * The path of the namespace that a target names.
 * @throws CallFSError INVALID_PATH
 */
export function parseTarget(target: string, prefix: string): ParsedPath {
  const { path } = split(target);
  if (path.includes('#')) throw invalidPath('Write "#" in a path as %23.');
  return parseEncodedPath(path.slice(prefix.length));
}

/** Path and query, also of a target in absolute form: what another server may be asked with. */
export function originForm(target: string): string {
  const { path, query } = split(target);
  return path + query;
}

function split(target: string): { readonly path: string; readonly query: string } {
  const local = withoutAuthority(target);
  const mark = local.indexOf('?');
  return mark < 0 ? { path: local, query: '' } : { path: local.slice(0, mark), query: local.slice(mark) };
}

/** The absolute form of RFC 9112 section 3.2.2, which a server must accept. */
function withoutAuthority(target: string): string {
  if (target.startsWith('/')) return target;
  return /^https?:\/\/[^/?#]*(.*)$/i.exec(target)?.[1] || '/';
}

/** A query parameter that is `true` or `false`; false when it is missing. */
export function parseFlag(query: unknown, name: string): boolean {
  const value = queryValue(query, name);
  if (value === undefined || value === 'false') return false;
  if (value === 'true' || value === '') return true;
  throw new CallFSError('BAD_REQUEST', `The query parameter ${name} must be true or false.`);
}

/** A query parameter that is a whole number from `min` to `max`; undefined when it is missing. */
export function parseCount(query: unknown, name: string, min: number, max: number): number | undefined {
  const value = queryValue(query, name);
  if (value === undefined) return undefined;
  const count = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN;
  if (count >= min && count <= max) return count;
  throw new CallFSError('BAD_REQUEST', `The query parameter ${name} must be a whole number from ${min} to ${max}.`);
}

export function queryValue(query: unknown, name: string): string | undefined {
  const value = (query as Readonly<Record<string, unknown>> | undefined)?.[name];
  if (value === undefined) return undefined;
  if (typeof value === 'string') return value;
  throw new CallFSError('BAD_REQUEST', `The query parameter ${name} may be given only once.`);
}
