/** The one error of this folder: why a configuration cannot be used, on one line. */
import { MIN_SECRET_LENGTH } from './secret.ts';

/** Something wrong at one key. */
export interface Problem {
  /** The key, section by section; empty when the problem is with the whole file. */
  readonly path: readonly string[];
  /** Completes the sentence that begins with the key. Never holds a secret. */
  readonly message: string;
}

/** A problem with the place it was written at: a file or an environment variable. */
export interface LocatedProblem extends Problem {
  readonly origin: string;
}

const MAX_LISTED = 3;

/** Its message is exactly one line that names each key and what is wrong with it; the first three problems are listed. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';

  constructor(problems: readonly LocatedProblem[], options?: ErrorOptions) {
    super(onOneLine(describeProblems(problems)), options);
  }
}

function describeProblems(problems: readonly LocatedProblem[]): string {
  const listed = problems.slice(0, MAX_LISTED).map((problem, index) => {
    const repeated = problem.origin === problems[index - 1]?.origin;
    const parts = [repeated ? '' : problem.origin, displayPath(problem.path), problem.message];
    return parts.filter((part) => part !== '').join(': ');
  });
  const hidden = problems.length - listed.length;
  if (hidden > 0) listed.push(`and ${hidden} more ${hidden === 1 ? 'problem' : 'problems'}`);
  return listed.join('; ');
}

/** Longer than any key of `auth`. */
const SUSPICIOUS_LENGTH = 25;

/** The dotted key. A long name in `auth` may be a secret in the wrong place, such as a map turned around: it is cut. */
export function displayPath(path: readonly string[]): string {
  if (path[0] !== 'auth') return path.join('.');
  const isSuspicious = (name: string, depth: number): boolean =>
    name.length >= (path[1] === 'api_key_users' && depth === 2 ? MIN_SECRET_LENGTH : SUSPICIOUS_LENGTH);
  return path.map((name, depth) => (isSuspicious(name, depth) ? `${name.slice(0, 4)}…` : name)).join('.');
}

function onOneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, ' ').trim();
}
