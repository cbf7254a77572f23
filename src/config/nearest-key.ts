/** Which key an operator who wrote an unknown one probably meant. */
import { distance } from 'fastest-levenshtein';
import { isOpen, type KnownKey, knownKeys } from './known-keys.ts';

export interface NearestKey {
  readonly key: KnownKey;
  /** With the names of map entries taken from the unknown path where it has them. */
  readonly path: readonly string[];
  /** Whether it is close enough to ask "did you mean". */
  readonly close: boolean;
}

/** What it costs to have the right name in the wrong section. */
const WRONG_SECTION = 2;

/** The known key that is most like `unknown`, among those that `accepts` lets through. */
export function nearestKey(unknown: readonly string[], accepts: (key: KnownKey) => boolean): NearestKey | undefined {
  let best: { readonly key: KnownKey; readonly path: readonly string[]; readonly cost: number } | undefined;
  for (const key of knownKeys.filter(accepts)) {
    const path = withNamesOf(unknown, key.path);
    const cost = costOf(unknown, path);
    if (best === undefined || cost < best.cost) best = { key, path, cost };
  }
  if (best === undefined) return undefined;
  return { key: best.key, path: best.path, close: best.cost <= Math.max(2, lastOf(unknown).length / 2) };
}

function costOf(unknown: readonly string[], known: readonly string[]): number {
  const whole = distance(unknown.join('.'), known.join('.'));
  return Math.min(whole, distance(lastOf(unknown), lastOf(known)) + WRONG_SECTION);
}

function withNamesOf(unknown: readonly string[], pattern: readonly string[]): readonly string[] {
  return pattern.map((name, index) => (isOpen(name) ? (unknown[index] ?? 'NAME') : name));
}

function lastOf(path: readonly string[]): string {
  return path.at(-1) ?? '';
}
