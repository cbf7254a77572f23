/** The key that commands use to ask instances for what only administrators may do. */
import type { Config } from '../config/config.ts';

/** @throws Error with one line for the operator */
export function adminKey({ auth }: Config): string {
  const admin = Object.entries(auth.api_key_users).find(([name]) => auth.users[name]?.admin);
  if (admin) return admin[1];
  throw new Error('auth.api_key_users has no key of a user with admin: true in auth.users; only such a user may ask.');
}
