/** The rules that concern more than one key of the configuration. */
import { findBrokenBucket } from './bucket.ts';
import type { Config } from './config.ts';
import { displayPath, type Problem } from './config-error.ts';
import { parseListenAddress } from './listen-address.ts';

/** Everything that does not fit together; empty when the configuration can be used. */
export function findContradictions(config: Config): readonly Problem[] {
  return [
    ...findMissingApiKey(config),
    ...findRepeatedSecrets(config),
    ...findMissingPeerSecret(config),
    ...findBrokenCertificates(config),
    ...findEmptyStorage(config),
    ...findBrokenBucket(config),
    ...findSharedAddress(config),
    ...findMissingTier(config),
  ];
}

function findMissingApiKey({ auth }: Config): readonly Problem[] {
  if (auth.api_keys.length > 0 || Object.keys(auth.api_key_users).length > 0) return [];
  const message =
    'an API key is needed; set CALLFS_AUTH__API_KEY_USERS__ALICE (for a user alice) in the environment ' +
    'or auth.api_key_users in a config file to a key made with: openssl rand -hex 24';
  return [{ path: ['auth', 'api_key_users'], message }];
}

function findRepeatedSecrets(config: Config): readonly Problem[] {
  const firstPathOf = new Map<string, readonly string[]>();
  const problems: Problem[] = [];
  for (const { path, value } of secretsOf(config)) {
    const first = firstPathOf.get(value);
    if (first === undefined) firstPathOf.set(value, path);
    else problems.push({ path, message: repetition(path, first) });
  }
  return problems;
}

function repetition(path: readonly string[], first: readonly string[]): string {
  const rule = path[1] === 'internal_proxy_secret' ? 'it must not be an API key' : 'all keys and secrets must differ';
  return `is the same as ${displayPath(first)}; ${rule}`;
}

function secretsOf({ auth }: Config): readonly { readonly path: readonly string[]; readonly value: string }[] {
  return [
    ...auth.api_keys.map((value, index) => ({ path: ['auth', 'api_keys', String(index)], value })),
    ...Object.entries(auth.api_key_users).map(([name, value]) => ({ path: ['auth', 'api_key_users', name], value })),
    { path: ['auth', 'internal_proxy_secret'], value: auth.internal_proxy_secret },
    { path: ['auth', 'single_use_link_secret'], value: auth.single_use_link_secret },
  ].filter(({ value }) => value !== '');
}

function findMissingPeerSecret({ auth, handlers, instance_discovery }: Config): readonly Problem[] {
  if (auth.internal_proxy_secret !== '') return [];
  const peers = Object.keys(instance_discovery.peer_endpoints).filter((id) => id !== instance_discovery.instance_id);
  const reason =
    peers.length > 0
      ? 'instance_discovery.peer_endpoints names peers'
      : handlers.enable_cross_server_support === true
        ? 'handlers.enable_cross_server_support is true'
        : undefined;
  if (reason === undefined) return [];
  return [{ path: ['auth', 'internal_proxy_secret'], message: `is needed because ${reason}` }];
}

function findBrokenCertificates(config: Config): readonly Problem[] {
  const halves = (['server', 'cluster'] as const).flatMap((section) => {
    const { cert_file, key_file } = config[section];
    if ((cert_file === '') === (key_file === '')) return [];
    const [given, missing] = cert_file === '' ? ['key_file', 'cert_file'] : ['cert_file', 'key_file'];
    return [{ path: [section, missing], message: `is needed because ${section}.${given} is set` }];
  });
  const { protocol, cert_file, key_file } = config.server;
  if (protocol !== 'https' || cert_file !== '' || key_file !== '') return halves;
  return [...halves, { path: ['server', 'protocol'], message: 'https needs server.cert_file and server.key_file' }];
}

function findEmptyStorage({ backend, metadata_store }: Config): readonly Problem[] {
  const problems: Problem[] = [];
  const need = (path: readonly string[], value: string, reason: string): void => {
    if (value === '') problems.push({ path, message: `is needed because ${reason}` });
  };
  const onDisk = backend.default_backend === 'localfs' ? 'files' : "uploads in pieces and the instance's own data";
  need(['backend', 'localfs_root_path'], backend.localfs_root_path, `${onDisk} are kept there`);
  if (metadata_store.type === 'sqlite') {
    need(['metadata_store', 'sqlite_path'], metadata_store.sqlite_path, 'metadata_store.type is sqlite');
  } else {
    need(['metadata_store', 'dsn'], metadata_store.dsn, 'metadata_store.type is postgres');
  }
  return problems;
}

function findSharedAddress({ metrics, server }: Config): readonly Problem[] {
  if (metrics.listen_addr === '') return [];
  const main = parseListenAddress(server.listen_addr);
  const second = parseListenAddress(metrics.listen_addr);
  if (main.port === 0 || main.port !== second.port || main.host !== second.host) return [];
  return [{ path: ['metrics', 'listen_addr'], message: 'must differ from server.listen_addr' }];
}

function findMissingTier({ backend, tiering }: Config): readonly Problem[] {
  if (backend.s3_bucket_name !== '') return [];
  return tiering.flatMap(({ to }, index) => {
    return to === 's3' ? [{ path: ['tiering', `${index}`, 'to'], message: 's3 needs backend.s3_bucket_name' }] : [];
  });
}
