/** The origin of web pages, as browsers write it in the Origin header field. */
import { InvalidValue } from './invalid-value.ts';

/** `*`, or scheme, host and port without anything after them. Throws InvalidValue. */
export function parseOrigin(text: string): string {
  if (text === '*') return text;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && ['http:', 'https:'].includes(url.protocol) && url.origin === text) return text;
  throw new InvalidValue('must be * or an origin such as https://app.example.com, without a path');
}
