/** The address a server listens on: `host:port`, `:port` or `[ipv6]:port`. */
import { isIPv6 } from 'node:net';
import { InvalidValue } from './invalid-value.ts';

export interface ListenAddress {
  /** Without brackets; undefined listens on every address of the machine. */
  readonly host: string | undefined;
  /** 0 lets the system choose a free port. */
  readonly port: number;
}

const ADDRESS = /^(?:\[([^\]]+)\]|([A-Za-z0-9._-]*)):(\d{1,5})$/;

/** Throws InvalidValue when `text` is not an address to listen on. */
export function parseListenAddress(text: string): ListenAddress {
  const match = ADDRESS.exec(text);
  const ipv6 = match?.[1];
  if (match === null || (ipv6 !== undefined && !isIPv6(ipv6))) {
    throw new InvalidValue('must be an address such as :8443, 127.0.0.1:8443 or [::1]:8443');
  }
  const port = Number(match[3]);
  if (port > 65_535) throw new InvalidValue('must have a port from 0 to 65535');
  return { host: ipv6 ?? (match[2] || undefined), port };
}
