/** Certificates and keys from the files that the configuration names, checked so that what is wrong is told on one line. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext, getCACertificates } from 'node:tls';
import type { Config } from '../config/config.ts';
import { systemErrorCode } from '../core/errors.ts';

/** PEM texts. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** What the files say; undefined: not configured. */
export interface Certificates {
  /** For clients, and peers that connect to this instance. */
  readonly server: KeyPair | undefined;
  /** What this instance shows to peers that it connects to. */
  readonly cluster: KeyPair | undefined;
  /** The authorities that peers' certificates come from. */
  readonly ca: string | undefined;
}

/** `auto` means TLS when there is a certificate. */
export function speaksTls({ server: { protocol, cert_file } }: Config): boolean {
  return protocol !== 'http' && cert_file !== '';
}

/** Those that are configured and used. */
export function certificateFiles(config: Config): readonly string[] {
  const { server, cluster } = config;
  const ofServer = speaksTls(config) ? [server.cert_file, server.key_file] : [];
  return [...ofServer, cluster.cert_file, cluster.key_file, cluster.ca_file].filter((file) => file !== '');
}

/** @throws Error with one line for the operator, which names the key, the file and the problem */
export async function readCertificates(config: Config): Promise<Certificates> {
  const { cluster } = config;
  return {
    server: speaksTls(config) ? await readPair(config, 'server') : undefined,
    cluster: cluster.cert_file === '' ? undefined : await readPair(config, 'cluster'),
    ca: cluster.ca_file === '' ? undefined : await readAuthorities(cluster.ca_file),
  };
}

/** What is trusted without a word of the operator: what Node.js comes with and what the host has. PEM, each once. */
export function systemAuthorities(): string[] {
  return [...new Set([...getCACertificates('default'), ...getCACertificates('system')])];
}

async function readPair(config: Config, section: 'server' | 'cluster'): Promise<KeyPair> {
  const { cert_file: certFile, key_file: keyFile } = config[section];
  const problem = (key: string, file: string, what: string): Error => new Error(`${section}.${key}: ${file} ${what}.`);
  const cert = await readText(`${section}.cert_file`, certFile);
  const key = await readText(`${section}.key_file`, keyFile);
  const certificate = parseOr(() => new X509Certificate(cert));
  if (!certificate) throw problem('cert_file', certFile, 'holds no certificate in PEM form');
  const privateKey = parseOr(() => createPrivateKey(key));
  if (!privateKey) throw problem('key_file', keyFile, keyProblem(key, keyFile));
  if (!certificate.checkPrivateKey(privateKey)) {
    throw problem('key_file', keyFile, `does not belong to the certificate in ${certFile}`);
  }
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    throw problem('cert_file', certFile, `cannot be used: ${error instanceof Error ? error.message : error}`);
  }
  return { cert, key };
}

function keyProblem(key: string, file: string): string {
  return /ENCRYPTED/.test(key)
    ? `is encrypted, and nobody could type its password at a start; decrypt it with: openssl pkey -in ${file} -out FILE`
    : 'holds no private key in PEM form';
}

async function readAuthorities(file: string): Promise<string> {
  const text = await readText('cluster.ca_file', file);
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length > 0 && blocks.every((block) => parseOr(() => new X509Certificate(block)))) return text;
  throw new Error(`cluster.ca_file: ${file} holds no certificate in PEM form.`);
}

async function readText(key: string, file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const code = systemErrorCode(error);
    const known = { ENOENT: 'does not exist', EACCES: 'may not be read', EISDIR: 'is a folder' }[code ?? ''];
    throw new Error(`${key}: ${file} ${known ?? `cannot be read (${code})`}.`, { cause: error });
  }
}

function parseOr<T extends X509Certificate | KeyObject>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch {
    return undefined;
  }
}
