/** Durations as operators write them (`500ms`, `60s`, `2m`, `1h`, ages also `30d`, or seconds) and as the code uses them: milliseconds. */
import { InvalidValue } from './invalid-value.ts';

const MS_BY_UNIT = { w: 604_800_000, d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;

const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/;
const AGE = /^(\d+(?:\.\d+)?)(ms|s|m|h|d|w)?$/;

/** The longest delay that a timer of Node.js can wait. */
const MAX_MS = 2_147_483_647;

/** Milliseconds, rounded to a whole number. A number, or a text without a unit, is in seconds. Throws InvalidValue. */
export function parseDuration(raw: unknown): number {
  const durationMs = readMs(DURATION, raw);
  if (durationMs === undefined) {
    throw new InvalidValue('must be a duration such as 500ms, 60s, 2m or 1h, or a number of seconds');
  }
  if (durationMs < 1 || durationMs > MAX_MS) throw new InvalidValue('must be a duration from 1ms to 596h');
  return durationMs;
}

/** How old something is: as a duration, but days and weeks, longer ones, and 0 are possible, too. Throws InvalidValue. */
export function parseAge(raw: unknown): number {
  const ageMs = readMs(AGE, raw);
  if (ageMs === undefined || !Number.isSafeInteger(ageMs)) {
    throw new InvalidValue('must be an age such as 30d, 12h or 2w, or a number of seconds');
  }
  return ageMs;
}

function readMs(pattern: RegExp, raw: unknown): number | undefined {
  const match = typeof raw === 'number' || typeof raw === 'string' ? pattern.exec(String(raw)) : null;
  return match ? Math.round(Number(match[1]) * MS_BY_UNIT[unitOf(match[2])]) : undefined;
}

function unitOf(text: string | undefined): keyof typeof MS_BY_UNIT {
  return text !== undefined && Object.hasOwn(MS_BY_UNIT, text) ? (text as keyof typeof MS_BY_UNIT) : 's';
}

/** A text that `parseDuration` reads back as the same duration: 60000 is `60s`, 1500 is `1500ms`. */
export function formatDuration(durationMs: number): string {
  return durationMs % MS_BY_UNIT.s === 0 ? `${durationMs / MS_BY_UNIT.s}s` : `${durationMs}ms`;
}

/** A text that `parseAge` reads back as the same age: 2592000000 is `30d`, 43200000 is `12h`. */
export function formatAge(ageMs: number): string {
  const unit = (['d', 'h', 'm'] as const).find((candidate) => ageMs > 0 && ageMs % MS_BY_UNIT[candidate] === 0);
  return unit ? `${ageMs / MS_BY_UNIT[unit]}${unit}` : formatDuration(ageMs);
}
