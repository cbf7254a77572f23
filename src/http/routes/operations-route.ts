/** What operators and load balancers ask: alive, ready, metrics. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { authenticate } from '../caller.ts';
import type { HttpServices } from '../http-services.ts';
import type { ReadinessJson } from '../schemas/readiness.ts';

export function getHealth(reply: FastifyReply): FastifyReply {
  return reply.type('application/json; charset=utf-8').send('{"status":"ok"}');
}

export async function getReady(services: HttpServices, reply: FastifyReply): Promise<FastifyReply> {
  const checks = await services.readiness();
  const broken = Object.entries(checks).filter(([, problem]) => problem !== undefined);
  const states = Object.fromEntries(Object.entries(checks).map(([name, problem]) => [name, problem ?? 'ok']));
  const status = broken.length === 0 ? 'ready' : 'unavailable';
  return reply
    .code(broken.length === 0 ? 200 : 503)
    .send({ status, broken: broken.map(([name]) => name), checks: states } satisfies ReadinessJson);
}

export async function getMetrics(
  services: HttpServices,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  authenticate(services, request);
  return sendMetrics(services, reply);
}

export async function sendMetrics(
  { metrics }: Pick<HttpServices, 'metrics'>,
  reply: FastifyReply,
): Promise<FastifyReply> {
  return reply.type(metrics.registry.contentType).send(await metrics.registry.metrics());
}
