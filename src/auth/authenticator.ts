/** Who is asking: API keys and the users they belong to. Knows nothing about entries or HTTP routes. */
import { hash } from 'node:crypto';
import { CallFSError } from '../core/errors.ts';
import type { User } from '../core/permissions.ts';

export interface UserSettings {
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  readonly groups?: readonly string[] | undefined;
  readonly admin?: boolean | undefined;
}

export interface AuthenticatorOptions {
  /** Keys without a name; each gets one that depends only on the key. */
  readonly apiKeys: readonly string[];
  /** User name → key. */
  readonly apiKeyUsers: Readonly<Record<string, string>>;
  readonly users: Readonly<Record<string, UserSettings>>;
}

/** Numeric ids of a user for whom none are configured. */
const DEFAULT_ID = 1000;
const UNNAMED_USER_PREFIX = 'api-user-';

export class Authenticator {
  readonly #usersByName: ReadonlyMap<string, User>;
  /** By the digest of the key: looking it up takes the same time for every wrong key. */
  readonly #usersByDigest: ReadonlyMap<string, User>;

  constructor({ apiKeys, apiKeyUsers, users }: AuthenticatorOptions) {
    const named = Object.entries(apiKeyUsers).map(([name, key]) => [digest(key), toUser(name, users[name])] as const);
    const unnamed = apiKeys.map((key) => [digest(key), toUser(unnamedUser(key), undefined)] as const);
    this.#usersByDigest = new Map([...unnamed, ...named]);
    this.#usersByName = new Map([...unnamed, ...named].map(([, user]) => [user.name, user]));
  }

  findUser(name: string): User | undefined {
    return this.#usersByName.get(name);
  }

  /**
   * @param authorization the value of the Authorization header
   * @throws CallFSError AUTHENTICATION_FAILED
   */
  authenticate(authorization: string | undefined): User {
    const user = this.#usersByDigest.get(digest(bearerToken(authorization) ?? ''));
    if (user) return user;
    throw new CallFSError('AUTHENTICATION_FAILED', 'Send a valid API key as "Authorization: Bearer <key>".', {
      headers: { 'www-authenticate': 'Bearer' },
    });
  }
}

/** RFC 6750 section 2.1; the scheme is case-insensitive (RFC 9110 section 11.1). */
function bearerToken(authorization: string | undefined): string | undefined {
  return authorization === undefined ? undefined : /^bearer +([^\s]+) *$/i.exec(authorization)?.[1];
}

const digest = (key: string): string => hash('sha256', key, 'base64');

const unnamedUser = (key: string): string => UNNAMED_USER_PREFIX + hash('sha256', key, 'hex').slice(0, 12);

function toUser(name: string, settings: UserSettings | undefined): User {
  return {
    name,
    uid: settings?.uid ?? DEFAULT_ID,
    gid: settings?.gid ?? DEFAULT_ID,
    groups: settings?.groups ?? [],
    admin: settings?.admin ?? false,
  };
}
