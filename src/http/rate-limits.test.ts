/** Limits by address: what they promise. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FastifyRequest } from 'fastify';
import { CallFSError } from '../core/errors.ts';
import { type ClientLimit, clientOf, createRateLimits } from './rate-limits.ts';

const from = (remoteAddress: string) => ({ raw: { socket: { remoteAddress } } }) as FastifyRequest;

async function admitted(limit: ClientLimit, address: string, times: number): Promise<number> {
  const attempts = Array.from({ length: times }, () => limit.admit(from(address)));
  const outcomes = await Promise.allSettled(attempts);
  for (const outcome of outcomes) {
    if (outcome.status === 'fulfilled') continue;
    assert(outcome.reason instanceof CallFSError);
    assert.equal(outcome.reason.code, 'RATE_LIMIT_EXCEEDED');
    assert.match(outcome.reason.headers['retry-after'] ?? '', /^([1-9]|10)$/);
  }
  return outcomes.filter(({ status }) => status === 'fulfilled').length;
}

test('each address has its own limit, which comes back', async (t) => {
  t.mock.timers.enable({ apis: ['Date', 'setTimeout'] });
  const { linkGenerations, linkDownloads } = createRateLimits();
  assert.equal(await admitted(linkGenerations, '192.0.2.1', 150), 100);
  assert.equal(await admitted(linkGenerations, '192.0.2.2', 10), 10);
  assert.equal(await admitted(linkDownloads, '192.0.2.1', 30), 15, 'ten, and a burst of five');
  t.mock.timers.tick(1001);
  assert.equal(await admitted(linkGenerations, '192.0.2.1', 150), 100);
  assert.equal(await admitted(linkDownloads, '192.0.2.1', 30), 10, 'the burst takes longer');
  t.mock.timers.tick(10_001);
  assert.equal(await admitted(linkDownloads, '192.0.2.1', 30), 15);
});

test('a client is an IPv4 address or an IPv6 network', () => {
  for (const address of ['2001:db8:1:2::', '2001:db8:1:2:3:4:5:6', '2001:DB8:1:2:0:0:0:9', '2001:db8:1:2::7%eth0']) {
    assert.equal(clientOf(address), '2001:db8:1:2::/64');
  }
  assert.notEqual(clientOf('2001:db8:1:3::1'), clientOf('2001:db8:1:2::1'));
  assert.equal(clientOf('::1'), '0:0:0:0::/64');
  assert.equal(clientOf('1::'), '1:0:0:0::/64');
  assert.equal(clientOf('::ffff:192.0.2.1'), '192.0.2.1');
  assert.equal(clientOf('192.0.2.1'), '192.0.2.1');
  assert.equal(clientOf(''), '');
});
