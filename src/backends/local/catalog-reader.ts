/** Reads all that a catalog knows: every file of it, of whatever age and for whatever store, merged line by line. */
import type { LocatedEntry } from '../../core/located-entry.ts';
import type { RecalledCatalog } from '../backend.ts';
import { linesOf, listCatalogFiles } from './catalog-files.ts';
import { type CatalogLine, parseHeader, parseLine } from './catalog-line.ts';

export async function readCatalog(folder: string): Promise<RecalledCatalog> {
  const files = await listCatalogFiles(folder);
  const merged = new MergedCatalog();
  let damagedLines = 0;
  for (const { file } of files) {
    let isFirst = true;
    for await (const text of linesOf(file)) {
      const wasFirst = isFirst;
      isFirst = false;
      if (text === '' || (wasFirst && parseHeader(text))) continue;
      const line = parseLine(text);
      if (line) merged.add(line);
      else damagedLines += 1;
    }
  }
  return { entries: merged.entries(), isMissing: files.length === 0, damagedLines };
}

export class MergedCatalog {
  readonly #latest = new Map<string, CatalogLine>();

  add(line: CatalogLine): void {
    const id = line.kind === 'own' ? line.entry.id : line.id;
    const previous = this.#latest.get(id);
    // Of one version the later line counts: it may have another stamp.
    if (previous === undefined || rankOf(line) >= rankOf(previous)) this.#latest.set(id, line);
  }

  entries(): LocatedEntry[] {
    const own = [...this.#latest.values()].filter((line) => line.kind === 'own');
    return own.map(({ entry, path, above }) => ({ entry, path, above }));
  }
}

function rankOf(line: CatalogLine): number {
  switch (line.kind) {
    case 'own':
      return line.entry.version;
    case 'away':
      return line.version;
    case 'gone':
      return Number.POSITIVE_INFINITY;
  }
}
