/** All files that one instance holds, dead or alive, as the namespace has them. */
import { setImmediate as otherWork } from 'node:timers/promises';
import type { LocatedFile, MetadataStore } from '../metadata/metadata-store.ts';

/** Small: a store that reads on the event loop's thread (SQLite) holds it up for a page, about a millisecond. */
const PAGE_SIZE = 100;

/** In the order of their ids; may be read from several places at once. Whatever else is to be done is done between pages. */
export async function* filesOf(
  store: Pick<MetadataStore, 'listFiles'>,
  instanceId: string,
): AsyncGenerator<LocatedFile, undefined> {
  for (let after: string | undefined; ; ) {
    const page = await store.listFiles(after, PAGE_SIZE);
    for (const file of page) if (file.entry.instanceId === instanceId) yield file;
    after = page.at(-1)?.entry.id;
    if (page.length < PAGE_SIZE) return undefined;
    await otherWork();
  }
}
