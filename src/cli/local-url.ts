/** Where the instance of a configuration is reached from its own host. */
import { speaksTls } from '../compose/certificate-files.ts';
import type { Config } from '../config/config.ts';
import { parseListenAddress } from '../config/listen-address.ts';

/** @returns undefined: only the instance knows its port */
export function findLocalUrl(config: Config): string | undefined {
  const { host, port } = parseListenAddress(config.server.listen_addr);
  if (port === 0) return undefined;
  const scheme = speaksTls(config) ? 'https' : 'http';
  if (host === undefined || host === '0.0.0.0') return `${scheme}://127.0.0.1:${port}`;
  if (host === '::') return `${scheme}://[::1]:${port}`;
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
