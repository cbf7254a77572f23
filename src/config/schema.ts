/**
 * Every key of the configuration: its section, how its value is read, its default and its description, from which
 * `docs/configuration.md` is generated. Rules that concern more than one key are in `checks.ts`.
 */
import * as z from 'zod';
import { parseBaseUrl } from './base-url.ts';
import { parseBucketName, parseBucketPrefix, parseServerSideEncryption } from './bucket.ts';
import { parseListenAddress } from './listen-address.ts';
import { parseGroupName, parseInstanceId, parseUserName } from './names.ts';
import { parseOrigin } from './origin.ts';
import { parsePatternText } from './path-pattern-text.ts';
import {
  age,
  boolean,
  choice,
  choiceEntry,
  dsn,
  duration,
  integer,
  list,
  map,
  optionalBoolean,
  optionalSize,
  path,
  rules,
  secret,
  secretEntry,
  secretList,
  size,
  text,
  textEntry,
} from './schema-key.ts';
import { parseApiKey, parseSecret } from './secret.ts';

/** The largest id that means a user or group; the one above it means "no id" to the operating system. */
const MAX_ID = 4_294_967_294;

const listenAddress = (value: string): string => {
  parseListenAddress(value);
  return value;
};

const server = z.strictObject({
  listen_addr: text(
    ':8443',
    'Where clients and peers connect: `host:port`, `:port` for every address of the machine, `[::1]:8443` for IPv6. Port 0 lets the system choose.',
    listenAddress,
  ),
  protocol: choice(
    ['auto', 'http', 'https'],
    'auto',
    '`http`, `https`, or `auto`: TLS when a certificate is configured.',
  ),
  external_url: text(
    '',
    'The URL under which clients reach this instance, used in links and in `update_url`; empty: taken from the request or `server.listen_addr`.',
    parseBaseUrl,
  ),
  cert_file: path(
    '',
    'TLS certificate chain (PEM). Needs `server.key_file`. Both files are read again when they change.',
  ),
  key_file: path('', 'Private key (PEM, not encrypted) of `server.cert_file`.'),
  workers: integer({ min: 1, max: 1024 }, 1, 'How many processes share the work of this instance.'),
  max_upload_size: size(
    0,
    'The largest upload that is accepted: bytes, or a text such as `10MiB` or `1GB`. Larger ones are answered 413. 0: no limit.',
  ),
  idle_timeout: duration(
    '60s',
    'A connection or transfer that moves nothing for this long is closed. One that moves is never cut; only the header fields of a request must be complete within this time, and within 60 s.',
  ),
  cors_origins: list(
    'Web pages of these origins may read answers: `https://app.example.com`, or `*` for all pages. Empty: none may.',
    parseOrigin,
  ),
  durability: choice(
    ['full', 'relaxed'],
    'full',
    '`full`: an answered write survives a crash and a power loss. `relaxed`: it survives a crash of CallFS, but the last moments may be lost with the power.',
  ),
});

const user = z.strictObject({
  uid: integer({ min: 0, max: MAX_ID }, 1000, 'Numeric user id shown on what the user creates.'),
  gid: integer({ min: 0, max: MAX_ID }, 1000, 'Numeric group id shown on what the user creates.'),
  groups: list('The groups of the user; the first is the group of what the user creates.', parseGroupName),
  admin: boolean(false, 'Whether the permission checks let this user do everything.'),
});

const auth = z.strictObject({
  api_keys: secretList(
    'API keys without a user name; each gets a name that depends on the key. `auth.api_key_users` is the better way.',
    parseApiKey,
  ),
  api_key_users: map(
    parseUserName,
    secretEntry('The API key of the user with this name.', parseApiKey),
    'API keys by user name. The server needs at least one key, here or in `auth.api_keys`.',
  ),
  users: map(
    parseUserName,
    user,
    'Ids, groups and rights of users, by user name. A user who is not listed here has the defaults; one without a key is kept for later.',
  ),
  internal_proxy_secret: secret(
    'Shared by all instances: they sign the requests that they forward to each other with it. Needed as soon as there are peers.',
    parseSecret,
  ),
  single_use_link_secret: secret(
    'Shared by all instances: single-use links are stored under digests that are keyed with it. Changing it ends all links.',
    parseSecret,
  ),
});

const handlers = z.strictObject({
  enable_cross_server_support: optionalBoolean(
    'Whether requests for entries of other instances are forwarded to them. Not set: yes when peers are configured. `false`: such requests are answered 421 with the URL of the owner.',
  ),
});

const instanceDiscovery = z.strictObject({
  instance_id: text(
    'callfs-instance-1',
    'The name of this instance, unique in the cluster and never changed later: 1 to 64 letters, digits and `.` `_` `-`.',
    parseInstanceId,
  ),
  peer_endpoints: map(
    parseInstanceId,
    textEntry('The http(s) URL under which this instance reaches the instance with this id.', parseBaseUrl),
    'The other instances: URLs by instance id. This instance may be listed too, so that all hosts can share one map.',
  ),
});

