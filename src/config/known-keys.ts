/** The schema as a flat table, for everything that asks "which keys are there": environment, suggestions, masks, documentation. */
import * as z from 'zod';
import { configSchema } from './schema.ts';
import { type KeyKind, keyKinds } from './schema-key.ts';

/** Stands in a path for the name of an entry of a map. */
export const ANY_NAME = '*';
/** Stands in a path for the place in a list of rules. */
export const ANY_RULE = '[]';

export interface KnownKey {
  /** e.g. `['auth', 'users', ANY_NAME, 'uid']`. */
  readonly path: readonly string[];
  /** `section` for what only groups keys: the sections and the entries of `auth.users`. */
  readonly kind: KeyKind | 'section';
  readonly description: string;
  /** As an operator would write it; undefined when the value must be given. */
  readonly fallback: unknown;
}

/** In the order of the schema, parents before children. */
export const knownKeys: readonly KnownKey[] = Object.entries(configSchema.shape).flatMap(([name, section]) =>
  keysOf(section, [name]),
);

function keysOf(schema: z.ZodType, path: readonly string[]): readonly KnownKey[] {
  const inner = schema instanceof z.ZodPrefault ? schema.unwrap() : schema;
  const own: KnownKey = {
    path,
    kind: keyKinds.get(schema)?.kind ?? 'section',
    description: schema.description ?? '',
    fallback: schema instanceof z.ZodPrefault ? schema.def.defaultValue : undefined,
  };
  const place = inner instanceof z.ZodArray ? [ANY_RULE] : [];
  return [own, ...childrenOf(inner).flatMap(([name, child]) => keysOf(child, [...path, ...place, name]))];
}

function childrenOf(schema: unknown): readonly (readonly [string, z.ZodType])[] {
  const children: readonly (readonly [string, unknown])[] =
    schema instanceof z.ZodObject
      ? Object.entries(schema.shape)
      : schema instanceof z.ZodRecord
        ? [[ANY_NAME, schema.valueType]]
        : schema instanceof z.ZodArray && schema.element instanceof z.ZodObject
          ? Object.entries(schema.element.shape)
          : [];
  return children.flatMap(([name, child]) => (child instanceof z.ZodType ? [[name, child] as const] : []));
}

/** The key that `path` names, entries of maps included. */
export function findKnownKey(path: readonly string[]): KnownKey | undefined {
  return knownKeys.find((key) => matches(key.path, path));
}

function matches(pattern: readonly string[], path: readonly string[]): boolean {
  return pattern.length === path.length && pattern.every((name, index) => isOpen(name) || name === path[index]);
}

/** Whether it stands for whatever is written in its place. */
export function isOpen(name: string): boolean {
  return name === ANY_NAME || name === ANY_RULE;
}
