/** Durations as operators write them (`500ms`, `60s`, `2m`, `1h`, or seconds) and as the code uses them: milliseconds. */
import { InvalidValue } from './invalid-value.ts';

const MS_BY_UNIT = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;

const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/;

/** The longest delay that a timer of Node.js can wait. */
const MAX_MS = 2_147_483_647;

/** Milliseconds, rounded to a whole number. A number, or a text without a unit, is in seconds. Throws InvalidValue. */
export function parseDuration(raw: unknown): number {
  const match = typeof raw === 'number' || typeof raw === 'string' ? DURATION.exec(String(raw)) : null;
  if (match === null) {
    throw new InvalidValue('must be a duration such as 500ms, 60s, 2m or 1h, or a number of seconds');
  }
  const durationMs = Math.round(Number(match[1]) * MS_BY_UNIT[unitOf(match[2])]);
  if (durationMs < 1 || durationMs > MAX_MS) throw new InvalidValue('must be a duration from 1ms to 596h');
  return durationMs;
}

function unitOf(text: string | undefined): keyof typeof MS_BY_UNIT {
  return text === 'h' || text === 'm' || text === 'ms' ? text : 's';
}

/** A text that `parseDuration` reads back as the same duration: 60000 is `60s`, 1500 is `1500ms`. */
export function formatDuration(durationMs: number): string {
  return durationMs % MS_BY_UNIT.s === 0 ? `${durationMs / MS_BY_UNIT.s}s` : `${durationMs}ms`;
}
