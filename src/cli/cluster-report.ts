/** The state of the cluster as a table for people. */
import { plainTable } from './plain-table.ts';

/** The answer to `GET /v1/cluster`. */
export interface ClusterAnswer {
  readonly instance_id: string;
  readonly version: string;
  readonly store: { readonly type: string };
  readonly instances: readonly InstanceAnswer[];
}

export interface InstanceAnswer {
  readonly id: string;
  readonly endpoint: string | null;
  readonly state: string;
  readonly since: string | null;
  readonly last_seen: string | null;
  readonly version: string | null;
  readonly files: number;
  readonly bytes: number;
}

const HEAD = ['INSTANCE', 'STATE', 'SINCE', 'LAST SEEN', 'VERSION', 'FILES', 'BYTES', 'ENDPOINT'];

export function clusterText({ instance_id, version, store, instances }: ClusterAnswer): string {
  const rows = instances.map((instance) => [
    instance.id,
    instance.state,
    instance.since ?? '-',
    instance.last_seen ?? '-',
    instance.version ?? '-',
    String(instance.files),
    String(instance.bytes),
    instance.endpoint ?? '-',
  ]);
  const states = Object.entries(Object.groupBy(instances, ({ state }) => state));
  const counted = states.map(([state, those = []]) => `${those.length} ${state}`).join(', ');
  return `${plainTable(HEAD, rows)}\n\nSeen by ${instance_id} (${version}, metadata in ${store.type}): ${counted}.\n`;
}
