/** The files of a catalog: numbered in the order in which they were begun, journals and the snapshots that replace older ones. */
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { type CatalogHeader, parseHeader } from './catalog-line.ts';
import { unlessAbsent } from './descriptor.ts';

export interface CatalogFile {
  readonly file: string;
  readonly number: number;
  readonly kind: 'journal' | 'snapshot';
  readonly sizeBytes: number;
  /** Undefined: its first line is torn. */
  readonly header: CatalogHeader | undefined;
}

const NAME = /^(\d{8})-(journal|snapshot)\.ndjson$/;

export function catalogFileName(number: number, kind: CatalogFile['kind']): string {
  return `${String(number).padStart(8, '0')}-${kind}.ndjson`;
}

/** In the order of their numbers; none when there is no catalog. */
export async function listCatalogFiles(folder: string): Promise<CatalogFile[]> {
  const files: CatalogFile[] = [];
  for (const name of ((await unlessAbsent(readdir(folder))) ?? []).sort()) {
    const [, number, kind] = NAME.exec(name) ?? [];
    if (number === undefined) continue;
    const file = `${folder}/${name}`;
    const { size: sizeBytes } = await stat(file);
    const header = await readHeader(file);
    files.push({ file, number: Number(number), kind: kind as CatalogFile['kind'], sizeBytes, header });
  }
  return files;
}

async function readHeader(file: string): Promise<CatalogHeader | undefined> {
  for await (const line of linesOf(file)) return parseHeader(line);
  return undefined;
}

export async function* linesOf(file: string): AsyncGenerator<string> {
  const stream = createReadStream(file, 'utf8');
  try {
    yield* createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY });
  } finally {
    stream.destroy();
  }
}
