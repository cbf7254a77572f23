/** Who sent a request: a client, by its key, perhaps through a peer, by the peer's signature. */
import type { FastifyRequest } from 'fastify';
import { PEER_HEADER, PEER_REFUSED_HEADER } from '../cluster/peer-signature.ts';
import { CallFSError } from '../core/errors.ts';
import type { User } from '../core/permissions.ts';
import type { HttpServices } from './http-services.ts';
import { targetOf } from './request-state.ts';

/**
 * Authenticates the client, also behind a peer: the peer's word is not enough.
 * @throws CallFSError AUTHENTICATION_FAILED
 */
export function authenticate({ authenticator, signer }: HttpServices, request: FastifyRequest): User {
  const { state, headers } = request;
  const signed = headers[PEER_HEADER];
  if (signed !== undefined) {
    state.peer = verifyPeer(signer, request, String(signed));
    state.requestId = String(headers['x-request-id'] ?? state.requestId);
  }
  const user = authenticator.authenticate(headers.authorization);
  state.user = user.name;
  return user;
}

/** The peer that sent the request. @throws CallFSError AUTHENTICATION_FAILED, with the reason for the peer */
export function verifyPeer(signer: HttpServices['signer'], request: FastifyRequest, header: string): string {
  const verdict = signer.verify({ method: request.method, target: targetOf(request) }, header);
  if (verdict.kind === 'peer') return verdict.instanceId;
  request.state.cause = `peer signature refused: ${verdict.reason}`;
  throw new CallFSError('AUTHENTICATION_FAILED', 'The signature of the forwarding instance is not valid.', {
    headers: { [PEER_REFUSED_HEADER]: verdict.reason, 'www-authenticate': 'Bearer' },
  });
}
