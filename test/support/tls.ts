/** Certificates of test clusters, from the authority that `callfs cert` makes, and clients that know it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { Agent, setGlobalDispatcher } from 'undici';
import { CertificateAuthority, type IssuedPair } from '../../src/cli/certificate-authority.ts';

/** With `CALLFS_TEST_TLS=h1` or `h2` all clusters of a test file use TLS, and `call` speaks that version of HTTP. */
export const TLS_BY_DEFAULT = process.env.CALLFS_TEST_TLS !== undefined;

export type TlsKind = 'server' | 'mutual';

const HOSTS = ['127.0.0.1', 'localhost'];

export class TestPki {
  readonly folder: string;
  readonly authority: CertificateAuthority;
  readonly ca: string;

  private constructor(folder: string, authority: CertificateAuthority) {
    this.folder = folder;
    this.authority = authority;
    this.ca = authority.pair.cert;
  }

  /** From now on undici and curl, when they are run by this process, trust it, and no other. */
  static async create(folder: string): Promise<TestPki> {
    const pki = new TestPki(folder, await CertificateAuthority.create('test authority'));
    mkdirSync(folder, { recursive: true });
    writeFileSync(pki.path('ca.crt'), pki.ca);
    pki.trust();
    return pki;
  }

  trust(): void {
    process.env.CURL_CA_BUNDLE = this.path('ca.crt');
    setGlobalDispatcher(new Agent({ allowH2: process.env.CALLFS_TEST_TLS === 'h2', connect: { ca: this.ca } }));
  }

  path(file: string): string {
    return join(this.folder, file);
  }

  issue(name: string, hosts: readonly string[] = HOSTS, validDays = 30): Promise<IssuedPair> {
    return this.authority.issue({ name, hosts, validDays });
  }

  /** Writes `NAME.crt` and `NAME.key` in place of what was there. */
  write(name: string, { cert, key }: IssuedPair): void {
    writeFileSync(this.path(`${name}.crt`), cert);
    writeFileSync(this.path(`${name}.key`), key);
  }

  /** Sections for the configuration of an instance; `mutual`: peers show certificates, too. */
  async sectionsOf(id: string, kind: TlsKind): Promise<Record<string, object>> {
    this.write(id, await this.issue(id));
    const pair = { cert_file: this.path(`${id}.crt`), key_file: this.path(`${id}.key`) };
    return { server: pair, cluster: { ca_file: this.path('ca.crt'), ...(kind === 'mutual' ? pair : {}) } };
  }
}

/** A connection for HTTP/1.1 to an instance of a test, whoever signed its certificate. */
export function connectSecurely(url: string, options: { cert?: string; key?: string } = {}): TLSSocket {
  const { hostname: host, port } = new URL(url);
  return connect({ host, port: Number(port), rejectUnauthorized: false, ALPNProtocols: ['http/1.1'], ...options });
}
