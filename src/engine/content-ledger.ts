/** The metadata store as a backend of one instance sees it. */
import type { ContentLedger } from '../backends/backend.ts';
import { namesOf } from '../core/virtual-path.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';

export function contentLedger(instanceId: string, store: MetadataStore): ContentLedger {
  return {
    locateContents: (contentIds) => store.locateContents(contentIds),
    listOutbox: (id, limit) => store.listOutbox(id, limit),
    forgetOutbox: (seqs) => store.forgetOutbox(seqs),
    async hasFile(path) {
      const names = namesOf(path);
      const entry = (await store.resolve(names))[names.length];
      return entry?.type === 'file' && entry.instanceId === instanceId;
    },
  };
}
