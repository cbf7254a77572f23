/** The order of names by their UTF-8 bytes, as every store lists them; JavaScript's own `<` orders by UTF-16 units. */

/** Negative, zero or positive, like every comparison; both strings are well-formed Unicode. */
export function compareBytes(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let at = 0; at < length; at++) {
    const difference = rank(left.charCodeAt(at)) - rank(right.charCodeAt(at));
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

/** Surrogates stand for the characters above U+FFFF, so they go behind the units U+E000 to U+FFFF. */
function rank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}
