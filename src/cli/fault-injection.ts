/** Crash tests: lets the process that started this instance say where it shall die. Loaded only for them. */
import type { FaultSetting } from '../config/fault-point-setting.ts';
import { type ArmedFault, armFault, enableFaultPoints, type FaultPoint, takeFaultCounts } from '../core/fault-point.ts';

/** From the test, over the channel that Node.js gives a child process. Each is answered. */
export type FaultCommand = { readonly arm: ArmedFault | null } | { readonly count: true };

/** How often each point was passed since the last answer. */
export type FaultAnswer = { readonly counts: Readonly<Record<FaultPoint, number>> };

/** Before anything else starts: threads learn of it only when they are made. */
export function injectFaults({ armed }: FaultSetting): void {
  enableFaultPoints();
  armFault(armed);
  process.on('message', (command: FaultCommand) => {
    if ('arm' in command) armFault(command.arm ?? undefined);
    const answer: FaultAnswer = { counts: takeFaultCounts() };
    process.send?.(answer);
  });
  // Waiting for commands alone is no reason to stay.
  process.channel?.unref();
}
