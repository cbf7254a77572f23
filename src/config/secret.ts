/** What makes a key or secret acceptable. Its value never appears in what is thrown. */
import { InvalidValue } from './invalid-value.ts';

export const MIN_SECRET_LENGTH = 16;

/** Shapes of values that were copied from documentation; a random hex or base64 text practically never has one. */
const PLACEHOLDERS: readonly RegExp[] = [
  /change[-_ ]?me/i,
  /place[-_ ]?holder/i,
  /(?:^|[-_ <])your[-_ ]/i,
  /example/i,
  /(?:secret|key|token|password)[-_ ]here/i,
  /replace[-_ ](?:me|this|with)/i,
  /x{8}/i,
  /(?:^|[^a-z0-9+/])x{4,}(?:[^a-z0-9+/]|$)/i,
  /<.*>/,
  /\$[({]/,
];

/** What a bearer token may be made of (RFC 6750 §2.1). */
const BEARER_TOKEN = /^[A-Za-z0-9._~+/-]+=*$/;

/** The secret that instances or links share. Throws InvalidValue. */
export function parseSecret(text: string): string {
  if (PLACEHOLDERS.some((placeholder) => placeholder.test(text))) {
    throw new InvalidValue('is a placeholder; make a key with: openssl rand -hex 24');
  }
  if (text.length < MIN_SECRET_LENGTH) {
    throw new InvalidValue(`must have at least ${MIN_SECRET_LENGTH} characters; make a key with: openssl rand -hex 24`);
  }
  return text;
}

/** A secret that clients send as `Authorization: Bearer <key>`. Throws InvalidValue. */
export function parseApiKey(text: string): string {
  const key = parseSecret(text);
  if (BEARER_TOKEN.test(key)) return key;
  throw new InvalidValue('may contain only letters, digits and . _ ~ + / - with = at the end');
}
