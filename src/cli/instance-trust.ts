/** Whom commands believe, over TLS, to be an instance of the cluster. */
import { readFile } from 'node:fs/promises';
import type { ConnectionOptions } from 'node:tls';
import { speaksTls, systemAuthorities } from '../compose/certificate-files.ts';
import type { Config } from '../config/config.ts';

/** Any instance, at the address that the cluster has of it: by the host's authorities and by `cluster.ca_file`. */
export async function clusterTrust({ backend, cluster }: Config): Promise<ConnectionOptions> {
  if (backend.internal_proxy_skip_tls_verify) return { rejectUnauthorized: false };
  const own = cluster.ca_file === '' ? [] : [await readFile(cluster.ca_file, 'utf8')];
  return { ca: [...systemAuthorities(), ...own] };
}

/**
 * The instance of this configuration, on this host: who has the key of its very certificate. That need not name the
 * address at which the instance listens, nor come from an authority that this host knows.
 */
export async function ownTrust(config: Config): Promise<ConnectionOptions> {
  if (!speaksTls(config)) return {};
  const ca = await readFile(config.server.cert_file, 'utf8');
  return { ca, allowPartialTrustChain: true, checkServerIdentity: () => undefined };
}
