/** The `Prefer` header field (RFC 7240), as far as this server follows it. */

/** Whether the client wants an answer before the work is done (section 4.1). */
export function prefersAsync(field: string | readonly string[] | undefined): boolean {
  const preferences = [field ?? ''].flat().join(',').split(',');
  return preferences.some((preference) => /^\s*respond-async\s*(?:[;=]|$)/i.test(preference));
}
