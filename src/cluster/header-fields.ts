/** Which header fields go on to the next hop: end-to-end ones only (RFC 9110 section 7.6.1). */
import type { HeaderFields } from './exchange.ts';
import { PEER_HEADER, PEER_REFUSED_HEADER } from './peer-signature.ts';

const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  // Each hop has its own host, and decides by itself when to ask for a body and how it is framed.
  'host',
  'expect',
  'content-length',
  // Only this instance may speak as a peer.
  PEER_HEADER,
  PEER_REFUSED_HEADER,
]);

/** The fields of a client's request that the owner shall see. */
export function endToEndRequestFields(
  headers: Readonly<Record<string, string | string[] | undefined>>,
): Record<string, string | string[]> {
  return endToEnd(headers, HOP_BY_HOP);
}

const ANSWER_HOP_BY_HOP = new Set([...HOP_BY_HOP].filter((name) => name !== 'content-length'));

/** The fields of the owner's answer that the client shall see. */
export function endToEndAnswerFields(headers: HeaderFields): Record<string, string | string[]> {
  return endToEnd(headers as Record<string, string | string[]>, ANSWER_HOP_BY_HOP);
}

function endToEnd(
  headers: Readonly<Record<string, string | string[] | undefined>>,
  dropped: ReadonlySet<string>,
): Record<string, string | string[]> {
  const named = connectionOptions(headers.connection);
  const kept: Record<string, string | string[]> = {};
  for (const name in headers) {
    const value = headers[name];
    if (value !== undefined && !dropped.has(name) && !named?.has(name)) kept[name] = value;
  }
  return kept;
}

/** Fields that the sender names as meant for this hop only. */
function connectionOptions(connection: string | string[] | undefined): ReadonlySet<string> | undefined {
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return undefined;
  return new Set(
    String(connection)
      .toLowerCase()
      .split(/[,\s]+/),
  );
}
