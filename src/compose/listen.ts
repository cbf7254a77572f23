/** From an application to a server that accepts connections, and back without cutting anyone off. */
import type { AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import type { FastifyInstance } from 'fastify';
import { parseListenAddress } from '../config/listen-address.ts';

/** Clients and peers get this long to finish what they are at when an instance stops. */
const DRAIN_MS = 30_000;

/**
 * Accepts connections until disposed, then lets those that are busy finish.
 * @returns the base URL under which others on the network reach it
 * @throws Error with one line for the operator
 */
export async function listen(
  app: FastifyInstance,
  protocol: 'http' | 'https',
  address: string,
  started: AsyncDisposableStack,
): Promise<string> {
  const { host, port } = parseListenAddress(address);
  started.defer(() => drain(app));
  try {
    await app.listen({ port, host: host ?? '::' });
  } catch (error) {
    throw new Error(`Cannot listen on ${address}: ${error instanceof Error ? error.message : error}.`, {
      cause: error,
    });
  }
  const bound = app.server.address() as AddressInfo;
  return `${protocol}://${reachableName(host)}:${bound.port}`;
}

/** Under which name others on the network find an address that one can listen on. */
function reachableName(host: string | undefined): string {
  if (host === undefined || host === '0.0.0.0' || host === '::') return hostname();
  return host.includes(':') ? `[${host}]` : host;
}

async function drain(app: FastifyInstance): Promise<void> {
  const timer = setTimeout(() => app.server.closeAllConnections(), DRAIN_MS);
  await app.close();
  clearTimeout(timer);
}
