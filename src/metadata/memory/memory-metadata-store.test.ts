/** The store in memory keeps the contract; nothing else is special about it. */
import { leavingContract } from '../leaving.contract.ts';
import { metadataStoreContract } from '../metadata-store.contract.ts';
import { movingContract } from '../moving.contract.ts';
import { rebuildStoreContract } from '../rebuild-store.contract.ts';
import { MemoryMetadataStore } from './memory-metadata-store.ts';

metadataStoreContract('MemoryMetadataStore', async () => new MemoryMetadataStore());
leavingContract('MemoryMetadataStore', async () => new MemoryMetadataStore());
movingContract('MemoryMetadataStore', async () => new MemoryMetadataStore());
rebuildStoreContract('MemoryMetadataStore', async () => new MemoryMetadataStore());
