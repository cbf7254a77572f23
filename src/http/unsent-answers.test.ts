import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, createServer, get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { keepUnsentAnswers } from './unsent-answers.ts';

/** More than the buffers of the kernel take. */
const BYTES = 32 * 1024 * 1024;

test('a server that closes sends the end of an answer to a client that reads slowly, and closes idle connections', async () => {
  const server = createServer((request, response) => {
    if (request.url === '/small') response.end('x');
    else response.end(Buffer.alloc(BYTES));
    response.on('finish', () => {
      if (!server.listening) request.socket.destroySoon();
    });
  });
  keepUnsentAnswers(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const ask = async (path: string): Promise<IncomingMessage> => {
    const agent = new Agent({ keepAlive: true });
    const [answer] = (await once(get(`${url}${path}`, { agent }), 'response')) as [IncomingMessage];
    return answer;
  };
  const idle = await ask('/small');
  const idleClosed = once(idle.socket, 'close');
  idle.resume();
  await once(idle, 'end');
  const slow = await ask('/large');
  const closed = once(server, 'close');
  server.close();
  await idleClosed;
  let received = 0;
  for await (const chunk of slow) received += (chunk as Buffer).length;
  assert.equal(received, BYTES);
  await closed;
});
