/** A configuration before it is checked: nested maps of whatever the file and the environment hold. */

export type Tree = { [name: string]: unknown };

export function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value at `path`, or undefined. */
export function findIn(tree: Tree, path: readonly string[]): unknown {
  let node: unknown = tree;
  for (const name of path) {
    if (!isTree(node) || !Object.hasOwn(node, name)) return undefined;
    node = node[name];
  }
  return node;
}

/** A copy of `tree` with `value` at `path`; maps on the way are made when missing, anything else in the way is left. */
export function withValue(tree: Tree, path: readonly string[], value: unknown): Tree {
  const [name, ...rest] = path;
  if (name === undefined) return tree;
  if (rest.length === 0) return { ...tree, [name]: value };
  const child = Object.hasOwn(tree, name) ? (tree[name] ?? {}) : {};
  return isTree(child) ? { ...tree, [name]: withValue(child, rest, value) } : tree;
}
