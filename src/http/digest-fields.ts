/** Header fields with digests: Content-Digest, Repr-Digest and Want-Repr-Digest (RFC 9530), Content-MD5 (RFC 1864). */
import { parseDictionary, serializeDictionary } from 'structured-headers';
import type { FileEntry } from '../core/entry.ts';
import { CallFSError } from '../core/errors.ts';
import type { ExpectedDigest } from './verified-body.ts';

type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** The algorithms of RFC 9530 that are not deprecated: as the field names them, as node:crypto does, and their bytes. */
const ALGORITHMS = [
  ['sha-256', 'sha256', 32],
  ['sha-512', 'sha512', 64],
] as const;

const MD5 = /^[A-Za-z0-9+/]{22}==$/;

/**
 * What a client says of the body that it sends. Algorithms that are not known are ignored, as RFC 9530 section 2 wants.
 * @throws CallFSError BAD_REQUEST when a field cannot be read
 */
export function parseDigests(headers: Headers): readonly ExpectedDigest[] {
  const expected = [
    ...parseDigestField(headers['content-digest'], 'Content-Digest'),
    // A body is stored as it comes, so it is the representation.
    ...parseDigestField(headers['repr-digest'], 'Repr-Digest'),
  ];
  const md5 = headers['content-md5'];
  if (md5 === undefined) return expected;
  if (typeof md5 !== 'string' || !MD5.test(md5)) {
    throw new CallFSError('BAD_REQUEST', 'Content-MD5 must be 16 bytes in base64.');
  }
  return [...expected, { field: 'Content-MD5', algorithm: 'md5', digest: Buffer.from(md5, 'base64') }];
}

function parseDigestField(value: string | string[] | undefined, field: string): ExpectedDigest[] {
  if (value === undefined) return [];
  const members = parseMembers(String(value), field);
  return ALGORITHMS.flatMap(([name, algorithm, sizeBytes]) => {
    const digest = members.get(name)?.[0];
    if (digest === undefined) return [];
    if (digest instanceof ArrayBuffer && digest.byteLength === sizeBytes) {
      return [{ field: `${field} ${name}`, algorithm, digest: new Uint8Array(digest) }];
    }
    throw new CallFSError('BAD_REQUEST', `${field}: ${name} must be ${sizeBytes} bytes in base64 between colons.`);
  });
}

function parseMembers(value: string, field: string) {
  try {
    return parseDictionary(value);
  } catch (error) {
    const message = `${field} must be a dictionary such as sha-256=:…: (RFC 9530).`;
    throw new CallFSError('BAD_REQUEST', message, { cause: error });
  }
}

/** Of an answer with the file, or a part of it: its SHA-256 if the client wants it and it is known. */
export function reprDigest({ sha256 }: FileEntry, headers: Headers): Readonly<Record<string, string>> {
  if (sha256 === undefined || !wantsSha256(headers['want-repr-digest'])) return {};
  return { 'repr-digest': serializeDictionary({ 'sha-256': [Buffer.from(sha256, 'hex'), new Map()] }) };
}

/** A wish with a preference from 1 to 10; 0 is "not acceptable". A field that cannot be read is a wish for nothing. */
function wantsSha256(value: string | string[] | undefined): boolean {
  if (value === undefined) return false;
  try {
    const preference = parseDictionary(String(value)).get('sha-256')?.[0];
    return Number.isInteger(preference) && Number(preference) >= 1 && Number(preference) <= 10;
  } catch {
    return false;
  }
}
