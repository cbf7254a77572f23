/** Why no TLS connection to a peer came about, in words for the operator, by the code of Node.js or OpenSSL. */

const WORDS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'certificate has expired',
  CERT_NOT_YET_VALID: 'certificate is not yet valid',
  CERT_REVOKED: 'certificate is revoked',
  CERT_UNTRUSTED: 'certificate is not trusted',
  ERR_TLS_CERT_ALTNAME_INVALID: 'certificate is for another host name',
  INVALID_PURPOSE: 'certificate is not made for this purpose',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'certificate is self-signed and not trusted',
  SELF_SIGNED_CERT_IN_CHAIN: 'certificate is from an authority that is not trusted',
  UNABLE_TO_GET_ISSUER_CERT: 'certificate is from an authority that is not trusted',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'certificate is from an authority that is not trusted',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'certificate is from an authority that is not trusted',
  CERT_SIGNATURE_FAILURE: 'certificate is from an authority that is not trusted',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'it does not speak TLS',
  EPROTO: 'TLS failure',
};

/** Undefined: the code has nothing to do with TLS. */
export function tlsProblem(code: string): string | undefined {
  return WORDS[code] ?? (/CERT|^ERR_(SSL|TLS)_/.test(code) ? 'TLS failure' : undefined);
}
