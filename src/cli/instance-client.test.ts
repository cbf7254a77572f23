/** A request of a command lasts as long as the instance shows that it lives, and no longer. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { InstanceClient } from './instance-client.ts';

const TIMEOUT_MS = 500;

test('that the instance is still working counts as life, silence and a stop end the request', async () => {
  const server = createServer((request, reply) => {
    if (request.url !== '/working') return;
    let told = 0;
    const timer = setInterval(() => {
      if (++told < 15) return reply.writeProcessing();
      clearInterval(timer);
      reply.end('{"done":true}');
    }, TIMEOUT_MS / 5);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const stop = new AbortController();
  const options = { key: 'key', trust: {}, signal: stop.signal };
  try {
    using client = new InstanceClient(options);
    const { port } = server.address() as AddressInfo;
    const request = { method: 'PATCH', endpoint: `http://127.0.0.1:${port}`, body: {} };
    // Again, on a connection that was used before.
    for (const target of ['/working', '/working']) {
      assert.deepEqual((await client.ask({ ...request, target, timeoutMs: TIMEOUT_MS })).body, { done: true });
    }
    await assert.rejects(client.ask({ ...request, target: '/silent', timeoutMs: TIMEOUT_MS }), /no sign of life/);
    const received = once(server, 'request');
    const pending = client.ask({ ...request, target: '/silent', timeoutMs: 60_000 });
    await Promise.all([assert.rejects(pending, { name: 'AbortError' }), received.then(() => stop.abort())]);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
