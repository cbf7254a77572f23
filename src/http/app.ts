/** The HTTP server of an instance: routes, hooks and errors put together. */
import { METHODS } from 'node:http';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { PEER_HEADER } from '../cluster/peer-signature.ts';
import { CallFSError } from '../core/errors.ts';
import { verifyPeer } from './caller.ts';
import { holdContinue } from './client-upload.ts';
import { addHooks } from './hooks.ts';
import type { HttpServices } from './http-services.ts';
import { refuseMalformed } from './malformed-request.ts';
import { renderError } from './render-error.ts';
import { targetOf } from './request-state.ts';
import { CONTENTS, DIRECTORIES, FILES, INTERNAL, pathOfTarget, routeOf, toRouted } from './request-target.ts';
import { getCluster } from './routes/cluster-route.ts';
import { getContent } from './routes/contents-route.ts';
import { postEntry } from './routes/create-entry-route.ts';
import { getDirectory } from './routes/list-directory-route.ts';
import { getHealth, getMetrics, getReady, sendMetrics } from './routes/operations-route.ts';
import { patchEntry } from './routes/patch-entry-route.ts';
import { getFile, headFile } from './routes/read-file-route.ts';
import { deleteEntry } from './routes/remove-entry-route.ts';
import { putFile } from './routes/write-file-route.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route as metrics name it. */
    readonly pattern?: string;
  }
}

/** The longest path, every byte percent-encoded, and room for the other fields. */
const MAX_HEADER_BYTES = 32 * 1024;
const HEADERS_TIMEOUT_MS = 60_000;
/** Longer than peers and common proxies keep idle connections, so that they close first and never write into a closed one. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000;

type Handler = (services: HttpServices, request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>;
type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export function buildApp(services: HttpServices): FastifyInstance {
  const app = createApp(services, services.idleTimeoutMs);
  addHooks(app, services);
  const handlers = {
    GET: getFile,
    HEAD: headFile,
    POST: postEntry,
    PUT: putFile,
    PATCH: patchEntry,
    DELETE: deleteEntry,
  };
  addResource(app, services, { url: routeOf(FILES), pattern: `${FILES}/{path}`, handlers });
  const listing = { GET: getDirectory };
  addResource(app, services, { url: routeOf(DIRECTORIES), pattern: `${DIRECTORIES}/{path}`, handlers: listing });
  addSimple(app, '/v1/cluster', (request, reply) => getCluster(services, request, reply));
  addSimple(app, '/health', (_request, reply) => getHealth(reply));
  addSimple(app, '/ready', (_request, reply) => getReady(services, reply));
  addSimple(app, '/metrics', (request, reply) => getMetrics(services, request, reply));
  const contents = { GET: getContent };
  addResource(app, services, { url: routeOf(CONTENTS), pattern: `${CONTENTS}/{path}`, handlers: contents });
  app.all(routeOf(INTERNAL), { config: { pattern: `${INTERNAL}/{path}` } }, async (request) => {
    verifyPeer(services.signer, request, String(request.headers[PEER_HEADER] ?? ''));
    throw unknownRoute(request);
  });
  app.server.on('checkContinue', (request, response) => {
    holdContinue(request, response);
    app.server.emit('request', request, response);
  });
  return app;
}

/** Only the metrics, without a key, for an address that only operators reach. */
export function buildMetricsApp(services: HttpServices): FastifyInstance {
  const app = createApp(services, services.idleTimeoutMs);
  addHooks(app, services);
  addSimple(app, '/metrics', (_request, reply) => sendMetrics(services, reply));
  return app;
}

function createApp(services: HttpServices, idleTimeoutMs: number): FastifyInstance {
  const app = Fastify({
    logger: false,
    exposeHeadRoutes: false,
    genReqId: () => services.engine.ids.nextRequest(),
    rewriteUrl: ({ url }) => toRouted(url ?? '/'),
    clientErrorHandler: (error, socket) => refuseMalformed(services, error, socket),
    http: { maxHeaderSize: MAX_HEADER_BYTES, headersTimeout: HEADERS_TIMEOUT_MS },
    // A whole request may take as long as it moves.
    requestTimeout: 0,
    connectionTimeout: idleTimeoutMs,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
  });
  // Bodies are raw bytes whatever their type, so Fastify shall not look at them; each route takes its own from the request.
  for (const method of METHODS) app.addHttpMethod(method, { hasBody: false, overrideExisting: true });
  app.setErrorHandler((error, request, reply) => renderError(services, error, request, reply));
  app.setNotFoundHandler((request) => {
    throw unknownRoute(request);
  });
  return app;
}

interface Resource {
  readonly url: string;
  readonly pattern: string;
  readonly handlers: Partial<Record<Method, Handler>>;
}

function addResource(app: FastifyInstance, services: HttpServices, { url, pattern, handlers }: Resource): void {
  const config = { pattern };
  for (const [method, handler] of Object.entries(handlers)) {
    app.route({ method, url, config, handler: (request, reply) => handler(services, request, reply) });
  }
  addOtherMethods(app, url, pattern, Object.keys(handlers));
}

function addSimple(
  app: FastifyInstance,
  url: string,
  handler: (request: FastifyRequest, reply: FastifyReply) => unknown,
): void {
  app.get(url, { config: { pattern: url } }, handler);
  addOtherMethods(app, url, url, ['GET']);
}

/** Every method that a resource does not have is answered with those it has. */
function addOtherMethods(app: FastifyInstance, url: string, pattern: string, allowed: readonly string[]): void {
  const others = app.supportedMethods.filter((method) => !allowed.includes(method));
  const allow = allowed.join(', ');
  app.route({
    method: others,
    url,
    config: { pattern },
    handler: async ({ method }) => {
      throw new CallFSError('METHOD_NOT_ALLOWED', `${method} is not possible here; ${allow} is.`, {
        headers: { allow },
      });
    },
  });
}

function unknownRoute(request: FastifyRequest): CallFSError {
  const path = pathOfTarget(targetOf(request));
  return new CallFSError('NOT_FOUND', `There is no ${request.method} ${path}; files are under ${FILES}/.`);
}
