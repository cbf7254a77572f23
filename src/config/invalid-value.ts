/** What the value parsers of this folder throw; the schema turns it into a problem of the key that holds the value. */

/** `message` says what the value must be and never repeats the value, which may be a secret. */
export class InvalidValue extends Error {
  override readonly name = 'InvalidValue';
}
