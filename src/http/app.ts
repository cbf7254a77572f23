/** The HTTP server of an instance: routes, hooks and errors put together. */
import { METHODS, type Server } from 'node:http';
import type { Socket } from 'node:net';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, type RouteOptions } from 'fastify';
import { PEER_HEADER } from '../cluster/peer-signature.ts';
import { CallFSError } from '../core/errors.ts';
import { verifyPeer } from './caller.ts';
import { holdContinue } from './client-upload.ts';
import { allowOrigins } from './cors.ts';
import { addHooks } from './hooks.ts';
import type { HttpServices } from './http-services.ts';
import { NoProxy, refuseMalformed } from './malformed-request.ts';
import { renderError } from './render-error.ts';
import { targetOf } from './request-state.ts';
import {
  CONTENTS,
  COPIES,
  DIRECTORIES,
  DOWNLOADS,
  FILES,
  INTERNAL,
  JOBS,
  LINKS,
  pathOfTarget,
  routeOf,
  SOCKET_ROUTE,
  SOCKETS,
  toRouted,
  UPLOADS,
} from './request-target.ts';
import { getCluster } from './routes/cluster-route.ts';
import { getContent } from './routes/contents-route.ts';
import { postCopy } from './routes/copies-route.ts';
import { postEntry } from './routes/create-entry-route.ts';
import { documentationRoutes } from './routes/documentation-route.ts';
import { getDownload, headDownload } from './routes/download-route.ts';
import { postLink } from './routes/generate-link-route.ts';
import { deleteJob, getJob, listJobs } from './routes/jobs-route.ts';
import { getDirectory } from './routes/list-directory-route.ts';
import { getHealth, getMetrics, getReady, sendMetrics } from './routes/operations-route.ts';
import { patchEntry } from './routes/patch-entry-route.ts';
import { getFile, headFile } from './routes/read-file-route.ts';
import { deleteEntry } from './routes/remove-entry-route.ts';
import { openSocket } from './routes/socket-route.ts';
import { continueUpload, postUpload, uploadOptions } from './routes/uploads-route.ts';
import { putFile } from './routes/write-file-route.ts';
import { createSecureServer } from './secure-server.ts';
import { acceptUpgrades, isUpgrade, wantsSocket } from './sockets/upgrade.ts';
import { keepUnsentAnswers } from './unsent-answers.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route as metrics name it. */
    readonly pattern?: string;
    /** Answers 405: what the resource does not have. */
    readonly isRefusal?: boolean;
  }
}

/** The longest path, every byte percent-encoded, and room for the other fields. */
const MAX_HEADER_BYTES = 32 * 1024;
const MAX_HEADERS_TIMEOUT_MS = 60_000;
/** Longer than peers and common proxies keep idle connections, so that they close first and never write into a closed one. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000;

type Handler = (services: HttpServices, request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>;
type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** @param onRoute is told of every route */
export function buildApp(services: HttpServices, onRoute?: (route: RouteOptions) => void): FastifyInstance {
  const app = createApp(services, services.idleTimeoutMs);
  if (onRoute) app.addHook('onRoute', onRoute);
  addHooks(app, services);
  allowOrigins(app, services.corsOrigins);
  const handlers = {
    GET: getFile,
    HEAD: headFile,
    POST: postEntry,
    PUT: putFile,
    PATCH: patchEntry,
    DELETE: deleteEntry,
  };
  addResource(app, services, { url: routeOf(FILES), pattern: `${FILES}/{path}`, handlers });
  const socket = { GET: openSocket };
  addResource(app, services, { url: SOCKET_ROUTE, pattern: `${SOCKETS}/{path}`, handlers: socket });
  const listing = { GET: getDirectory, HEAD: getDirectory };
  addResource(app, services, { url: routeOf(DIRECTORIES), pattern: `${DIRECTORIES}/{path}`, handlers: listing });
  addResource(app, services, { url: LINKS, pattern: LINKS, handlers: { POST: postLink } });
  const download = { GET: getDownload, HEAD: headDownload };
  addResource(app, services, { url: routeOf(DOWNLOADS), pattern: `${DOWNLOADS}/{token}`, handlers: download });
  addResource(app, services, { url: JOBS, pattern: JOBS, handlers: { GET: listJobs } });
  const job = { GET: getJob, DELETE: deleteJob };
  addResource(app, services, { url: `${JOBS}/:id`, pattern: `${JOBS}/{id}`, handlers: job });
  const options = uploadOptions(services.engine.maxUploadBytes);
  addResource(app, services, { url: UPLOADS, pattern: UPLOADS, handlers: { POST: postUpload }, options });
  const upload = { HEAD: continueUpload, PATCH: continueUpload, DELETE: continueUpload, POST: continueUpload };
  addResource(app, services, { url: `${UPLOADS}/:id`, pattern: `${UPLOADS}/{id}`, handlers: upload, options });
  addSimple(app, '/v1/cluster', (request, reply) => getCluster(services, request, reply));
  addSimple(app, '/health', (_request, reply) => getHealth(reply));
  addSimple(app, '/ready', (_request, reply) => getReady(services, reply));
  addSimple(app, '/metrics', (request, reply) => getMetrics(services, request, reply));
  for (const [path, handler] of documentationRoutes(services)) addSimple(app, path, handler);
  const contents = { GET: getContent };
  addResource(app, services, { url: routeOf(CONTENTS), pattern: `${CONTENTS}/{path}`, handlers: contents });
  addResource(app, services, { url: routeOf(COPIES), pattern: COPIES, handlers: { POST: postCopy } });
  app.all(routeOf(INTERNAL), { config: { pattern: `${INTERNAL}/{path}` } }, async (request) => {
    verifyPeer(services.signer, request, String(request.headers[PEER_HEADER] ?? ''));
    throw unknownRoute(request);
  });
  app.server.on('checkContinue', (request, response) => {
    holdContinue(request, response);
    app.server.emit('request', request, response);
  });
  // Other expectations may be ignored (RFC 9110 section 10.1.1).
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response));
  app.server.on('connect', (request, socket) => {
    if (request.httpVersionMajor === 1) refuseMalformed(services, new NoProxy(), socket as Socket);
    // With HTTP/2 it is a stream, of which nothing else is known.
    else socket.destroy();
  });
  return app;
}

