/** A peer: which requests take a connection to it. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { createSecureContext } from 'node:tls';
import { listenAnywhere } from '../../test/support/member.ts';
import { type AnswerSink, ClientGone } from './exchange.ts';
import { Peer } from './peer.ts';

/** Takes everything, keeps nothing. */
const sink: AnswerSink = {
  begin() {},
  write: () => true,
  whenWritable: (resume) => resume(),
  end() {},
  abort() {},
};

test('a request whose client is already gone reaches nobody and takes no connection', async () => {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    response.end();
  });
  const endpoint = new URL(`http://127.0.0.1:${await listenAnywhere(server)}`);
  const peer = new Peer({
    instanceId: 'two',
    endpoint,
    maxConnections: 1,
    connectTimeoutMs: 1000,
    responseTimeoutMs: 1000,
    idleTimeoutMs: 1000,
    skipTlsVerify: false,
    secureContext: () => createSecureContext(),
    onChange() {},
    clock: { now: () => 1000 },
  });
  try {
    const request = { method: 'GET', headers: {}, body: undefined };
    const body = { declaredBytes: 1, open: () => new Blob(['x']).stream() };
    for (const gone of [
      { ...request, target: '/gone' },
      { ...request, method: 'PUT', target: '/gone', body },
    ]) {
      await assert.rejects(peer.exchange({ ...gone, signal: AbortSignal.abort() }, sink), ClientGone);
    }
    assert.equal(peer.sight, undefined);
    await peer.exchange({ ...request, target: '/wanted', signal: new AbortController().signal }, sink);
    assert.deepEqual(asked, ['GET /wanted']);
    assert.deepEqual(peer.sight, { up: true, sinceMs: 1000 });
  } finally {
    await peer.close();
    server.close();
  }
});
