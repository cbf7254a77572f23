/** Whether an instance lives, and whether it can serve. */
import * as z from 'zod';

export const HEALTH = z.strictObject({ status: z.literal('ok') }).meta({ id: 'Health', examples: [{ status: 'ok' }] });

export const READINESS = z
  .strictObject({
    status: z.enum(['ready', 'unavailable']),
    broken: z.array(z.string()).meta({ description: 'Names of the checks that fail.' }),
    checks: z.record(z.string(), z.string()).meta({ description: '`ok` or the problem, for each check.' }),
  })
  .meta({
    id: 'Readiness',
    examples: [{ status: 'ready', broken: [], checks: { store: 'ok', localfs: 'ok' } }],
  });

export type ReadinessJson = z.infer<typeof READINESS>;