const backend = z.strictObject({
  default_backend: choice(['localfs', 's3'], 'localfs', 'Where new files of this instance go: `localfs` or `s3`.'),
  localfs_root_path: path(
    './data',
    "The folder that holds the files of the `localfs` backend, and the instance's own data whatever the backend of its files.",
  ),
  s3_endpoint: text('', 'URL of the S3 service; empty: AWS.', parseBaseUrl),
  s3_bucket_name: text('', 'Bucket that holds the files of the `s3` backend; empty: there is none.', parseBucketName),
  s3_region: text('us-east-1', 'Region of the bucket.'),
  s3_access_key: secret('Access key id; empty, with an empty secret: taken from where AWS tools look for credentials.'),
  s3_secret_key: secret('Secret access key of `backend.s3_access_key`.'),
  s3_server_side_encryption: text(
    '',
    'Encryption that S3 is asked for: `AES256`, `aws:kms`, or empty: what the bucket does by itself.',
    parseServerSideEncryption,
  ),
  s3_acl: text('', 'Canned ACL of new objects, e.g. `private`; empty: that of the bucket.'),
  s3_kms_key_id: text('', 'KMS key for `aws:kms` encryption; empty: the one of S3.'),
  s3_prefix: text(
    '',
    'The folder of the bucket that all objects are in, e.g. `team/files/`; empty: the whole bucket.',
    parseBucketPrefix,
  ),
  internal_proxy_skip_tls_verify: boolean(
    false,
    'Accept any TLS certificate of a peer. For tests only: it lets anybody in between read and change what is forwarded.',
  ),
});

const metadataStore = z.strictObject({
  type: choice(
    ['sqlite', 'postgres'],
    'sqlite',
    'The database that holds the namespace: `sqlite` for instances on one host, `postgres` across hosts.',
  ),
  sqlite_path: path('./callfs.sqlite3', 'The SQLite file. Instances that share a namespace share this file.'),
  dsn: dsn('Connection string of PostgreSQL, e.g. `postgres://callfs@db:5432/callfs`.'),
});

const tieringRule = z.strictObject({
  match: textEntry(
    'Which paths: `*` any part of a name, `?` one character, `**` any number of directories, `{a,b}` one of these; `\\` before a character takes its meaning. Everything else is itself, also `[` and a dot at the start of a name.',
    parsePatternText,
  ),
  older_than: age('0s', 'Only files whose content has not changed for so long, e.g. `30d`, `12h`, `2w`.'),
  larger_than: optionalSize('Only files of more than so many bytes; not set: of any size.'),
  to: choiceEntry(['localfs', 's3'], 'The backend of this instance where they belong: `localfs` or `s3`.'),
});

const tieringRounds = z.strictObject({
  every: duration(
    '1h',
    'How long after one round the next begins; the first begins within a tenth of it after the start.',
  ),
  rate: size(0, 'Bytes per second on average, e.g. `50MB`; one file is copied as fast as it goes. 0: no limit.'),
  parallel: integer({ min: 1, max: 64 }, 2, 'How many files are on their way at the same time.'),
});

const cluster = z.strictObject({
  connect_timeout: duration('2s', 'How long to wait for a connection to a peer.'),
  response_timeout: duration('30s', 'How long to wait for a peer to begin its answer once it has the request.'),
  idle_timeout: duration('60s', 'A forwarded transfer that moves nothing for this long is given up.'),
  max_connections_per_peer: integer({ min: 1, max: 65_535 }, 64, 'How many requests run at a peer at the same time.'),
  ca_file: path(
    '',
    'Certificate authority (PEM) that the certificates of peers are checked against; empty: those of the system. With `cluster.cert_file` on a TLS server, peers must show a certificate of it, too.',
  ),
  cert_file: path(
    '',
    'Certificate (PEM) that this instance shows to peers. Needs `cluster.key_file`. These files are read again when they change, too.',
  ),
  key_file: path('', 'Private key (PEM, not encrypted) of `cluster.cert_file`.'),
});

const metrics = z.strictObject({
  listen_addr: text(
    '',
    'A second address, for `GET /metrics` without a key; empty: metrics are only on the main address, with a key.',
    listenAddress,
  ),
});

const log = z.strictObject({
  level: choice(
    ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
    'info',
    'The least severe messages that are written: `trace`, `debug`, `info`, `warn`, `error`, `fatal` or `silent`.',
  ),
  format: choice(['json'], 'json', '`json`: one JSON object a line.'),
});

/** Reads a whole configuration; sections and keys that are missing get their defaults, unknown ones are refused. */
export const configSchema = z.strictObject({
  server: server.prefault({}).describe('How this instance is reached and how it writes.'),
  auth: auth.prefault({}).describe('Who may use it. Keys and secrets belong in the environment rather than in a file.'),
  handlers: handlers.prefault({}).describe('How requests are treated.'),
  instance_discovery: instanceDiscovery.prefault({}).describe('Who this instance is and where the others are.'),
  backend: backend.prefault({}).describe('Where the bytes of files lie.'),
  tiering: rules(
    tieringRule,
    'Which of its files this instance keeps in which of its backends, as a list; the first rule whose `match` fits a path decides. Files that belong elsewhere are moved there in the background.',
  ),
  tiering_rounds: tieringRounds.prefault({}).describe('When and how fast `tiering` is carried out.'),
  metadata_store: metadataStore
    .prefault({})
    .describe('Where the namespace lies: names, owners, permissions and who holds which file.'),
  cluster: cluster.prefault({}).describe('How this instance talks to its peers.'),
  metrics: metrics.prefault({}).describe('Figures for Prometheus.'),
  log: log.prefault({}).describe('What is logged.'),
});
