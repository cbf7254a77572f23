/** From an unchecked tree to a Config, or to everything that is wrong with it. */
import type * as z from 'zod';
import { findContradictions } from './checks.ts';
import type { Config } from './config.ts';
import { displayPath, type Problem } from './config-error.ts';
import { ANY_RULE, findKnownKey } from './known-keys.ts';
import { nearestKey } from './nearest-key.ts';
import { configSchema } from './schema.ts';
import { isTree, type Tree } from './tree.ts';
import { findUnsupported } from './unsupported.ts';

export type ParsedConfig =
  | { readonly config: Config; readonly problems?: never }
  | { readonly config?: never; readonly problems: readonly Problem[] };

/** A key or section without a value (`null`) counts as not written. */
export function parseConfig(tree: Tree): ParsedConfig {
  const result = configSchema.safeParse(withoutEmptyKeys(tree, []));
  if (!result.success) return { problems: result.error.issues.flatMap(toProblems) };
  const config: Config = result.data;
  const unsupported = findUnsupported(config);
  const refused = new Set(unsupported.map(({ path }) => displayPath(path)));
  const contradictions = findContradictions(config).filter(({ path }) => !refused.has(displayPath(path)));
  const problems = [...unsupported, ...contradictions];
  return problems.length === 0 ? { config } : { problems };
}

function withoutEmptyKeys(tree: Tree, parent: readonly string[]): Tree {
  const entries = Object.entries(tree).flatMap(([name, value]): readonly (readonly [string, unknown])[] => {
    const path = [...parent, name];
    if (isTree(value)) return [[name, withoutEmptyKeys(value, path)]];
    if (Array.isArray(value)) return [[name, value.map((item) => withoutEmptyKeysOf(item, path))]];
    if (value !== null) return [[name, value]];
    return emptyValueOf(path).map((empty) => [name, empty]);
  });
  return Object.fromEntries(entries);
}

function withoutEmptyKeysOf(item: unknown, list: readonly string[]): unknown {
  return isTree(item) ? withoutEmptyKeys(item, [...list, ANY_RULE]) : item;
}

/** What `null` stands for at `path`: an empty section, nothing at all, or (where a value is needed) itself. */
function emptyValueOf(path: readonly string[]): readonly unknown[] {
  const key = findKnownKey(path);
  if (key === undefined) return [null];
  if (key.kind === 'section') return [{}];
  return key.fallback === undefined ? [null] : [];
}

function toProblems(issue: z.core.$ZodIssue): readonly Problem[] {
  const path = issue.path.map(String);
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((name) => ({ path: [...path, name], message: unknownKey([...path, name]) }));
    case 'invalid_key':
      return [{ path, message: issue.issues[0]?.message ?? 'is not a name that can be used here' }];
    case 'invalid_type':
      return [{ path, message: issue.expected === 'array' ? 'must be a list' : 'must be a map of names and values' }];
    default:
      return [{ path, message: issue.message }];
  }
}

function unknownKey(path: readonly string[]): string {
  const nearest = nearestKey(path, () => true);
  if (nearest === undefined) return 'unknown key';
  const name = displayPath(nearest.path);
  return nearest.close ? `unknown key; did you mean ${name}?` : `unknown key; the nearest known key is ${name}`;
}
