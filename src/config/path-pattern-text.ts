/** Patterns of paths as operators write them. */
import { parsePathPattern } from '../core/path-pattern.ts';
import { InvalidValue } from './invalid-value.ts';

/** The text itself. Throws InvalidValue when it is no pattern. */
export function parsePatternText(text: string): string {
  try {
    parsePathPattern(text);
  } catch (error) {
    throw new InvalidValue(error instanceof Error ? error.message : String(error));
  }
  return text;
}
