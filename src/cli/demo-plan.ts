/** What the demo's instances are called, where they listen and where their files lie. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const CALLFS = fileURLToPath(new URL('../../bin/callfs', import.meta.url));

export interface InstancePlan {
  readonly id: string;
  readonly port: number;
  readonly url: string;
  /** Absolute, like the other paths. */
  readonly dataRoot: string;
  readonly configFile: string;
  readonly logFile: string;
}

export function planInstances(directory: string, ports: readonly number[]): readonly InstancePlan[] {
  return ports.map((port, index) => {
    const number = index + 1;
    return {
      id: `callfs-localfs-${number}`,
      port,
      url: `http://127.0.0.1:${port}`,
      dataRoot: join(directory, `data-${number}`),
      configFile: join(directory, `instance-${number}.yaml`),
      logFile: join(directory, `instance-${number}.log`),
    };
  });
}
