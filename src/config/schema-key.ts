/**
 * The builders that `schema.ts` is written with. Each makes one key: how its value is read, its default and its
 * description, and it notes the key's kind, by which environment variables are read and secrets are masked.
 */
import * as z from 'zod';
import { parseAge, parseDuration } from './duration.ts';
import { InvalidValue } from './invalid-value.ts';
import { parseSize } from './size.ts';

export type KeyKind =
  | 'text'
  | 'choice'
  | 'path'
  | 'secret'
  | 'dsn'
  | 'integer'
  | 'boolean'
  | 'duration'
  | 'age'
  | 'size'
  | 'list'
  | 'secret-list'
  | 'map'
  | 'rules';

/** The kind of every schema that stands for one key. */
export const keyKinds = z.registry<{ readonly kind: KeyKind }>();

type TextParser = (text: string) => string;

function key<S extends z.ZodType>(kind: KeyKind, schema: S, description: string): S {
  const described = schema.describe(description);
  keyKinds.add(described, { kind });
  return described;
}

/** Reads a value with a parser that throws InvalidValue. */
function parsedBy<T>(parse: (raw: unknown) => T) {
  return z.unknown().transform((raw, context): T => {
    try {
      return parse(raw);
    } catch (error) {
      if (!(error instanceof InvalidValue)) throw error;
      context.addIssue({ code: 'custom', message: error.message });
      return z.NEVER;
    }
  });
}

function parseText(raw: unknown): string {
  if (typeof raw === 'string') return raw;
  const canBeQuoted = typeof raw === 'number' || typeof raw === 'boolean';
  throw new InvalidValue(canBeQuoted ? 'must be text; put it in quotes' : 'must be text');
}

const textParsedBy = (parse: TextParser) => parsedBy((raw) => parse(parseText(raw)));

const emptyOr =
  (parse: TextParser): TextParser =>
  (value) =>
    value === '' ? '' : parse(value);

const anyText: TextParser = (value) => value;

/** A text; `parse` is not asked about an empty one when the default is empty. */
export function text(fallback: string, description: string, parse: TextParser = anyText) {
  return key('text', textParsedBy(fallback === '' ? emptyOr(parse) : parse).prefault(fallback), description);
}

/** One of a few words. */
export function choice<const T extends string>(words: readonly [T, ...T[]], fallback: T, description: string) {
  return key('choice', parsedBy((raw) => parseChoice(words, raw)).prefault(fallback), description);
}

function parseChoice<T extends string>(words: readonly T[], raw: unknown): T {
  const word = words.find((candidate) => candidate === raw);
  if (word !== undefined) return word;
  throw new InvalidValue(words.length === 1 ? `must be ${words[0]}` : `must be one of ${words.join(', ')}`);
}

/** A file or folder of this machine; `load.ts` makes it absolute. */
export function path(fallback: string, description: string) {
  return key('path', textParsedBy(anyText).prefault(fallback), description);
}

/** A secret that may stay empty. */
export function secret(description: string, parse: TextParser = anyText) {
  return key('secret', textParsedBy(emptyOr(parse)).prefault(''), description);
}

/** A connection string, which may hold a password. */
export function dsn(description: string) {
  return key('dsn', textParsedBy(anyText).prefault(''), description);
}

export function integer(range: { readonly min: number; readonly max: number }, fallback: number, description: string) {
  const parse = (raw: unknown): number => {
    if (typeof raw === 'number' && Number.isInteger(raw) && raw >= range.min && raw <= range.max) return raw;
    throw new InvalidValue(`must be a whole number from ${range.min} to ${range.max}`);
  };
  return key('integer', parsedBy(parse).prefault(fallback), description);
}

function parseBoolean(raw: unknown): boolean {
  if (typeof raw === 'boolean') return raw;
  throw new InvalidValue('must be true or false');
}

export function boolean(fallback: boolean, description: string) {
  return key('boolean', parsedBy(parseBoolean).prefault(fallback), description);
}

/** True, false, or null when it is not set. */
export function optionalBoolean(description: string) {
  const parse = (raw: unknown): boolean | null => (raw === null ? null : parseBoolean(raw));
  return key('boolean', parsedBy(parse).prefault(null), description);
}

/** Resolved to milliseconds. */
export function duration(fallback: string, description: string) {
  return key('duration', parsedBy(parseDuration).prefault(fallback), description);
}

/** Resolved to milliseconds; without the limits of what a timer can wait. */
export function age(fallback: string, description: string) {
  return key('age', parsedBy(parseAge).prefault(fallback), description);
}

/** Resolved to bytes; null when it is not set. */
export function optionalSize(description: string) {
  const parse = (raw: unknown): number | null => (raw === null ? null : parseSize(raw));
  return key('size', parsedBy(parse).prefault(null), description);
}

/** Resolved to bytes. */
export function size(fallback: number, description: string) {
  return key('size', parsedBy(parseSize).prefault(fallback), description);
}

export function list(description: string, parse: TextParser) {
  return key('list', z.array(textParsedBy(parse)).prefault([]), description);
}

export function secretList(description: string, parse: TextParser) {
  return key('secret-list', z.array(textParsedBy(parse)).prefault([]), description);
}

/** A map whose entry names are free within `parseName`. */
export function map<S extends z.ZodType>(parseName: TextParser, entry: S, description: string) {
  return key('map', z.record(nameParsedBy(parseName), entry).prefault({}), description);
}

/** A list of maps that all have the same keys; an environment variable sets it as a whole, as JSON. */
export function rules<S extends z.ZodType>(rule: S, description: string) {
  return key('rules', z.array(rule).prefault([]), description);
}

/** One of a few words that must be there. */
export function choiceEntry<const T extends string>(words: readonly [T, ...T[]], description: string) {
  return key(
    'choice',
    parsedBy((raw) => parseChoice(words, raw)),
    description,
  );
}

/** A value of a map or of a rule: a text that must be there. */
export function textEntry(description: string, parse: TextParser) {
  return key('text', textParsedBy(parse), description);
}

/** A value of a map: a secret that must be there. */
export function secretEntry(description: string, parse: TextParser) {
  return key('secret', textParsedBy(parse), description);
}

// A record wants a key schema that takes text only, hence not `parsedBy`.
function nameParsedBy(parse: TextParser) {
  return z.string().superRefine((name, context) => {
    try {
      parse(name);
    } catch (error) {
      if (!(error instanceof InvalidValue)) throw error;
      context.addIssue({ code: 'custom', message: error.message });
    }
  });
}
