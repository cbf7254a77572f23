/** The metadata store as a backend of one instance sees it. */
import { randomUUID } from 'node:crypto';
import type { CatalogLedger, ContentLedger } from '../backends/backend.ts';
import type { ObjectLedger } from '../backends/object-ledger.ts';
import type { BackendType } from '../core/entry.ts';
import { namesOf } from '../core/virtual-path.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';

/** More levels than a path can have. */
const ALL_LEVELS = 2048;
const PAGE_SIZE = 1000;

/** Each backend sees only what it has to do itself, so that none waits for another one or does its work. */
export function contentLedger(instanceId: string, store: MetadataStore, backendType: BackendType): ContentLedger {
  return {
    locateContents: (contentIds) => store.locateContents(contentIds),
    listOutbox: (id, limit) => store.listOutbox(id, limit, backendType),
    forgetOutbox: (seqs) => store.forgetOutbox(seqs),
    async hasFile(path) {
      const names = namesOf(path);
      const entry = (await store.resolve(names))[names.length];
      return entry?.type === 'file' && entry.instanceId === instanceId && entry.backendType === backendType;
    },
  };
}

/** @param sharesBucketWith whether another instance keeps its files in the same bucket */
export function objectLedger(
  instanceId: string,
  store: MetadataStore,
  sharesBucketWith: (instanceId: string) => Promise<boolean>,
): ObjectLedger {
  return {
    describeContents: (contentIds) => store.describeContents(contentIds),
    listOutbox: (id, limit) => store.listOutbox(id, limit, 's3'),
    forgetOutbox: (seqs) => store.forgetOutbox(seqs),
    relocateContent: (request) => store.relocateContent(request),
    announcePlace: (contentId, key) => store.announcePlace({ instanceId, contentId, key }),
    async describeKeys(keys) {
      const located = await store.describeKeys(keys);
      const inBucket = await Promise.all(
        located.map(({ entry }) => entry.instanceId === instanceId || sharesBucketWith(entry.instanceId)),
      );
      return located.filter(({ entry }, index) => entry.backendType === 's3' && inBucket[index]);
    },
    async *filesBelow(directoryId) {
      const { directories } = await store.readDirectories(directoryId, ALL_LEVELS);
      for (const id of [directoryId, ...directories.map((directory) => directory.id)]) {
        for (let after: string | undefined; ; ) {
          const page = await store.listChildren(id, after, PAGE_SIZE);
          const own = page.filter((entry) => entry.instanceId === instanceId && entry.backendType === 's3');
          yield* await store.describeEntries(own.filter(({ type }) => type === 'file').map((entry) => entry.id));
          after = page.at(-1)?.name;
          if (page.length < PAGE_SIZE) break;
        }
      }
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
