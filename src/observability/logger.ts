/** The log: one JSON object a line on standard output. The only user of pino. */
import pino, { type Logger } from 'pino';

export type { Logger } from 'pino';

export interface LoggerOptions {
  readonly level: string;
  readonly instanceId: string;
}

export function createLogger({ level, instanceId }: LoggerOptions): Logger {
  return pino(
    {
      level,
      base: { instance_id: instanceId },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ dest: 1, sync: false }),
  );
}
