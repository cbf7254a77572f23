/** The store in memory keeps the contract; nothing else is special about it. */
import { metadataStoreContract } from '../metadata-store.contract.ts';
import { MemoryMetadataStore } from './memory-metadata-store.ts';

metadataStoreContract('MemoryMetadataStore', async () => new MemoryMetadataStore());
