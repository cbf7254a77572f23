/**
 * How often one client may do what costs nothing to ask for: by address, in the memory of this process. What is kept
 * for an address is forgotten within seconds, however many there are. The only user of rate-limiter-flexible.
 */
import { isIPv6 } from 'node:net';
import type { FastifyRequest } from 'fastify';
import { BurstyRateLimiter, RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { CallFSError } from '../core/errors.ts';

export interface RateLimits {
  /** Links made: 100 a second. */
  readonly linkGenerations: ClientLimit;
  /** Downloads by link: 10 a second, and 5 more every 10 seconds. */
  readonly linkDownloads: ClientLimit;
}

export function createRateLimits(): RateLimits {
  return {
    linkGenerations: new ClientLimit(new RateLimiterMemory({ points: 100, duration: 1 })),
    linkDownloads: new ClientLimit(
      new BurstyRateLimiter(
        new RateLimiterMemory({ points: 10, duration: 1 }),
        new RateLimiterMemory({ points: 5, duration: 10 }),
      ),
    ),
  };
}

export class ClientLimit {
  readonly #limiter: Pick<RateLimiterMemory, 'consume'>;

  constructor(limiter: Pick<RateLimiterMemory, 'consume'>) {
    this.#limiter = limiter;
  }

  /** Counts the request. @throws CallFSError RATE_LIMIT_EXCEEDED with `Retry-After` */
  async admit({ raw }: Pick<FastifyRequest, 'raw'>): Promise<void> {
    try {
      await this.#limiter.consume(clientOf(raw.socket.remoteAddress ?? ''));
    } catch (refusal) {
      if (!(refusal instanceof RateLimiterRes)) throw refusal;
      const seconds = Math.max(1, Math.ceil(refusal.msBeforeNext / 1000));
      throw new CallFSError(
        'RATE_LIMIT_EXCEEDED',
        'Too many of these requests come from your address; wait a little.',
        {
          headers: { 'retry-after': String(seconds) },
        },
      );
    }
  }
}

/**
 * Who counts as one client. The address of the connection, never a header field, which anybody can write; of IPv6
 * the network (/64), within which a host can take any address (RFC 4862, RFC 8981).
 */
export function clientOf(address: string): string {
  const [bare = ''] = address.split('%');
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare)?.[1];
  if (mapped !== undefined) return mapped;
  if (!isIPv6(bare)) return bare;
  // The URL parser writes an address out in one way only.
  const [head = '', tail] = new URL(`http://[${bare}]`).hostname.slice(1, -1).split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail ? tail.split(':') : [];
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0');
  return `${[...before, ...zeros, ...after].slice(0, 4).join(':')}::/64`;
}
