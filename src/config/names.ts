/** Which user names, group names and instance ids a configuration may use. */
import { InvalidValue } from './invalid-value.ts';

const USER_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}$/;

/** Names that CallFS gives out itself. */
const RESERVED_USER_NAME = /^(?:root$|api-user-|callfs-)/i;

const INSTANCE_ID = /^[A-Za-z0-9._-]{1,64}$/;

/** Throws InvalidValue when `text` cannot name a group. */
export function parseGroupName(text: string): string {
  if (USER_NAME.test(text)) return text;
  throw new InvalidValue(
    'must be a name of 1 to 64 letters, digits and _ . @ - that starts with a letter, a digit or _',
  );
}

/** Throws InvalidValue when `text` cannot name a user or is reserved. */
export function parseUserName(text: string): string {
  if (!RESERVED_USER_NAME.test(text)) return parseGroupName(text);
  throw new InvalidValue('is a reserved name; root and names that start with api-user- or callfs- cannot be used');
}

/** Throws InvalidValue when `text` cannot be the id of an instance. */
export function parseInstanceId(text: string): string {
  if (INSTANCE_ID.test(text)) return text;
  throw new InvalidValue('must be an instance id of 1 to 64 letters, digits and . _ -');
}
