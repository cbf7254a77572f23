/** Conditional requests: RFC 9110 section 13, evaluated in the order of section 13.2.2. Pure. */

export interface Preconditions {
  readonly ifMatch?: string | undefined;
  readonly ifNoneMatch?: string | undefined;
  readonly ifModifiedSince?: string | undefined;
  readonly ifUnmodifiedSince?: string | undefined;
}

/** What the target is now: undefined when nothing is there. */
export interface Representation {
  /** Strong, with its quotes. */
  readonly etag: string;
  readonly mtimeMs: number;
}

export type Verdict = 'proceed' | 'not-modified' | 'failed';

/** Whether the request carries a condition that must be checked against the current state. */
export function hasPreconditions(conditions: Preconditions): boolean {
  return (
    conditions.ifMatch !== undefined ||
    conditions.ifNoneMatch !== undefined ||
    conditions.ifModifiedSince !== undefined ||
    conditions.ifUnmodifiedSince !== undefined
  );
}

/**
 * @param safe whether the method is GET or HEAD: only these answer 304 and look at If-Modified-Since
 */
export function evaluatePreconditions(
  conditions: Preconditions,
  current: Representation | undefined,
  safe: boolean,
): Verdict {
  const { ifMatch, ifNoneMatch, ifModifiedSince, ifUnmodifiedSince } = conditions;
  if (ifMatch !== undefined) {
    if (!matches(ifMatch, current, strongEquals)) return 'failed';
  } else if (ifUnmodifiedSince !== undefined && modifiedSince(ifUnmodifiedSince, current)) {
    return 'failed';
  }
  if (ifNoneMatch !== undefined) {
    if (matches(ifNoneMatch, current, weakEquals)) return safe ? 'not-modified' : 'failed';
  } else if (safe && ifModifiedSince !== undefined && modifiedSince(ifModifiedSince, current) === false) {
    return 'not-modified';
  }
  return 'proceed';
}

const ENTITY_TAG = /(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"/g;

function matches(
  field: string,
  current: Representation | undefined,
  equals: (candidate: string, etag: string) => boolean,
): boolean {
  if (!current) return false;
  if (field.trim() === '*') return true;
  return (field.match(ENTITY_TAG) ?? []).some((candidate) => equals(candidate, current.etag));
}

const strongEquals = (candidate: string, etag: string): boolean => candidate === etag;
const weakEquals = (candidate: string, etag: string): boolean => candidate.replace(/^W\//, '') === etag;

/** Undefined when the date cannot be read or nothing is there: such a field is ignored (RFC 9110 sections 13.1.3, 13.1.4). */
function modifiedSince(field: string, current: Representation | undefined): boolean | undefined {
  const sinceMs = parseHttpDate(field);
  if (sinceMs === undefined || !current) return undefined;
  return Math.floor(current.mtimeMs / 1000) * 1000 > sinceMs;
}

/**
 * Whether a range may be sent: the content is still the one that the client has a part of (RFC 9110 section 13.1.5).
 * An entity tag must match strongly, a date exactly.
 */
export function ifRangeHolds(field: string | undefined, current: Representation): boolean {
  if (field === undefined) return true;
  const validator = field.trim();
  if (validator.endsWith('"')) return strongEquals(validator, current.etag);
  return parseHttpDate(validator) === Math.floor(current.mtimeMs / 1000) * 1000;
}

const HTTP_DATE =
  /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? (?:\d{2}[ -][A-Z][a-z]{2}[ -]\d{2,4} \d{2}:\d{2}:\d{2} GMT|[A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \d{4})$/;

function parseHttpDate(field: string): number | undefined {
  const text = field.trim();
  if (!HTTP_DATE.test(text)) return undefined;
  const ms = Date.parse(text.endsWith('GMT') ? text : `${text} GMT`);
  return Number.isNaN(ms) ? undefined : ms;
}
