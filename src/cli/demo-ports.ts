/** Finds loopback ports on which the demo can listen. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { systemErrorCode } from '../core/errors.ts';

export interface PortChoice {
  readonly ports: readonly number[];
  /** Passed over because something else listens there. */
  readonly taken: readonly number[];
}

const LAST_PORT = 65_535;

/** The first `count` free ports from `first` on. */
export async function findFreePorts(first: number, count: number): Promise<PortChoice> {
  const ports: number[] = [];
  const taken: number[] = [];
  for (let port = first; ports.length < count; port += 1) {
    if (port > LAST_PORT) throw new Error(`There are no ${count} free ports from ${first} on.`);
    ((await isFree(port)) ? ports : taken).push(port);
  }
  return { ports, taken };
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen({ port, host: '127.0.0.1', exclusive: true });
    await once(server, 'listening');
  } catch (error) {
    if (systemErrorCode(error) === 'EADDRINUSE') return false;
    throw error;
  }
  server.close();
  await once(server, 'close');
  return true;
}
