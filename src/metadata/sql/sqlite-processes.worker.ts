/**
 * One process of several on a SQLite file, for the tests beside it: does what its parent tells it over
 * the channel of `fork`, and ends with it.
 */

import { ROOT_ID } from '../../core/entry.ts';
import { find, sampleContent, sampleFile } from '../metadata-store.contract.ts';
import type { CreateOutcome, MetadataStore } from '../metadata-store.ts';
import { SqlMetadataStore } from './sql-metadata-store.ts';
import { openSqlite } from './sqlite-database.ts';

export type Order =
  | { readonly do: 'open'; readonly path: string }
  | { readonly do: 'close' }
  /** Creates every name in the root directory, a few at once. */
  | { readonly do: 'create'; readonly names: readonly string[] }
  | { readonly do: 'find'; readonly name: string }
  /** Creates and replaces files without end, and reports every commit as soon as it is acknowledged. */
  | { readonly do: 'write-forever'; readonly prefix: string };

export type Report =
  | { readonly did: 'open' | 'close' }
  | { readonly did: 'create'; readonly kinds: readonly CreateOutcome['kind'][] }
  | { readonly did: 'find'; readonly id: string | undefined }
  | { readonly did: 'fail'; readonly message: string }
  | Acknowledged;

export interface Acknowledged {
  readonly did: 'commit';
  readonly name: string;
  readonly version: number;
}

const AT_ONCE = 16;

let opened: MetadataStore | undefined;

function store(): MetadataStore {
  if (!opened) throw new Error('No file is open.');
  return opened;
}

async function obey(order: Order): Promise<Report> {
  switch (order.do) {
    case 'open':
      opened = new SqlMetadataStore(await openSqlite({ path: order.path, durability: 'full' }));
      return { did: 'open' };
    case 'close':
      await store()[Symbol.asyncDispose]();
      return { did: 'close' };
    case 'create':
      return { did: 'create', kinds: await createAll(order.names) };
    case 'find':
      return { did: 'find', id: (await find(store(), order.name))?.id };
    case 'write-forever':
      return Promise.race(Array.from({ length: AT_ONCE }, (_, at) => writeForever(`${order.prefix}-${at}`)));
  }
}

const create = (name: string): Promise<CreateOutcome> =>
  store().createEntry({ parentId: ROOT_ID, missingParents: [], entry: sampleFile(name) });

async function createAll(names: readonly string[]): Promise<CreateOutcome['kind'][]> {
  const kinds: CreateOutcome['kind'][] = [];
  for (let at = 0; at < names.length; at += AT_ONCE) {
    const outcomes = await Promise.all(names.slice(at, at + AT_ONCE).map(create));
    kinds.push(...outcomes.map((outcome) => outcome.kind));
  }
  return kinds;
}

async function writeForever(prefix: string): Promise<never> {
  for (let serial = 0; ; serial++) {
    const name = `${prefix}-${serial}`;
    const outcome = await create(name);
    if (outcome.kind !== 'created') throw new Error(`${name}: ${outcome.kind}`);
    const { id: entryId, instanceId, mtimeMs } = outcome.entry;
    report({ did: 'commit', name, version: 1 });
    const replaced = await store().replaceContent({
      entryId,
      expectContentId: undefined,
      instanceId,
      content: sampleContent(),
      contentType: undefined,
      mtimeMs,
      backendType: 'localfs',
      takeOver: false,
      discardPrevious: true,
    });
    if (replaced.kind !== 'replaced') throw new Error(`${name}: ${replaced.kind}`);
    report({ did: 'commit', name, version: 2 });
  }
}

function report(message: Report): void {
  process.send?.(message);
}

process.on('message', (order: Order) => {
  obey(order).then(report, (error: Error) => report({ did: 'fail', message: error.message }));
});
process.on('disconnect', () => process.exit());
