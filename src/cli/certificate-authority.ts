/** A certificate authority for development and for a cluster of its own: ECDSA P-256, everything RFC 5280 asks for. */
import 'reflect-metadata';
import { createPrivateKey, type webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';

/** PEM texts. */
export interface IssuedPair {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateRequest {
  /** Common name. */
  readonly name: string;
  /** Host names and IP addresses that the certificate is for. */
  readonly hosts: readonly string[];
  /** From now on; never longer than the authority's own. */
  readonly validDays: number;
}

const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' };
const SIGNING_ALGORITHM = { name: 'ECDSA', hash: 'SHA-256' };
const AUTHORITY_DAYS = 3650;
const DAY_MS = 86_400_000;
/** Other hosts' clocks may be behind. */
const SKEW_MS = 3_600_000;

export class CertificateAuthority {
  readonly #certificate: X509Certificate;
  readonly #signingKey: webcrypto.CryptoKey;
  readonly pair: IssuedPair;

  private constructor(certificate: X509Certificate, signingKey: webcrypto.CryptoKey, pair: IssuedPair) {
    this.#certificate = certificate;
    this.#signingKey = signingKey;
    this.pair = pair;
  }

  static async create(name: string): Promise<CertificateAuthority> {
    const keys = await newKeys();
    const certificate = await X509CertificateGenerator.createSelfSigned({
      name: [{ CN: [name] }],
      ...validity(AUTHORITY_DAYS),
      keys,
      signingAlgorithm: SIGNING_ALGORITHM,
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        await SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    const pair = { cert: pemOf(certificate), key: await pemOfKey(keys.privateKey) };
    return new CertificateAuthority(certificate, keys.privateKey, pair);
  }

  /** @throws Error when they are not what `create` made once */
  static async load({ cert, key }: IssuedPair): Promise<CertificateAuthority> {
    const certificate = new X509Certificate(cert);
    const { asymmetricKeyType: type, asymmetricKeyDetails: details } = createPrivateKey(key);
    if (type !== 'ec' || details?.namedCurve !== 'prime256v1') throw new Error('the key is not an ECDSA P-256 key');
    if (!certificate.getExtension(BasicConstraintsExtension)?.ca) throw new Error('it is not an authority');
    const der = PemConverter.decodeFirst(key);
    const signingKey = await crypto.subtle.importKey('pkcs8', der, KEY_ALGORITHM, false, ['sign']);
    return new CertificateAuthority(certificate, signingKey, { cert, key });
  }

  /** For servers and clients at once: an instance is both. */
  async issue({ name, hosts, validDays }: CertificateRequest): Promise<IssuedPair> {
    const keys = await newKeys();
    const { notBefore, notAfter } = validity(validDays);
    const ends = this.#certificate.notAfter;
    const names = hosts.map((value) => ({ type: isIP(value) ? ('ip' as const) : ('dns' as const), value }));
    const certificate = await X509CertificateGenerator.create({
      subject: [{ CN: [name] }],
      issuer: this.#certificate.subject,
      notBefore,
      notAfter: notAfter > ends ? ends : notAfter,
      publicKey: keys.publicKey,
      signingKey: this.#signingKey,
      signingAlgorithm: SIGNING_ALGORITHM,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
        new SubjectAlternativeNameExtension(names),
        await SubjectKeyIdentifierExtension.create(keys.publicKey),
        await AuthorityKeyIdentifierExtension.create(this.#certificate.publicKey),
      ],
    });
    return { cert: pemOf(certificate), key: await pemOfKey(keys.privateKey) };
  }
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return crypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);
}

function validity(days: number): { readonly notBefore: Date; readonly notAfter: Date } {
  const now = Date.now();
  return { notBefore: new Date(now - SKEW_MS), notAfter: new Date(now + days * DAY_MS) };
}

function pemOf(certificate: X509Certificate): string {
  return `${certificate.toString('pem')}\n`;
}

async function pemOfKey(key: webcrypto.CryptoKey): Promise<string> {
  return `${PemConverter.encode(await crypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`;
}
