/** All files that one instance holds, dead or alive, as the namespace has them. */
import type { LocatedFile, MetadataStore } from '../metadata/metadata-store.ts';

const PAGE_SIZE = 1000;

/** In the order of their ids; may be read from several places at once. */
export async function* filesOf(
  store: Pick<MetadataStore, 'listFiles'>,
  instanceId: string,
): AsyncGenerator<LocatedFile, undefined> {
  for (let after: string | undefined; ; ) {
    const page = await store.listFiles(after, PAGE_SIZE);
    for (const file of page) if (file.entry.instanceId === instanceId) yield file;
    after = page.at(-1)?.entry.id;
    if (page.length < PAGE_SIZE) return undefined;
  }
}