/** Only the metrics, without a key, for an address that only operators reach. */
export function buildMetricsApp(main: HttpServices): FastifyInstance {
  const services = { ...main, certificates: undefined };
  const app = createApp(services, services.idleTimeoutMs);
  addHooks(app, services);
  addSimple(app, '/metrics', (_request, reply) => sendMetrics(services, reply));
  return app;
}

function createApp(services: HttpServices, idleTimeoutMs: number): FastifyInstance {
  const { certificates } = services;
  const parser = parserOptions(idleTimeoutMs);
  // Beside TLS; what Fastify would set on a server of its own making.
  const http1 = { ...parser, keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS, requestTimeout: 0 };
  const app = Fastify<Server>({
    logger: false,
    exposeHeadRoutes: false,
    genReqId: () => services.engine.ids.nextRequest(),
    rewriteUrl: (request) => toRouted(request.url ?? '/', isUpgrade(request)),
    clientErrorHandler: (error, socket) => refuseMalformed(services, error, socket),
    http: parser,
    ...(certificates && {
      serverFactory: (handler) => createSecureServer({ certificates, idleTimeoutMs, http1 }, handler),
    }),
    // A whole request may take as long as it moves.
    requestTimeout: 0,
    connectionTimeout: idleTimeoutMs,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
  });
  acceptUpgrades(app);
  keepUnsentAnswers(app.server);
  // Bodies are raw bytes whatever their type, so Fastify shall not look at them; each route takes its own from the request.
  for (const method of METHODS) app.addHttpMethod(method, { hasBody: false, overrideExisting: true });
  app.setErrorHandler((error, request, reply) => renderError(services, error, request, reply));
  app.setNotFoundHandler((request) => {
    throw unknownRoute(request);
  });
  return app;
}

function parserOptions(idleTimeoutMs: number) {
  const headersTimeout = Math.min(MAX_HEADERS_TIMEOUT_MS, idleTimeoutMs);
  // Node looks only so often, and a head that is late is late by as much.
  return {
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout,
    connectionsCheckingInterval: headersTimeout / 4,
    // Node would refuse a request without a host in its own way; ambiguous-request.ts does it in ours.
    requireHostHeader: false,
    shouldUpgradeCallback: wantsSocket,
  };
}

interface Resource {
  readonly url: string;
  readonly pattern: string;
  readonly handlers: Partial<Record<Method, Handler>>;
  /** Header fields of the answer to OPTIONS, beside Allow. */
  readonly options?: Readonly<Record<string, string>>;
}

function addResource(
  app: FastifyInstance,
  services: HttpServices,
  { url, pattern, handlers, options }: Resource,
): void {
  const config = { pattern };
  for (const [method, handler] of Object.entries(handlers)) {
    app.route({ method, url, config, handler: (request, reply) => handler(services, request, reply) });
  }
  addOtherMethods(app, url, pattern, Object.keys(handlers), options);
}

function addSimple(
  app: FastifyInstance,
  url: string,
  handler: (request: FastifyRequest, reply: FastifyReply) => unknown,
): void {
  const methods = ['GET', 'HEAD'];
  app.route({ method: methods, url, config: { pattern: url }, handler });
  addOtherMethods(app, url, url, methods);
}

/** OPTIONS tells the methods that a resource has, and so does the answer to every other that it does not have. */
function addOtherMethods(
  app: FastifyInstance,
  url: string,
  pattern: string,
  handled: readonly string[],
  options = {},
): void {
  const allowed = [...handled, 'OPTIONS'];
  const others = app.supportedMethods.filter((method) => !allowed.includes(method));
  const allow = allowed.join(', ');
  app.options(url, { config: { pattern } }, (_request, reply) =>
    reply
      .code(204)
      .headers({ ...options, allow })
      .send(),
  );
  app.route({
    method: others,
    url,
    config: { pattern, isRefusal: true },
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
