/** Reads the connection string of PostgreSQL: its servers are this project's matter, everything else the protocol's. */

export interface PostgresAddress {
  /** A name, an IP address, or the folder of a Unix socket. */
  readonly host: string;
  readonly port: number;
}

export interface PostgresDsn {
  /** In the order in which they were given; at least one. */
  readonly addresses: readonly PostgresAddress[];
  /** The same connection string with a stand-in for the servers. */
  readonly rest: string;
}

const DEFAULT_PORT = 5432;
/** All mean the same here: the namespace is of use only where it can be written. */
const ACCEPTED_ATTRIBUTES: readonly (string | null)[] = [null, 'any', 'read-write', 'primary'];

/**
 * `postgres://user:password@host1:5432,[::1]:5433/database?target_session_attrs=read-write`; servers may also be given
 * as `?host=/run/postgresql&port=5432`.
 * @throws Error that says what is wrong, without the password
 */
export function parsePostgresDsn(dsn: string): PostgresDsn {
  const [, scheme, authority, path] = /^(postgres(?:ql)?:\/\/)([^/?]*)(.*)$/s.exec(dsn) ?? [];
  if (scheme === undefined || authority === undefined) throw new Error('it must begin with postgres://');
  const userEnd = authority.lastIndexOf('@') + 1;
  const rest = URL.parse(`${scheme}${authority.slice(0, userEnd)}localhost${path}`);
  // Node.js's own error would carry the password along.
  if (!rest) throw new Error('it is no URL');
  const attributes = take(rest, 'target_session_attrs');
  if (!ACCEPTED_ATTRIBUTES.includes(attributes)) {
    throw new Error(`target_session_attrs=${attributes} is of no use here: the servers must accept writes`);
  }
  const hosts = take(rest, 'host') ?? decodeURIComponent(authority.slice(userEnd));
  const ports = (take(rest, 'port') ?? '').split(',');
  const addresses = hosts.split(',').map((text, at) => parseAddress(text, ports[at] || ports[0] || ''));
  return { addresses, rest: rest.href };
}

function take(url: URL, name: string): string | null {
  const value = url.searchParams.get(name);
  // Even an unchanged query would be spelled anew by deleting from it.
  if (value !== null) url.searchParams.delete(name);
  return value;
}

function parseAddress(text: string, otherPort: string): PostgresAddress {
  const [, bracketed, plain, ownPort] = /^(?:\[([^\]]+)\]|([^[\]:]*))(?::(\d+))?$/.exec(text) ?? [];
  const port = Number(ownPort ?? (otherPort || DEFAULT_PORT));
  const host = bracketed ?? plain;
  if (host === undefined || !Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new Error(`"${text}" is no server; write host:port, and brackets around an IPv6 address`);
  }
  return { host: host || 'localhost', port };
}
