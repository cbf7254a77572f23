/** The metadata store as a backend of one instance sees it. */
import { randomUUID } from 'node:crypto';
import type { CatalogLedger, ContentLedger } from '../backends/backend.ts';
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

export function catalogLedger(instanceId: string, store: MetadataStore): CatalogLedger {
  return {
    async identify() {
      const storeId = await store.identify(randomUUID());
      const rebuilt = (await store.listRebuilds()).find((each) => each.instanceId === instanceId);
      return { storeId, rebuild: rebuilt === undefined ? 'none' : rebuilt.finished ? 'finished' : 'begun' };
    },
    describeContents: (contentIds) => store.describeContents(contentIds),
    describeEntries: (entryIds) => store.describeEntries(entryIds),
    listHoldings: (after, limit) => store.listHoldings(instanceId, after, limit),
    listNotes: (limit) => store.listNotes(instanceId, limit),
    forgetNotes: (seqs) => store.forgetNotes(seqs),
  };
}
