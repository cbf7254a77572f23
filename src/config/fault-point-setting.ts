/** `CALLFS_FAULT_POINT`: how crash tests start an instance. No operator sets it, so it is no key of the configuration. */
import { type ArmedFault, FAULT_POINTS } from '../core/fault-point.ts';
import type { Environment } from './environment.ts';

export interface FaultSetting {
  /** Undefined: none yet; the process that started this one arms them. */
  readonly armed: ArmedFault | undefined;
}

/** @returns undefined when it is not set. @throws Error with one line for whoever set it */
export function readFaultSetting(env: Environment = process.env): FaultSetting | undefined {
  const value = env.CALLFS_FAULT_POINT;
  if (value === undefined) return undefined;
  if (value === 'commanded') return { armed: undefined };
  const [, name, occurrence = '1'] = /^([a-z-]+:[a-z-]+)(?::([1-9]\d{0,5}))?$/.exec(value) ?? [];
  const point = FAULT_POINTS.find((known) => known === name);
  if (point !== undefined) return { armed: { point, occurrence: Number(occurrence), action: 'kill' } };
  throw new Error(
    `CALLFS_FAULT_POINT: ${JSON.stringify(value)} is no fault point; it lets the server crash on purpose, so unset it.`,
  );
}
