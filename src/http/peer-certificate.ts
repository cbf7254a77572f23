/** The certificate that peers show beside their signature, where the operator has set up authorities for both sides. */
import type { TLSSocket } from 'node:tls';
import type { FastifyRequest } from 'fastify';
import { CERTIFICATE, PEER_HEADER, PEER_REFUSED_HEADER } from '../cluster/peer-signature.ts';
import { CallFSError } from '../core/errors.ts';
import { targetOf } from './request-state.ts';
import { INTERNAL, pathOfTarget } from './request-target.ts';

/** AUTHENTICATION_FAILED, with the reason for the peer, unless who speaks as one has a certificate of the cluster's authority. */
export function findCertificateProblem(request: FastifyRequest): CallFSError | undefined {
  if (!speaksAsPeer(request)) return undefined;
  const socket = request.raw.socket as TLSSocket;
  if (socket.authorized) return undefined;
  const isShown = Object.keys(socket.getPeerCertificate()).length > 0;
  const reason = isShown ? `${CERTIFICATE}${socket.authorizationError}` : 'no-certificate';
  request.state.cause = `peer refused: ${reason}`;
  return new CallFSError('AUTHENTICATION_FAILED', 'The forwarding instance has no valid client certificate.', {
    headers: { [PEER_REFUSED_HEADER]: reason, 'www-authenticate': 'Bearer' },
  });
}

function speaksAsPeer(request: FastifyRequest): boolean {
  return request.headers[PEER_HEADER] !== undefined || pathOfTarget(targetOf(request)).startsWith(`${INTERNAL}/`);
}
