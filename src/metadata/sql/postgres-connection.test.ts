/** A connection that breaks before the package underneath looks after it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import { PostgresConnection } from './postgres-connection.ts';
import { ConnectionLost } from './postgres-errors.ts';

test('a server that dies while a connection is opened costs that connection, not the process', async () => {
  let delayed = 0;
  const server = createServer((socket) => {
    socket.on('error', () => {});
    // At once, and in each of the next turns of the event loop.
    let turns = delayed++ % 8;
    const reset = (): unknown => (turns-- > 0 ? setImmediate(reset) : socket.resetAndDestroy());
    reset();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const dsn = `postgres://postgres@127.0.0.1:${port}/none`;
  for (let round = 0; round < 200; round++) {
    const opened = PostgresConnection.open({
      dsn,
      settings: {},
      address: { host: '127.0.0.1', port },
      timeoutMs: 2000,
    });
    await assert.rejects(opened, ConnectionLost);
  }
  server.close();
  await once(server, 'close');
});
