/** The whole cluster as one instance sees it: what the store has on record beside what its own look at the peers says. */
import type { BackendType } from '../core/entry.ts';
import type { InstanceFiles, InstanceRecord } from '../metadata/instance-store.ts';
import type { PeerDirectory, SeenInstance } from './peer-directory.ts';

/**
 * `draining`: up, and its files go to others. `unknown`: only entries name it, no instance of this name was ever
 * registered.
 */
export type InstanceState = 'up' | 'draining' | 'down' | 'stopped' | 'unknown';

export interface InstanceStatus {
  readonly id: string;
  /** Base URLs for peers and for clients; empty: none is known. */
  readonly endpoint: string;
  readonly publicUrl: string;
  readonly state: InstanceState;
  /** Up and draining: since when it is seen up; down and stopped: since when it is not. Milliseconds since the epoch. */
  readonly sinceMs: number | undefined;
  /** Its last heartbeat, by its own clock. */
  readonly lastSeenMs: number | undefined;
  readonly version: string | undefined;
  readonly files: number;
  readonly sizeBytes: number;
  /** Room for more; only the instance itself knows it. */
  readonly freeBytes: number | undefined;
  readonly backends: readonly BackendType[];
}

export interface ClusterStatus {
  /** Who answers. */
  readonly instanceId: string;
  readonly version: string;
  readonly storeType: string;
  /** By id. */
  readonly instances: readonly InstanceStatus[];
}

export interface ClusterStatusOptions {
  readonly instanceId: string;
  readonly version: string;
  readonly storeType: string;
  /** Since when this instance serves, in milliseconds since the epoch. */
  readonly startedAtMs: number;
  /** What this instance has; the others do not tell theirs, and this version knows only one kind. */
  readonly backends: readonly BackendType[];
  readonly peers: Pick<PeerDirectory, 'survey'>;
  readonly countFiles: () => Promise<readonly InstanceFiles[]>;
  /** Whether this instance has learnt that it is being drained. */
  readonly isDraining: () => boolean;
  /** Room for more on this instance; undefined: nobody knows. */
  readonly freeBytes: () => Promise<number | undefined>;
}

/** @throws CallFSError METADATA_UNAVAILABLE */
export async function clusterStatus(options: ClusterStatusOptions): Promise<ClusterStatus> {
  const { instanceId, version, storeType, peers, countFiles } = options;
  const [seen, counts, freeBytes] = await Promise.all([peers.survey(), countFiles(), options.freeBytes()]);
  const held = new Map(counts.map((count) => [count.instanceId, count]));
  const registered = seen.map((instance) => ({
    ...statusOf(options, instance, held.get(instance.record.id)),
    freeBytes: instance.record.id === instanceId ? freeBytes : undefined,
  }));
  const known = new Set(registered.map(({ id }) => id));
  const unknown = counts.filter((count) => !known.has(count.instanceId)).map(unknownInstance);
  return { instanceId, version, storeType, instances: [...registered, ...unknown].sort(byId) };
}

function statusOf(options: ClusterStatusOptions, seen: SeenInstance, held: InstanceFiles | undefined) {
  const { id, endpoint, publicUrl, lastSeenMs, version } = seen.record;
  return {
    ...{ id, endpoint, publicUrl, lastSeenMs, version },
    ...stateOf(options, seen),
    files: held?.files ?? 0,
    sizeBytes: held?.sizeBytes ?? 0,
    backends: backendsOf(options, seen.record),
  };
}

/** Every instance has a disk, and those that say so a bucket; this one knows what it opened. */
function backendsOf(options: ClusterStatusOptions, { id, bucketId }: InstanceRecord): readonly BackendType[] {
  if (id === options.instanceId) return options.backends;
  return bucketId === '' ? ['localfs'] : ['localfs', 's3'];
}

function stateOf(
  { instanceId, startedAtMs, isDraining }: ClusterStatusOptions,
  { record, sight }: SeenInstance,
): Pick<InstanceStatus, 'state' | 'sinceMs'> {
  // It answers right now, so whatever its record says is not true any more.
  if (record.id === instanceId) return { state: isDraining() ? 'draining' : 'up', sinceMs: startedAtMs };
  if (sight?.up && !record.stopped) return { state: record.draining ? 'draining' : 'up', sinceMs: sight.sinceMs };
  const goneSinceMs = sight?.up ? undefined : sight?.sinceMs;
  return { state: record.stopped ? 'stopped' : 'down', sinceMs: goneSinceMs ?? record.lastSeenMs };
}

function unknownInstance({ instanceId: id, files, sizeBytes }: InstanceFiles): InstanceStatus {
  const nothingKnown = { endpoint: '', publicUrl: '', sinceMs: undefined, lastSeenMs: undefined, version: undefined };
  return { id, ...nothingKnown, state: 'unknown', files, sizeBytes, freeBytes: undefined, backends: [] };
}

function byId(left: Pick<InstanceRecord, 'id'>, right: Pick<InstanceRecord, 'id'>): number {
  return left.id < right.id ? -1 : 1;
}
