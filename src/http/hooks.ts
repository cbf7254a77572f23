/** What happens to every request and answer, whatever the route. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { PEER_HEADER } from '../cluster/peer-signature.ts';
import { type FaultPoint, faultPoint } from '../core/fault-point.ts';
import { findAmbiguity, isBehindAmbiguous } from './ambiguous-request.ts';
import { hasUnreadBody } from './client-upload.ts';
import type { HttpServices } from './http-services.ts';
import { endWithoutReset, lingerForBody, mayEndEarly } from './linger.ts';
import { findCertificateProblem } from './peer-certificate.ts';
import { newRequestState, targetOf } from './request-state.ts';
import { DOWNLOADS, pathOfTarget } from './request-target.ts';
import { securityHeaders } from './security-headers.ts';

export function addHooks(app: FastifyInstance, services: HttpServices): void {
  const headers = securityHeaders(services.certificates !== undefined);
  app.addHook('onRequest', (request, reply, done) => {
    request.state = newRequestState(request.id);
    if (isBehindAmbiguous(request.raw)) {
      reply.hijack();
      return;
    }
    changeFault('http:request', request);
    if (!reply.raw.shouldKeepAlive) endWithoutReset(request.raw);
    reply.headers(headers).header('x-request-id', request.id);
    // A peer must know that it reached an instance, and not whatever else answers at this address.
    if (request.headers[PEER_HEADER] !== undefined) reply.header(PEER_HEADER, services.engine.instanceId);
    const certificateProblem =
      services.certificates?.peerCa === undefined ? undefined : findCertificateProblem(request);
    done(findAmbiguity(request.raw) ?? certificateProblem);
  });
  app.addHook('onSend', (request, reply, payload, done) => {
    // A forwarded request keeps the id that the client's instance gave it.
    reply.header('x-request-id', request.state.requestId);
    if (mayEndEarly(request.raw)) {
      reply.header('connection', 'close');
      endWithoutReset(request.raw);
    }
    changeFault('http:before-answer', request);
    done(null, payload);
  });
  let stopping = false;
  app.addHook('preClose', (done) => {
    stopping = true;
    done();
  });
  app.addHook('onResponse', (request, reply, done) => {
    if (hasUnreadBody(request.raw)) lingerForBody(request.raw);
    // Its client was told that the connection stays open; the instance would wait for it.
    else if (stopping && request.raw.httpVersionMajor === 1) request.raw.socket.destroySoon();
    observe(services, request, reply);
    changeFault('http:answered', request);
    done();
  });
}

/** Peers and operators look all the time. */
function changeFault(point: FaultPoint, { method }: FastifyRequest): void {
  if (method !== 'GET' && method !== 'HEAD') faultPoint(point);
}

/** One log line and its figures, when a request is over. */
export function observe({ metrics, log }: HttpServices, request: FastifyRequest, reply: FastifyReply): void {
  const { state, method } = request;
  const durationMs = performance.now() - state.startedAt;
  const path = request.routeOptions.config.pattern ?? 'unknown';
  metrics.httpRequests.inc({ method, path, status_code: reply.raw.statusCode });
  metrics.httpDuration.observe({ method, path }, durationMs / 1000);
  if (!log.isLevelEnabled('info')) return;
  log.info({
    request_id: state.requestId,
    user: state.user,
    method,
    path: withoutToken(pathOfTarget(targetOf(request))),
    status: reply.raw.statusCode,
    bytes: state.bytes,
    duration_ms: Math.round(durationMs * 1000) / 1000,
    owner: state.owner,
    route: state.route,
    peer: state.peer,
    aborted: reply.raw.writableFinished || state.concluded ? undefined : true,
    cause: describeCause(state.cause),
  });
}

/** A download token is a secret while it lives. */
function withoutToken(path: string): string {
  return path.startsWith(`${DOWNLOADS}/`) ? `${DOWNLOADS}/{token}` : path;
}

function describeCause(cause: unknown): string | undefined {
  if (cause === undefined) return undefined;
  return cause instanceof Error ? cause.message : String(cause);
}
