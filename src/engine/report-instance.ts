/** What the namespace says one instance holds, whether that runs, is down or was never registered. */
import { namesOf } from '../core/virtual-path.ts';
import type { InstanceRecord } from '../metadata/instance-store.ts';
import type { MetadataStore } from '../metadata/metadata-store.ts';
import { filesOf } from './files-of.ts';

export interface Held {
  files: number;
  sizeBytes: number;
}

export interface InstanceReport {
  readonly instanceId: string;
  /** Undefined: only entries name it. */
  readonly record: InstanceRecord | undefined;
  readonly total: Held;
  /** By the name at the top of the paths; files that lie at the top themselves under the empty name. In byte order. */
  readonly byTop: ReadonlyMap<string, Held>;
  /** That it made; they are lost with no disk. */
  readonly directories: number;
}

/** @throws Error with one line for the operator when nothing has to do with such an instance */
export async function reportInstance(store: MetadataStore, instanceId: string): Promise<InstanceReport> {
  const record = await store.findInstance(instanceId);
  const total: Held = { files: 0, sizeBytes: 0 };
  const byTop = new Map<string, Held>();
  for await (const { entry, path } of filesOf(store, instanceId)) {
    const names = namesOf(path);
    const top = names.length > 1 ? (names[0] ?? '') : '';
    const held = byTop.get(top) ?? { files: 0, sizeBytes: 0 };
    byTop.set(top, held);
    for (const sum of [total, held]) {
      sum.files += 1;
      sum.sizeBytes += entry.sizeBytes;
    }
  }
  const directories = await store.countDirectories(instanceId);
  if (!record && total.files === 0 && directories === 0) throw await unknownInstance(store, instanceId);
  return { instanceId, record, total, byTop: new Map([...byTop].sort(byName)), directories };
}

export async function unknownInstance(store: MetadataStore, instanceId: string): Promise<Error> {
  const known = (await store.listInstances()).map(({ id }) => id).join(', ');
  return new Error(`There is no instance ${instanceId}; there are ${known || 'none'}.`);
}

function byName([left]: readonly [string, Held], [right]: readonly [string, Held]): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}
