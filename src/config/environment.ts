/** The environment as a layer over the file: `CALLFS_SECTION__KEY` sets `section.key`. */
import type { LocatedProblem } from './config-error.ts';
import { ANY_NAME, ANY_RULE, findKnownKey, type KnownKey, knownKeys } from './known-keys.ts';
import { nearestKey } from './nearest-key.ts';
import { findIn, isTree, type Tree, withValue } from './tree.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export const ENVIRONMENT_PREFIX = 'CALLFS_';

/** Variables with the prefix that do not configure the server, with what they are for. */
export const ignoredVariables: ReadonlyMap<string, string> = new Map([
  ['CALLFS_REQUIRE_SERVICES', "read by the project's own tests"],
  ['CALLFS_LONG_TESTS', "read by the project's own tests"],
  ['CALLFS_TEST_BUCKET', "read by the project's own tests"],
  ['CALLFS_TEST_CELLS', "read by the project's own tests"],
  ['CALLFS_TEST_POSTGRES_BIN', "read by the project's own tests"],
  ['CALLFS_TEST_SEED', "read by the project's own tests"],
  ['CALLFS_TEST_STORE', "read by the project's own tests"],
  ['CALLFS_TEST_TLS', "read by the project's own tests"],
  ['CALLFS_FAULT_POINT', 'lets a crash test kill the server at a chosen point'],
  ['CALLFS_API_KEY', 'read by the test script'],
  ['CALLFS_SERVER1_URL', 'read by the test script'],
  ['CALLFS_SERVER2_URL', 'read by the test script'],
  ['CALLFS_CURL_OPTIONS', 'read by the test script'],
]);

/** What Kubernetes puts into every container when a service is named `callfs`. */
const SERVICE_LINK = /^CALLFS_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)?)$/;

export interface Overlay {
  /** The file's configuration with the values of the environment in it. */
  readonly tree: Tree;
  /** Which variable set the value at this path or above it, or undefined. */
  readonly variableFor: (path: readonly string[]) => string | undefined;
  readonly problems: readonly LocatedProblem[];
}

/** The variable that sets the key; `NAME` stands for the name of an entry of a map. */
export function variableName(path: readonly string[]): string {
  const names = path.map((name) => (name === ANY_NAME ? 'NAME' : name.toUpperCase().replace(/[^A-Z0-9]/g, '_')));
  return ENVIRONMENT_PREFIX + names.join('__');
}

/** Never throws: what cannot be applied is among the problems. */
export function applyEnvironment(file: Tree, env: Environment): Overlay {
  let tree = file;
  const variables = new Map<string, string>();
  const problems: LocatedProblem[] = [];
  // Sorted, `…__INSTANCE_ID` comes before `…__PEER_ENDPOINTS__…`, which takes the spelling of an id from it.
  for (const [variable, value] of Object.entries(env).sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (value === undefined || !isMeant(variable)) continue;
    const written = variable.slice(ENVIRONMENT_PREFIX.length).toLowerCase().split('__');
    const key = findKnownKey(written);
    if (key === undefined) {
      problems.push({ origin: variable, path: written, message: unknownVariable(written) });
      continue;
    }
    const path = spelledAsBefore(tree, written, key);
    const refusal = refusalOf(key, variables.get(idOf(path)));
    if (refusal !== undefined) {
      problems.push({ origin: variable, path, message: refusal });
      continue;
    }
    tree = withValue(tree, path, readValue(value, key.kind));
    variables.set(idOf(path), variable);
  }
  return { tree, problems, variableFor: (path) => findVariable(variables, path) };
}

function isMeant(variable: string): boolean {
  if (!variable.startsWith(ENVIRONMENT_PREFIX) || ignoredVariables.has(variable)) return false;
  return variable.includes('__') || !SERVICE_LINK.test(variable);
}

function refusalOf(key: KnownKey, earlierVariable: string | undefined): string | undefined {
  if (earlierVariable !== undefined) return `is set by ${earlierVariable} too`;
  if (isSettable(key)) return undefined;
  const rules = key.path.indexOf(ANY_RULE);
  if (rules !== -1) return `is set with the whole list, as JSON in ${variableName(key.path.slice(0, rules))}`;
  const inner = knownKeys.find(
    (known) => isSettable(known) && key.path.every((name, depth) => name === known.path[depth]),
  );
  return `is set entry by entry, with variables such as ${variableName(inner?.path ?? key.path)}`;
}

function unknownVariable(path: readonly string[]): string {
  const nearest = nearestKey(path, isSettable);
  if (nearest === undefined) return 'unknown key';
  const name = variableName(nearest.path);
  return nearest.close ? `unknown key; did you mean ${name}?` : `unknown key; the nearest known variable is ${name}`;
}

function isSettable(key: KnownKey): boolean {
  return key.kind !== 'section' && key.kind !== 'map' && !key.path.includes(ANY_RULE);
}

function readValue(value: string, kind: KnownKey['kind']): unknown {
  if (kind === 'integer') return /^\d+$/.test(value) ? Number(value) : value;
  if (kind === 'boolean') return { true: true, false: false }[value.toLowerCase()] ?? value;
  if (kind === 'rules') return readJson(value);
  if (kind !== 'list' && kind !== 'secret-list') return value;
  const items = value.split(',').map((item) => item.trim());
  return items.filter((item) => item !== '');
}

/** What is no JSON stays a text, and is refused as one. */
function readJson(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

/**
 * The path with the name of a map's entry as it is written elsewhere already. Variables have no `-` and, by custom, no
 * small letters, so `MARY_ANN` means the user `Mary-Ann` if there is one. A new instance id is written with `-`.
 */
function spelledAsBefore(tree: Tree, path: readonly string[], key: KnownKey): readonly string[] {
  const depth = key.path.indexOf(ANY_NAME);
  const name = path[depth];
  if (name === undefined) return path;
  const known = namesBeside(tree, path.slice(0, depth));
  const spelling =
    known.find((candidate) => candidate.toLowerCase() === name) ??
    known.find((candidate) => folded(candidate) === folded(name)) ??
    (isPeerMap(path) ? name.replaceAll('_', '-') : name);
  return path.with(depth, spelling);
}

function namesBeside(tree: Tree, mapPath: readonly string[]): readonly string[] {
  if (isPeerMap(mapPath)) {
    const ownId = findIn(tree, ['instance_discovery', 'instance_id']);
    return [...namesIn(tree, mapPath), ...(typeof ownId === 'string' ? [ownId] : [])];
  }
  return [...namesIn(tree, mapPath), ...namesIn(tree, ['auth', 'users']), ...namesIn(tree, ['auth', 'api_key_users'])];
}

function namesIn(tree: Tree, mapPath: readonly string[]): readonly string[] {
  const found = findIn(tree, mapPath);
  return isTree(found) ? Object.keys(found) : [];
}

function isPeerMap(path: readonly string[]): boolean {
  return path[1] === 'peer_endpoints';
}

function folded(name: string): string {
  return name.toLowerCase().replaceAll('-', '_');
}

function findVariable(variables: ReadonlyMap<string, string>, path: readonly string[]): string | undefined {
  const prefixes = path.map((_, index) => path.slice(0, path.length - index));
  return prefixes.map((prefix) => variables.get(idOf(prefix))).find((variable) => variable !== undefined);
}

function idOf(path: readonly string[]): string {
  return JSON.stringify(path);
}
