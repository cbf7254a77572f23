/** Circuit breaker: what it promises. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { waitFor } from '../../test/support/wait-for.ts';
import type { CallFSError } from '../core/errors.ts';
import { CircuitBreaker } from './circuit-breaker.ts';
import { peerTimeout, proxyFailure } from './proxy-error.ts';

function breaker() {
  const peer = { failure: undefined as CallFSError | undefined, probes: 0 };
  const changes: boolean[] = [];
  const time = { now: 1000 };
  const tested = new CircuitBreaker({
    async probe() {
      peer.probes++;
      return peer.failure;
    },
    onChange: (up) => changes.push(up),
    clock: { now: () => time.now },
  });
  return { tested, peer, changes, time };
}

test('open, it fails at once with the failure that opened it, until the peer answers a probe', async () => {
  const { tested, peer, changes } = breaker();
  const failure = proxyFailure('two', 'connection refused');
  peer.failure = failure;
  tested.open(failure);
  assert.equal(tested.failure, failure);
  await waitFor('some probes', () => peer.probes >= 2);
  assert.equal(tested.isUp, false);
  peer.failure = undefined;
  await waitFor('the peer to be up', () => tested.isUp);
  assert.equal(tested.failure, undefined);
  assert.deepEqual(changes, [false, true]);
  tested.close();
});

test('a suspicion opens it only when a probe fails too, and then with what the probe found', async () => {
  const { tested, peer, changes } = breaker();
  await tested.suspect();
  assert.equal(tested.failure, undefined);
  peer.failure = peerTimeout('two');
  await tested.suspect();
  assert.equal(tested.failure, peer.failure);
  assert.deepEqual(changes, [false]);
  tested.close();
});

test('closed, it neither opens nor probes', () => {
  const { tested, peer } = breaker();
  tested.close();
  tested.open(proxyFailure('two', 'connection refused'));
  assert.equal(tested.failure, undefined);
  assert.equal(peer.probes, 0);
});

test('it tells since when the peer is seen up or down, and nothing before anybody looked', async () => {
  const { tested, peer, time } = breaker();
  assert.equal(tested.sight, undefined);
  await tested.suspect();
  assert.deepEqual(tested.sight, { up: true, sinceMs: 1000 });
  time.now = 2000;
  await tested.suspect();
  assert.deepEqual(tested.sight, { up: true, sinceMs: 1000 });
  peer.failure = proxyFailure('two', 'connection refused');
  tested.open(peer.failure);
  time.now = 3000;
  tested.open(peer.failure);
  assert.deepEqual(tested.sight, { up: false, sinceMs: 2000 });
  time.now = 4000;
  peer.failure = undefined;
  await waitFor('the peer to be up', () => tested.isUp);
  assert.deepEqual(tested.sight, { up: true, sinceMs: 4000 });
  tested.close();
});

test('an answer to a request is a sight, too, but does not end an outage by itself', () => {
  const { tested } = breaker();
  tested.answered();
  assert.deepEqual(tested.sight, { up: true, sinceMs: 1000 });
  tested.open(proxyFailure('two', 'connection refused'));
  tested.answered();
  assert.equal(tested.isUp, false);
  tested.close();
});

test('a peer that never answered is down since nobody knows when', async () => {
  const { tested, peer, time } = breaker();
  peer.failure = proxyFailure('two', 'connection refused');
  await tested.suspect();
  assert.deepEqual(tested.sight, { up: false, sinceMs: undefined });
  time.now = 2000;
  peer.failure = undefined;
  await waitFor('the peer to be up', () => tested.isUp);
  assert.deepEqual(tested.sight, { up: true, sinceMs: 2000 });
  tested.close();
});

test('who suspects while a probe runs waits for that probe', async () => {
  const { tested, peer } = breaker();
  await Promise.all([tested.suspect(), tested.suspect()]);
  assert.equal(peer.probes, 1);
  assert.deepEqual(tested.sight, { up: true, sinceMs: 1000 });
});

test('a check takes silence for a failure only when it lasts, a refused connection at once', async () => {
  for (const [failure, probes] of [
    [peerTimeout('two'), 2],
    [proxyFailure('two', 'connection refused'), 1],
  ] as const) {
    const { tested, peer } = breaker();
    peer.failure = failure;
    await tested.check();
    assert.equal(peer.probes, probes);
    assert.equal(tested.isUp, false);
    tested.close();
  }
  let probes = 0;
  const tested = new CircuitBreaker({
    probe: async () => (++probes === 1 ? peerTimeout('two') : undefined),
    onChange: () => assert.fail('nothing changes'),
    clock: { now: () => 1 },
  });
  await tested.check();
  assert.equal(probes, 2);
  assert.equal(tested.isUp, true);
});

test('a peer that answers others while a probe waits is slow, not down', async () => {
  const tested: CircuitBreaker = new CircuitBreaker({
    async probe() {
      tested.answered();
      return peerTimeout('two');
    },
    onChange: () => assert.fail('nothing changes'),
    clock: { now: () => 1 },
  });
  await tested.suspect();
  await tested.check();
  assert.equal(tested.isUp, true);
});
