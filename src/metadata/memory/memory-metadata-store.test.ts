/** The store in memory keeps the contract; nothing else is special about it. */
import { contentPlacesContract } from '../content-places.contract.ts';
import { leavingContract } from '../leaving.contract.ts';
import { linksContract } from '../links.contract.ts';
import { longWorkContract } from '../long-work.contract.ts';
import { metadataStoreContract } from '../metadata-store.contract.ts';
import { movingContract } from '../moving.contract.ts';
import { rebuildStoreContract } from '../rebuild-store.contract.ts';
import { uploadsContract } from '../uploads.contract.ts';
import { MemoryMetadataStore } from './memory-metadata-store.ts';

metadataStoreContract('MemoryMetadataStore', async () => new MemoryMetadataStore());
leavingContract('MemoryMetadataStore', async () => new MemoryMetadataStore());
longWorkContract('MemoryMetadataStore', async () => new MemoryMetadataStore());
movingContract('MemoryMetadataStore', async () => new MemoryMetadataStore());
rebuildStoreContract('MemoryMetadataStore', async () => new MemoryMetadataStore());
linksContract('MemoryMetadataStore', async () => new MemoryMetadataStore());
contentPlacesContract('MemoryMetadataStore', async () => new MemoryMetadataStore());
uploadsContract('MemoryMetadataStore', async () => new MemoryMetadataStore());
