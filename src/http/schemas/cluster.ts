/** The cluster as one instance sees it. */
import * as z from 'zod';
import type { InstanceState } from '../../cluster/cluster-status.ts';
import { BACKEND_TYPE, count, INSTANCE_ID, TIME } from './scalars.ts';

const STATES = ['up', 'draining', 'down', 'stopped', 'unknown'] as const satisfies readonly InstanceState[];

const INSTANCE = z
  .strictObject({
    id: INSTANCE_ID,
    endpoint: z.string().nullable().meta({ description: 'URL for peers; null: none is known.' }),
    public_url: z.string().nullable().meta({ description: 'URL for clients, `server.external_url`.' }),
    state: z.enum(STATES).meta({
      description:
        '`up`: it answers the instance that is asked. `draining`: the same, and its files are being moved to others. `down`: it does not answer. `stopped`: it ended cleanly. `unknown`: only entries name it.',
    }),
    since: TIME.nullable().meta({
      description: 'Up and draining: since when it is seen up. Down and stopped: since when it is not. Null: unknown.',
    }),
    last_seen: TIME.nullable().meta({ description: 'Its last heartbeat, by its own clock.' }),
    version: z.string().nullable(),
    files: count().meta({ description: 'What it holds, counted at most ten seconds ago.' }),
    bytes: count(),
    free_bytes: count().nullable().meta({
      description: 'Room on the disk of the instance that is asked; null for the others.',
    }),
    backends: z.array(BACKEND_TYPE).meta({ description: 'Where it can keep files.' }),
  })
  .meta({ id: 'Instance' });

export const CLUSTER = z
  .strictObject({
    instance_id: INSTANCE_ID.meta({ description: 'Who answers.' }),
    version: z.string(),
    store: z.strictObject({ type: z.string().meta({ description: '`sqlite` or `postgres`.' }) }),
    instances: z.array(INSTANCE).meta({
      description: 'Every instance that was ever registered, and those that only entries name; sorted by `id`.',
    }),
  })
  .meta({
    id: 'Cluster',
    examples: [
      {
        ...{ instance_id: 'callfs-localfs-1', version: '0.1.0', store: { type: 'sqlite' } },
        instances: [
          {
            ...{ id: 'callfs-localfs-1', endpoint: 'http://127.0.0.1:8443', public_url: null, state: 'up' },
            ...{ since: '2026-01-14T10:30:00Z', last_seen: '2026-01-14T11:02:17Z', version: '0.1.0' },
            ...{ files: 2, bytes: 4711, free_bytes: 81_604_378_624, backends: ['localfs'] },
          },
        ],
      },
    ],
  });

export type ClusterJson = z.infer<typeof CLUSTER>;
