/** TLS of an instance: towards those who connect to it, and towards the peers that it connects to. */
import { X509Certificate } from 'node:crypto';
import type { Server } from 'node:http';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { Config } from '../config/config.ts';
import { renewCertificates, type ServerCertificates } from '../http/secure-server.ts';
import type { Logger } from '../observability/logger.ts';
import { type Certificates, systemAuthorities } from './certificate-files.ts';
import { CertificateWatch } from './certificate-watch.ts';

export interface InstanceTls {
  /** Undefined: no TLS for those who connect. */
  readonly server: ServerCertificates | undefined;
  /** For connections to peers, as of now. */
  readonly peerContext: () => SecureContext;
  /** From now on the server gets new certificates when the files change. */
  readonly keepFresh: (server: Server) => void;
}

const DAY_MS = 86_400_000;
const WARN_BEFORE_MS = 14 * DAY_MS;

/** @throws Error with one line for the operator */
export async function openTls(config: Config, log: Logger, started: AsyncDisposableStack): Promise<InstanceTls> {
  let listening: Server | undefined;
  let peers: SecureContext | undefined;
  const onRenewed = (fresh: Certificates): void => {
    const server = serverCertificates(fresh);
    if (listening && server) renewCertificates(listening, server);
    peers = peerContext(fresh);
    certificates = fresh;
    warnOfExpiry(fresh, log);
  };
  const { watch, certificates: first } = await CertificateWatch.start({ config, log, onRenewed });
  let certificates = first;
  started.use(watch);
  warnOfExpiry(first, log);
  if (config.backend.internal_proxy_skip_tls_verify) {
    log.warn('backend.internal_proxy_skip_tls_verify is on: whoever is between the instances can read and change all');
  }
  return {
    server: serverCertificates(first),
    // Not before there is a peer with TLS: the system's authorities take a moment to load.
    peerContext: () => {
      peers ??= peerContext(certificates);
      return peers;
    },
    keepFresh: (server) => {
      listening = server;
    },
  };
}

/** Peers have to show a certificate when this instance has one for them and knows whose to believe. */
function serverCertificates({ server, cluster, ca }: Certificates): ServerCertificates | undefined {
  return server && { ...server, peerCa: cluster && ca };
}

function peerContext({ cluster, ca }: Certificates): SecureContext {
  return createSecureContext({ ...cluster, ca: ca ?? systemAuthorities(), minVersion: 'TLSv1.2' });
}

function warnOfExpiry({ server, cluster }: Certificates, log: Logger): void {
  for (const [key, pair] of Object.entries({ 'server.cert_file': server, 'cluster.cert_file': cluster })) {
    if (!pair) continue;
    const { validToDate, validTo } = new X509Certificate(pair.cert);
    const leftMs = validToDate.getTime() - Date.now();
    if (leftMs > WARN_BEFORE_MS) continue;
    const text = leftMs > 0 ? 'expires soon' : 'has expired, and clients and peers will refuse it';
    log.warn({ valid_to: validTo }, `the certificate in ${key} ${text}`);
  }
}
