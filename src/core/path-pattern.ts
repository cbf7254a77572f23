/**
 * Patterns that paths of the namespace match: `*` any part of a name, `?` one character, `**` any number of directories,
 * `{a,b}` one of these. Everything else is itself, a dot at the start of a name and `[` too; `\` takes the meaning from what
 * follows it. Names are chosen by clients, so matching takes at most the product of both lengths, whatever they are.
 */
import type { VirtualPath } from './virtual-path.ts';

/** Matches a path or not. */
export type PathPattern = (path: VirtualPath) => boolean;

/** A character to be there, any character, or any number of them. */
type Part = string | typeof ONE | typeof MANY;
/** The parts of a name, or any number of names. */
type Level = readonly Part[] | typeof MANY;

const ONE = Symbol('one');
const MANY = Symbol('many');

const MAX_ALTERNATIVES = 1000;
const LONELY_BRACE = 'has a { or } without the other; write \\{ or \\} for the character';

/** @throws Error, whose message completes a sentence that begins with the pattern */
export function parsePathPattern(text: string): PathPattern {
  if (!text.startsWith('/')) throw new Error('must begin with /');
  if (text.endsWith('/')) throw new Error(`must not end with /; all files below are ${text}**`);
  const alternatives = expand([...text]).map(toLevels);
  return (path) => {
    const names = path.slice(1).split('/');
    return alternatives.some((levels) => matchesSequence(levels, names, matchesName));
  };
}

/** The pattern without braces: every combination of what they leave open. */
function expand(pattern: readonly string[]): readonly (readonly string[])[] {
  const open = findUnescaped(pattern, '{');
  const firstClose = findUnescaped(pattern, '}');
  if (open === -1 && firstClose === -1) return [pattern];
  if (open === -1 || firstClose < open) throw new Error(LONELY_BRACE);
  const { close, choices } = choicesAt(pattern, open);
  const tails = expand(pattern.slice(close + 1));
  const heads = choices.flatMap((choice) => expand(choice));
  if (heads.length * tails.length > MAX_ALTERNATIVES) throw new Error(`has more than ${MAX_ALTERNATIVES} alternatives`);
  const before = pattern.slice(0, open);
  return heads.flatMap((head) => tails.map((tail) => [...before, ...head, ...tail]));
}

/** What stands between a brace and its partner, split at the commas that are its own. */
function choicesAt(pattern: readonly string[], open: number): { close: number; choices: readonly string[][] } {
  const choices: string[][] = [[]];
  let depth = 1;
  for (let at = open + 1; at < pattern.length; at++) {
    const character = pattern[at] ?? '';
    const escaped = character === '\\' ? [character, pattern[++at] ?? ''] : undefined;
    if (character === '{') depth += 1;
    if (character === '}') depth -= 1;
    if (depth === 0) return { close: at, choices };
    if (character === ',' && depth === 1) choices.push([]);
    else choices.at(-1)?.push(...(escaped ?? [character]));
  }
  throw new Error(LONELY_BRACE);
}

function findUnescaped(pattern: readonly string[], wanted: string): number {
  for (let at = 0; at < pattern.length; at++) {
    if (pattern[at] === '\\') at += 1;
    else if (pattern[at] === wanted) return at;
  }
  return -1;
}

function toLevels(pattern: readonly string[]): readonly Level[] {
  const names: string[][] = [];
  for (const character of pattern) {
    if (character === '/') names.push([]);
    else names.at(-1)?.push(character);
  }
  if (names.some((name) => name.length === 0)) throw new Error('has an empty name: two / in a row');
  return names.flatMap((name, index): readonly Level[] => {
    if (name.join('') !== '**') return [toParts(name)];
    // At the end it means what is below a directory, and not the directory itself.
    return index === names.length - 1 ? [[MANY], MANY] : [MANY];
  });
}

function toParts(name: readonly string[]): readonly Part[] {
  const parts: Part[] = [];
  for (let at = 0; at < name.length; at++) {
    const character = name[at] ?? '';
    if (character === '\\') {
      const literal = name[++at];
      if (literal === undefined) throw new Error('has a \\ with nothing behind it');
      parts.push(literal);
    } else parts.push(character === '*' ? MANY : character === '?' ? ONE : character);
  }
  return parts;
}

function matchesName(parts: readonly Part[], name: string): boolean {
  return matchesSequence(parts, [...name], (part, character) => part === ONE || part === character);
}

/**
 * Whether the pattern covers all items. Only the last MANY is ever reconsidered: what an earlier one would take instead,
 * that one can take as well.
 */
function matchesSequence<P, I>(
  pattern: readonly (P | typeof MANY)[],
  items: readonly I[],
  matchesOne: (part: P, item: I) => boolean,
): boolean {
  let at = 0;
  let many = -1;
  let manyUpTo = 0;
  for (let index = 0; index < items.length; ) {
    const part = pattern[at];
    const item = items[index] as I;
    if (part === MANY) {
      many = at++;
      manyUpTo = index;
    } else if (at < pattern.length && matchesOne(part as P, item)) {
      at += 1;
      index += 1;
    } else if (many !== -1) {
      at = many + 1;
      index = ++manyUpTo;
    } else return false;
  }
  while (pattern[at] === MANY) at += 1;
  return at === pattern.length;
}
