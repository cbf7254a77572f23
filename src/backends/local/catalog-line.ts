/**
 * The lines of a catalog: JSON with a checksum at its end, so that `jq` reads them and a torn one is told from a whole one.
 * Lines merge in any order: of one entry the highest version counts, and "gone" counts for ever, as ids are used once.
 */
import { crc32 } from 'node:zlib';
import type { LocatedEntry } from '../../core/located-entry.ts';

/** The first line of each file: for which namespace and which instance the others are. */
export interface CatalogHeader {
  readonly format: number;
  readonly instance_id: string;
  readonly store_id: string;
}

export type CatalogLine =
  /** This instance holds the file, or made the directory. */
  | ({ readonly kind: 'own' } & LocatedEntry)
  /** Since this version it is another instance's. */
  | { readonly kind: 'away'; readonly id: string; readonly version: number }
  | { readonly kind: 'gone'; readonly id: string };

export const CATALOG_FORMAT = 1;

export function formatHeader(header: CatalogHeader): string {
  return seal(JSON.stringify(header));
}

export function formatLine(line: CatalogLine): string {
  switch (line.kind) {
    case 'own': {
      const { entry, path, above } = line;
      return seal(JSON.stringify({ v: entry.version, id: entry.id, path, entry, above }));
    }
    case 'away':
      return seal(JSON.stringify({ v: line.version, id: line.id, away: true }));
    case 'gone':
      return seal(JSON.stringify({ id: line.id, gone: true }));
  }
}

/** Undefined: it is torn, or no line of a catalog. */
export function parseHeader(text: string): CatalogHeader | undefined {
  const value = unseal(text);
  return value !== undefined && 'format' in value ? (value as unknown as CatalogHeader) : undefined;
}

/** Undefined: it is torn, or no line of a catalog. */
export function parseLine(text: string): CatalogLine | undefined {
  const value = unseal(text);
  if (value === undefined || typeof value.id !== 'string') return undefined;
  if (value.gone === true) return { kind: 'gone', id: value.id };
  if (value.away === true) return { kind: 'away', id: value.id, version: Number(value.v) };
  if (typeof value.entry !== 'object') return undefined;
  const { entry, path, above } = value as unknown as LocatedEntry;
  return { kind: 'own', entry, path, above };
}

const SEAL = /^(.*),"crc":"([0-9a-f]{8})"\}$/;

/** `{…}` → `{…,"crc":"…"}` and a newline; the checksum is that of everything before it. */
function seal(json: string): string {
  const open = json.slice(0, -1);
  return `${open},"crc":"${checksumOf(open)}"}\n`;
}

function unseal(text: string): Record<string, unknown> | undefined {
  const [, open, checksum] = SEAL.exec(text) ?? [];
  if (open === undefined || checksumOf(open) !== checksum) return undefined;
  return JSON.parse(`${open}}`) as Record<string, unknown>;
}

function checksumOf(text: string): string {
  return crc32(text).toString(16).padStart(8, '0');
}
