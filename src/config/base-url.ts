/** The http(s) address under which an instance is reached; request paths are appended to it. */
import { InvalidValue } from './invalid-value.ts';

/** The URL in its normal form without a trailing slash. Throws InvalidValue. */
export function parseBaseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !['http:', 'https:'].includes(url.protocol)) {
    throw new InvalidValue('must be a URL that starts with http:// or https://');
  }
  if (url.username !== '' || url.password !== '')
    throw new InvalidValue('must be a URL without a user name or password');
  // `search` and `hash` are also empty for a bare `?` or `#`, so the text itself is asked.
  if (/[?#]/.test(text)) throw new InvalidValue('must be a URL without a query or fragment');
  return (url.origin + url.pathname).replace(/\/+$/, '');
}
