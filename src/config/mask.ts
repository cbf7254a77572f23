/** A configuration as it may be shown: secrets hidden, values written as an operator would write them. */
import type { Config } from './config.ts';
import { formatAge, formatDuration } from './duration.ts';
import { ANY_RULE, findKnownKey } from './known-keys.ts';
import { isTree, type Tree } from './tree.ts';

export const MASK = '********';

/** Plain maps, lists and values under the names of the file; read back, it is the same configuration but for the secrets. */
export type PrintableConfig = Readonly<Record<string, unknown>>;

/** Every key, secret and password becomes `********`; user names stay, and so does an empty secret, which is one that is not set. */
export function maskSecrets(config: Config): PrintableConfig {
  return printableMap({ ...config }, []);
}

function printableMap(tree: Tree, parent: readonly string[]): Tree {
  return Object.fromEntries(
    Object.entries(tree).map(([name, value]) => {
      const path = [...parent, name];
      return [name, isTree(value) ? printableMap(value, path) : printable(value, path)];
    }),
  );
}

function printableRules(rules: readonly unknown[], parent: readonly string[]): readonly unknown[] {
  return rules.map((rule) => (isTree(rule) ? printableMap(rule, [...parent, ANY_RULE]) : rule));
}

function printable(value: unknown, path: readonly string[]): unknown {
  const kind = findKnownKey(path)?.kind;
  if (kind === 'duration' && typeof value === 'number') return formatDuration(value);
  if (kind === 'age' && typeof value === 'number') return formatAge(value);
  if (kind === 'rules' && Array.isArray(value)) return printableRules(value, path);
  if (kind === 'secret' && value !== '') return MASK;
  if (kind === 'dsn' && typeof value === 'string') return maskPassword(value);
  if (kind === 'secret-list' && Array.isArray(value)) return value.map(() => MASK);
  return value;
}

/** Of a URL (`scheme://user:password@host?password=…`) or of `password=…` among words. */
function maskPassword(dsn: string): string {
  return dsn
    .replace(/^([a-z][a-z0-9+.-]*:\/\/[^:/?#]*:).*@/i, `$1${MASK}@`)
    .replace(/(password\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&]*)/gi, `$1${MASK}`);
}
