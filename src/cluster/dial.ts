/** Opens connections to peers, with a deadline that holds to the millisecond. */
import * as net from 'node:net';
import * as tls from 'node:tls';

export interface DialOptions {
  readonly connectTimeoutMs: number;
  /** Which authorities peers' certificates may come from and what is shown to peers, as of now. */
  readonly secureContext: () => tls.SecureContext;
  readonly skipTlsVerify: boolean;
}

/** A connection that could not be opened before its deadline. */
export class ConnectTimeout extends Error {
  readonly code = 'ETIMEDOUT';
}

export function dial(
  endpoint: URL,
  options: DialOptions,
  done: (error: Error | null, socket?: net.Socket) => void,
): void {
  const secure = endpoint.protocol === 'https:';
  const host = endpoint.hostname.replace(/^\[|\]$/g, '');
  const port = Number(endpoint.port || (secure ? 443 : 80));
  const socket = secure ? dialTls(host, port, options) : net.connect({ host, port, noDelay: true, keepAlive: true });
  const timer = setTimeout(() => socket.destroy(new ConnectTimeout('connect timeout')), options.connectTimeoutMs);
  const settle = (error: Error | null): void => {
    clearTimeout(timer);
    socket.off('error', settle).off(secure ? 'secureConnect' : 'connect', connected);
    if (error) done(error);
    else done(null, socket);
  };
  const connected = (): void => settle(null);
  socket.on('error', settle).on(secure ? 'secureConnect' : 'connect', connected);
}

function dialTls(host: string, port: number, { secureContext, skipTlsVerify }: DialOptions): net.Socket {
  const socket = tls.connect({
    host,
    port,
    secureContext: secureContext(),
    servername: net.isIP(host) ? '' : host,
    rejectUnauthorized: !skipTlsVerify,
    ALPNProtocols: ['http/1.1'],
  });
  return socket.setNoDelay(true).setKeepAlive(true);
}
