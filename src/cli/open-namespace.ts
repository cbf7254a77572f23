/** What commands work with that only look at the namespace, or ask instances to change it. */
import { existsSync } from 'node:fs';
import { openStore } from '../compose/store.ts';
import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';

export interface OpenedNamespace extends AsyncDisposable {
  readonly config: Config;
  readonly store: MetadataStore;
}

/**
 * Creates no store.
 * @param file of the configuration; undefined: where the server looks for it
 * @throws Error with one line for the operator
 */
export async function openNamespace(file: string | undefined): Promise<OpenedNamespace> {
  const { config } = loadConfig(file === undefined ? {} : { file });
  const { type, sqlite_path: sqlite } = config.metadata_store;
  if (type === 'sqlite' && !existsSync(sqlite))
    throw new Error(`metadata_store.sqlite_path: there is no file ${sqlite}.`);
  const store = await openStore(config);
  return { config, store, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() };
}
