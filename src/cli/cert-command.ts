/** `callfs cert`: certificates for the instances of a cluster, from an authority of its own. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { InvalidValue } from '../config/invalid-value.ts';
import { parseInstanceId } from '../config/names.ts';
import type { IssuedPair } from './certificate-authority.ts';

interface CertOptions {
  readonly out: string;
  readonly ca?: string;
  readonly host: readonly string[];
  readonly instance: readonly NamedInstance[];
  readonly days: number;
}

/** An instance and the host names of its own. */
interface NamedInstance {
  readonly id: string;
  readonly hosts: readonly string[];
}

const EXAMPLES = `
Examples:
  callfs cert --out certs                                        one certificate for localhost, to try TLS
  callfs cert --out certs --instance callfs-1=server1.lan --instance callfs-2=server2.lan,10.0.0.2
  callfs cert --out certs --ca certs --instance callfs-3=server3.lan
                                                                 one more instance, from the same authority

Writes ca.crt and ca.key, and for each instance ID.crt and ID.key. Files that exist are never overwritten: to renew a
certificate, write a new one into another folder with --ca and move its two files over the old ones; a running
instance uses them within seconds. Keys can be read only by you.

  ca.crt    clients and instances must have it: curl --cacert ca.crt, cluster.ca_file
  ca.key    whoever has it can pose as any instance: keep it away from the servers
  ID.crt, ID.key
            belong on that instance's host; for clients (server.cert_file, server.key_file) and for showing to peers
            (cluster.cert_file, cluster.key_file)

A certificate is valid for the names and addresses that it lists and for no others, so list all under which clients
and peers reach the instance. What an authority that clients know already gives you (Let's Encrypt, your company's)
is the better choice for server.cert_file; peers may use certificates from here all the same. docs/security.md says more.`;

const LOCAL_HOSTS = ['localhost', '127.0.0.1', '::1'];
const DEFAULT_INSTANCE = 'callfs-instance-1';
const DEFAULT_DAYS = 365;
const MAX_DAYS = 3650;
const HOST =
  /^(?=.{1,253}$)(\*\.)?[A-Za-z0-9]([A-Za-z0-9-]{0,62})?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,62})?)*\.?$|^[0-9A-Fa-f:.]+$/;

export function addCertCommand(program: Command): void {
  program
    .command('cert')
    .description('make certificates for TLS, from an authority of your own')
    .requiredOption('-o, --out <folder>', 'where to write the files; made if missing')
    .option('--ca <folder>', 'use the authority in this folder (ca.crt, ca.key) instead of making one')
    .option('--host <name>', 'a host name or IP address for every certificate; may be repeated', collectHost, [])
    .option(
      '--instance <id[=host,...]>',
      'make a certificate for this instance, with these names beside --host; may be repeated',
      collectInstance,
      [],
    )
    .option('--days <number>', 'how long certificates are valid', parseDays, DEFAULT_DAYS)
    .addHelpText('after', EXAMPLES)
    .action((options: CertOptions) => makeCertificates(options));
}

function collectHost(host: string, earlier: readonly string[]): readonly string[] {
  if (!HOST.test(host)) throw new InvalidArgumentError(`${host} is neither a host name nor an IP address.`);
  return [...earlier, host];
}

function collectInstance(text: string, earlier: readonly NamedInstance[]): readonly NamedInstance[] {
  const [id = '', names = ''] = text.split('=', 2);
  try {
    parseInstanceId(id);
  } catch (error) {
    if (error instanceof InvalidValue) throw new InvalidArgumentError(`${id}: ${error.message}.`);
    throw error;
  }
  if (id === 'ca') throw new InvalidArgumentError("ca is what the authority's own files are called.");
  const hosts = names.split(',').filter((name) => name !== '');
  return [...earlier, { id, hosts: hosts.reduce<readonly string[]>((list, host) => collectHost(host, list), []) }];
}

function parseDays(text: string): number {
  const days = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (days >= 1 && days <= MAX_DAYS) return days;
  throw new InvalidArgumentError(`must be a whole number from 1 to ${MAX_DAYS}.`);
}

async function makeCertificates({ out, ca, host, instance, days }: CertOptions): Promise<void> {
  const folder = resolve(out);
  const instances = instance.length > 0 ? instance : [{ id: DEFAULT_INSTANCE, hosts: [] }];
  const names = [...(ca === undefined ? ['ca'] : []), ...instances.map(({ id }) => id)];
  const taken = names.flatMap((name) => [`${name}.crt`, `${name}.key`]).find((file) => existsSync(join(folder, file)));
  if (taken !== undefined) {
    throw new Error(`${join(folder, taken)} exists; choose another folder, or use its authority with --ca.`);
  }
  const authority = await (ca === undefined ? newAuthority() : loadAuthority(resolve(ca)));
  const issued: [string, IssuedPair][] = ca === undefined ? [['ca', authority.pair]] : [];
  for (const { id, hosts } of instances) {
    const all = [...new Set([...host, ...hosts])];
    const request = { name: id, hosts: all.length > 0 ? all : LOCAL_HOSTS, validDays: days };
    issued.push([id, await authority.issue(request)]);
  }
  await mkdir(folder, { recursive: true });
  for (const [name, pair] of issued) await writePair(folder, name, pair);
  process.stdout.write(`${reportOf(folder, ca === undefined ? folder : resolve(ca), instances)}\n`);
}

/** Loaded only here: the other commands start faster without it. */
async function newAuthority() {
  const { CertificateAuthority } = await import('./certificate-authority.ts');
  return await CertificateAuthority.create(`CallFS authority of ${new Date().toISOString().slice(0, 19)}Z`);
}

async function loadAuthority(folder: string) {
  const { CertificateAuthority } = await import('./certificate-authority.ts');
  try {
    const [cert, key] = await Promise.all(['ca.crt', 'ca.key'].map((name) => readFile(join(folder, name), 'utf8')));
    return await CertificateAuthority.load({ cert: cert ?? '', key: key ?? '' });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${folder} has no authority (ca.crt, ca.key) that can be used: ${reason}.`, { cause: error });
  }
}

/** `wx`: what appeared meanwhile is not overwritten either. */
async function writePair(folder: string, name: string, { cert, key }: IssuedPair): Promise<void> {
  await writeFile(join(folder, `${name}.key`), key, { mode: 0o600, flag: 'wx' });
  await writeFile(join(folder, `${name}.crt`), cert, { mode: 0o644, flag: 'wx' });
}

function reportOf(folder: string, authority: string, instances: readonly NamedInstance[]): string {
  const ca = join(authority, 'ca.crt');
  const sections = instances.map(({ id }) => {
    const pair = `cert_file: ${join(folder, `${id}.crt`)}\n  key_file: ${join(folder, `${id}.key`)}`;
    return `# ${id}\nserver:\n  ${pair}\ncluster:\n  ca_file: ${ca}\n  ${pair}\n`;
  });
  return `# Made in ${folder}. For the configuration of each instance, with the paths on its host:

${sections.join('\n')}
# Then: curl --cacert ${ca} https://HOST:8443/health`;
}
