/** Transfers over WebSockets, through instances that own the file and that do not: the bytes, the verdicts, the ends. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import * as net from 'node:net';
import { after, before, suite, type TestContext, test } from 'node:test';
import { assertAtRest, stagedFiles } from './support/at-rest.ts';
import { call } from './support/client.ts';
import { ALICE_KEY, BOB_KEY, startCluster, type TestCluster, type TestInstance } from './support/cluster.ts';
import { forgetPeak, residentBytes, transferredBytes } from './support/process-usage.ts';
import { rawCall } from './support/raw-connection.ts';
import { frame, isRefusal, type Refusal, SocketClient, type SocketOptions } from './support/socket-client.ts';
import { downloadHash, uploadPattern } from './support/transfers.ts';
import { waitFor } from './support/wait-for.ts';

const MIB = 1024 * 1024;
const LARGE = (process.env.CALLFS_LONG_TESTS === '1' ? 1024 : 64) * MIB;
const ALLOWED_GROWTH = 64 * MIB;
const FRAME_BYTES = 64 * 1024;
const HANDSHAKE = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  authorization: `Bearer ${ALICE_KEY}`,
};

const download = (path: string): string => `/v1/files/ws${path}?mode=download`;
const upload = (path: string): string => `/v1/files/ws${path}?mode=upload`;

async function refusal({ url }: TestInstance, target: string, options: SocketOptions = {}): Promise<Refusal> {
  using client = SocketClient.open(url, target, options);
  const opened = await client.opened;
  assert(isRefusal(opened), 'it was not refused');
  return opened;
}

async function uploadText({ url }: TestInstance, path: string, ...messages: readonly (string | Buffer)[]) {
  using client = SocketClient.open(url, upload(path));
  assert(!isRefusal(await client.opened));
  for (const message of messages) await client.send(message);
  client.socket.close(1000);
  return await client.closed();
}

suite('WebSockets', { timeout: 300_000 }, () => {
  let cluster: TestCluster;
  let owner: TestInstance;
  let b: TestInstance;
  let c: TestInstance;
  before(async () => {
    cluster = await startCluster({ config: { server: { max_upload_size: `${LARGE / MIB}MiB` } } });
    [owner, b, c] = [cluster.at(0), cluster.at(1), cluster.at(2)];
    assert.equal((await call('PUT', owner.url, '/v1/files/docs/small.txt', { body: 'first' })).status, 201);
    assert.equal((await call('PUT', owner.url, '/v1/files/large.bin', { body: 'small' })).status, 201);
  });
  after(() => cluster[Symbol.asyncDispose]());

  function watchMemory(t: TestContext): () => void {
    const watched = [owner, b].map(({ id, pid }) => {
      forgetPeak(pid);
      return { id, pid, baseline: residentBytes(pid) };
    });
    return () => {
      for (const { id, pid, baseline } of watched) {
        const growth = residentBytes(pid, 'VmHWM') - baseline;
        t.diagnostic(`${id} grew by ${(growth / MIB).toFixed(1)} MiB at its peak`);
        assert(growth < ALLOWED_GROWTH, `${id} grew by ${growth}`);
      }
    };
  }

  test('large files go up and down through an instance that does not own them, in constant memory', async (t) => {
    // Warmed up: code compiled, buffers allocated.
    assert.equal((await uploadPattern(b.url, '/v1/files/large.bin', 32 * MIB)).status, 200);
    const assertBounded = watchMemory(t);
    let startedAt = performance.now();
    using up = SocketClient.open(b.url, upload('/large.bin'));
    assert(!isRefusal(await up.opened));
    const sha256 = await up.sendPattern(LARGE);
    up.socket.close(1000);
    const ended = await up.closed();
    t.diagnostic(`${LARGE / MIB} MiB up in ${Math.round(performance.now() - startedAt)} ms`);
    assert.deepEqual([ended.code, ended.reason, ended.texts], [1000, `ok:${LARGE}`, [`ok:${LARGE}`]]);
    const stored = await downloadHash(c.url, '/v1/files/large.bin');
    assert.equal(stored.sha256, sha256);
    assert.equal(stored.headers['x-callfs-instance-id'], owner.id, 'it was replaced where it was');
    startedAt = performance.now();
    using down = SocketClient.open(b.url, download('/large.bin'));
    const got = await down.closed();
    t.diagnostic(`down in ${Math.round(performance.now() - startedAt)} ms`);
    assert.deepEqual([got.code, got.sha256, got.texts], [1000, sha256, []]);
    assert(got.frames.every((bytes) => bytes === FRAME_BYTES) && got.frames.length === LARGE / FRAME_BYTES);
    assertBounded();
    await assertAtRest(cluster);
  });

  test('at every instance an upload creates and replaces like PUT, and a download gives what GET gives', async () => {
    for (const at of cluster.instances) {
      const path = `/new/by-${at.id}.txt`;
      const headers = { 'x-callfs-mode': '0600', 'content-type': 'text/x-test', 'if-none-match': '*' };
      using creating = SocketClient.open(at.url, upload(path), { headers });
      const opened = await creating.opened;
      assert(!isRefusal(opened));
      assert.equal(opened['sec-websocket-extensions'], undefined, 'nothing is compressed');
      assert.equal(opened['x-frame-options'], 'DENY');
      assert.match(String(opened['x-request-id']), /^[\w-]{36}$/);
      await creating.send('text, ');
      await creating.send(Buffer.from('é'));
      creating.socket.close(1001);
      assert.deepEqual((await creating.closed()).texts, ['ok:8']);
      const made = await call('GET', c.url, `/v1/files${path}`);
      assert.equal(made.text, 'text, é');
      assert.equal(made.headers['x-callfs-instance-id'], at.id);
      assert.equal(made.headers['x-callfs-mode'], '0600');
      assert.equal(made.headers['content-type'], 'text/x-test');
      for (const other of cluster.instances) {
        assert.deepEqual((await uploadText(other, path)).texts, ['ok:0'], 'no message is an empty file');
        assert.deepEqual((await uploadText(other, path, 'new ', 'content')).texts, ['ok:11']);
        using reading = SocketClient.open(other.url, download(path));
        const got = await reading.closed();
        assert.deepEqual([got.code, got.frames], [1000, [11]]);
      }
    }
    using empty = SocketClient.open(b.url, download('/docs/small.txt'));
    assert.deepEqual((await empty.closed()).frames, [5]);
  });

  test('what can be known before is answered as plain HTTP, with the same errors as PUT and GET', async () => {
    assert.equal((await call('PUT', owner.url, '/v1/files/private', { body: 'x' })).status, 201);
    assert.equal((await call('PATCH', owner.url, '/v1/files/private', { body: '{"mode":"0600"}' })).status, 200);
    const bob = { key: BOB_KEY };
    const expected: readonly [string, SocketOptions, number, string][] = [
      [download('/docs/small.txt'), { key: null }, 401, 'AUTHENTICATION_FAILED'],
      [upload('/docs/small.txt'), { key: 'wrong-key-0123456789' }, 401, 'AUTHENTICATION_FAILED'],
      [download('/private'), bob, 403, 'PERMISSION_DENIED'],
      [upload('/private'), bob, 403, 'PERMISSION_DENIED'],
      [upload('/docs/new.txt'), bob, 403, 'PERMISSION_DENIED'],
      [download('/missing'), {}, 404, 'FILE_NOT_FOUND'],
      [download('/docs'), {}, 400, 'BAD_REQUEST'],
      [upload('/docs'), {}, 400, 'IS_A_DIRECTORY'],
      [upload('/docs/'), {}, 400, 'IS_A_DIRECTORY'],
      [upload('/docs/small.txt/below'), {}, 409, 'NOT_A_DIRECTORY'],
      [upload('/docs/small.txt'), { headers: { 'if-none-match': '*' } }, 412, 'PRECONDITION_FAILED'],
      [upload('/docs/%0a'), {}, 400, 'INVALID_PATH'],
      [upload('/docs/small.txt'), { headers: { 'x-callfs-backend': 's3' } }, 400, 'BAD_REQUEST'],
      ['/v1/files/ws/docs/small.txt', {}, 400, 'BAD_REQUEST'],
      ['/v1/files/ws/docs/small.txt?mode=both', {}, 400, 'BAD_REQUEST'],
    ];
    for (const at of [owner, b]) {
      for (const [target, options, status, code] of expected) {
        const { headers, json, ...answer } = await refusal(at, target, options);
        assert.deepEqual([answer.status, json.code], [status, code], `${target} at ${at.id}`);
        assert.equal(headers['x-request-id'], json.request_id);
        assert.equal(headers['x-frame-options'], 'DENY');
        assert.equal(headers['x-content-type-options'], 'nosniff');
      }
    }
    const bad: readonly Record<string, string>[] = [{ 'sec-websocket-version': '8' }, { 'sec-websocket-key': 'short' }];
    for (const wrong of bad) {
      const answer = await rawCall('GET', b.url, download('/docs/small.txt'), { headers: { ...HANDSHAKE, ...wrong } });
      assert.deepEqual([answer.status, answer.json().code], [400, 'BAD_REQUEST']);
    }
    assert.equal((await call('GET', owner.url, '/v1/files/docs/small.txt')).text, 'first');
    await assertAtRest(cluster);
  });

  test('without an upgrade to WebSocket there, everything is an ordinary request', async () => {
    const target = '/v1/files/ws/plain.txt';
    assert.equal((await call('PUT', owner.url, target, { body: 'plain' })).status, 201);
    const requests: readonly [string, string, Record<string, string>][] = [
      ['GET', `${target}?mode=download`, {}],
      ['GET', target, { ...HANDSHAKE, upgrade: 'h2c' }],
      ['GET', target, { ...HANDSHAKE, connection: 'close' }],
      ['HEAD', target, HANDSHAKE],
      ['GET', '/v1/files/%77s/plain.txt?mode=download', HANDSHAKE],
    ];
    for (const at of [owner, b]) {
      for (const [method, asked, headers] of requests) {
        const answer = await rawCall(method, at.url, asked, {
          headers: { authorization: HANDSHAKE.authorization, ...headers },
        });
        assert.deepEqual([answer.status, answer.text], [200, method === 'HEAD' ? '' : 'plain'], `${method} ${asked}`);
      }
    }
    using inWs = SocketClient.open(b.url, download('/ws/plain.txt'));
    assert.deepEqual((await inWs.closed()).frames, [5]);
  });

  test('an upload that breaks off, or ends otherwise than it should, changes nothing', async () => {
    const path = '/docs/small.txt';
    const ends: readonly [string, (client: SocketClient) => void][] = [
      ['the connection is cut', ({ socket }) => socket.terminate()],
      ['an error of the client', ({ socket }) => socket.close(1011)],
      ['a code of its own', ({ socket }) => socket.close(4000)],
      ['a message that is too large', ({ socket }) => socket.send(Buffer.alloc(4 * MIB + 1))],
    ];
    for (const at of [owner, b]) {
      for (const [what, end] of ends) {
        using client = SocketClient.open(at.url, upload(path));
        assert(!isRefusal(await client.opened), what);
        await client.sendPattern(2 * MIB);
        await waitFor('the bytes to arrive', () => stagedFiles(owner).length > 0);
        end(client);
        const { texts } = await client.closed();
        assert.deepEqual(texts, [], what);
        await waitFor('the owner to drop what came', () => stagedFiles(owner).length === 0);
        assert.equal((await call('GET', at.url, `/v1/files${path}`)).text, 'first', what);
      }
    }
  });

  test('the verdict after the upgrade is told in a message and in the close frame', async () => {
    for (const at of [owner, b]) {
      using client = SocketClient.open(at.url, upload('/large.bin'));
      assert(!isRefusal(await client.opened));
      const sending = client.sendPattern(LARGE + 4 * MIB).catch(() => {});
      const { code, texts } = await client.closed();
      await sending;
      assert.equal(code, 1009);
      assert.equal(texts.length, 1);
      assert.match(String(texts[0]), /^error:\{.*"code":"PAYLOAD_TOO_LARGE".*"request_id":"[\w-]{36}"/);
    }
    await assertAtRest(cluster);
  });

  test('an owner that dies in the middle is told, and so is one that is dead', async () => {
    assert.equal((await call('PUT', c.url, '/v1/files/on-c', { body: 'x' })).status, 201);
    using client = SocketClient.open(b.url, upload('/on-c'));
    assert(!isRefusal(await client.opened));
    await client.sendPattern(MIB);
    await waitFor('the bytes to arrive', () => stagedFiles(c).length > 0);
    await c.kill();
    client.socket.close(1000);
    const { code, texts } = await client.closed();
    assert.equal(code, 1011);
    assert.match(String(texts[0]), /^error:\{.*"code":"PROXY_ERROR"/);
    for (const target of [download('/on-c'), upload('/on-c')]) {
      const refused = await refusal(b, target);
      assert.deepEqual([refused.status, refused.json.code], [502, 'PROXY_ERROR']);
    }
    await c.start();
  });

  test('a client that stops reading makes nobody read ahead', async (t) => {
    assert.equal((await uploadPattern(owner.url, '/v1/files/large.bin', 64 * MIB)).status, 200);
    const assertBounded = watchMemory(t);
    const readBefore = transferredBytes(owner.pid, 'rchar');
    const readers = Array.from({ length: 6 }, () => SocketClient.open(b.url, download('/large.bin')));
    try {
      for (const { socket } of readers) {
        await once(socket, 'open');
        socket.pause();
      }
      let seen = -1;
      await waitFor('the transfers to stand still', async () => {
        const now = transferredBytes(owner.pid, 'rchar');
        const standsStill = now - seen < 256 * 1024;
        seen = now;
        await new Promise((resolve) => setTimeout(resolve, 500));
        return standsStill;
      });
      const readAhead = (seen - readBefore) / readers.length;
      t.diagnostic(`the owner read ${(readAhead / MIB).toFixed(1)} MiB ahead of each reader, kernel buffers included`);
      assert(readAhead < 40 * MIB);
      assertBounded();
      const [first] = readers;
      first?.socket.resume();
      assert.equal((await first?.closed())?.frames.length, (64 * MIB) / FRAME_BYTES, 'and goes on when it reads again');
    } finally {
      for (const reader of readers) reader[Symbol.dispose]();
    }
    await waitFor('the instances to be free of them', async () => {
      const answer = await call('GET', b.url, '/metrics');
      return answer.status === 200;
    });
  });

  test('a client of raw frames: bytes behind the handshake, fragments, pings, an end without a code', async () => {
    for (const at of [owner, b]) {
      using raw = await RawSocket.open(at, upload('/raw.txt'), [
        frame(0x82, Buffer.from('one ')),
        frame(0x01, Buffer.from('two ')),
        frame(0x89, Buffer.from('ping')),
        frame(0x80, Buffer.from('three')),
        frame(0x88, Buffer.alloc(0)),
      ]);
      await waitFor('the end', () => raw.isEnded);
      const pong = Buffer.concat([Buffer.from([0x8a, 4]), Buffer.from('ping')]);
      const ok = Buffer.concat([Buffer.from([0x81, 5]), Buffer.from('ok:13')]);
      const close = Buffer.concat([Buffer.from([0x88, 7, 0x03, 0xe8]), Buffer.from('ok:13')]);
      assert.deepEqual(raw.received, Buffer.concat([pong, ok, close]), raw.received.toString('latin1'));
      assert.equal((await call('GET', at.url, '/v1/files/raw.txt')).text, 'one two three');
    }
  });

  test('a client that does not wait for the verdict has uploaded; one that stops inside a message has not', async () => {
    for (const at of [owner, b]) {
      const path = `/hasty-${at.id}.txt`;
      using hasty = await RawSocket.open(at, upload(path), [
        frame(0x82, Buffer.from('hasty')),
        frame(0x88, Buffer.from([0x03, 0xe8])),
      ]);
      hasty.leave();
      await waitFor('the file', async () => (await call('GET', at.url, `/v1/files${path}`)).text === 'hasty');
      using partial = await RawSocket.open(at, upload(path), [
        frame(0x82, Buffer.from('whole message')),
        frame(0x02, Buffer.from('a piece')),
        frame(0x88, Buffer.from([0x03, 0xe8])),
      ]);
      await waitFor('the end', () => partial.isEnded);
      assert(!partial.received.includes('ok:'));
      assert.equal((await call('GET', at.url, `/v1/files${path}`)).text, 'hasty');
    }
    await assertAtRest(cluster);
  });

  test('each transfer is one line in the log, and nothing was an internal error', async () => {
    const lines = b.log.filter(({ path }) => String(path).startsWith('/v1/files/ws/'));
    const done = lines.find(
      ({ path, status, bytes }) => path === '/v1/files/ws/large.bin' && status === 101 && bytes === LARGE,
    );
    assert(done, 'the download of the large file');
    assert.deepEqual([done.user, done.owner, done.route, done.aborted], ['alice', owner.id, 'peer', undefined]);
    assert(
      lines.some(({ status, aborted }) => status === 101 && aborted === true),
      'those that broke off',
    );
    assert.match(
      (await call('GET', b.url, '/metrics')).text,
      /callfs_http_requests_total\{method="GET",path="\/v1\/files\/ws\/\{path\}",status_code="101"\} \d+/,
    );
    for (const { log } of cluster.instances)
      assert.deepEqual(
        log.filter(({ msg }) => msg === 'internal error'),
        [],
      );
  });
});

/** A connection whose frames the test makes. */
class RawSocket implements Disposable {
  readonly #connection: net.Socket;
  #head = '';
  received: Buffer = Buffer.alloc(0);
  isEnded = false;

  private constructor(connection: net.Socket) {
    this.#connection = connection;
    connection.on('error', () => {});
    connection.on('data', (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk]);
    });
    connection.on('end', () => {
      this.isEnded = true;
    });
  }

  /** Sends the handshake and the frames in one piece; resolves when the handshake is answered. */
  static async open({ url }: TestInstance, target: string, frames: readonly Buffer[]): Promise<RawSocket> {
    const { hostname, port, host } = new URL(url);
    const connection = net.connect({ host: hostname, port: Number(port) });
    const raw = new RawSocket(connection);
    const fields = Object.entries({ host, ...HANDSHAKE }).map(([name, value]) => `${name}: ${value}\r\n`);
    connection.write(Buffer.concat([Buffer.from(`GET ${target} HTTP/1.1\r\n${fields.join('')}\r\n`), ...frames]));
    await waitFor('the handshake', () => {
      const end = raw.received.indexOf('\r\n\r\n');
      if (end < 0) return false;
      raw.#head = raw.received.subarray(0, end).toString('latin1');
      raw.received = raw.received.subarray(end + 4);
      return true;
    });
    assert.match(raw.#head, /^HTTP\/1\.1 101 /);
    assert.match(raw.#head, /sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/i, 'RFC 6455 section 1.3');
    return raw;
  }

  /** Closes the connection without a word. */
  leave(): void {
    this.#connection.destroy();
  }

  [Symbol.dispose](): void {
    this.#connection.destroy();
  }
}

suite('WebSockets in time', { timeout: 120_000 }, () => {
  test('a transfer in which nothing moves is ended; a stop waits for what runs', async () => {
    await using cluster = await startCluster({ instances: 2, config: { server: { idle_timeout: '1s' } } });
    const [owner, b] = [cluster.at(0), cluster.at(1)];
    assert.equal((await call('PUT', owner.url, '/v1/files/file', { body: 'first' })).status, 201);
    using idle = SocketClient.open(owner.url, upload('/file'));
    assert(!isRefusal(await idle.opened));
    await idle.send('x');
    const ended = await idle.closed();
    assert.deepEqual([ended.code, ended.reason], [1008, 'idle for too long']);
    assert.equal((await call('GET', b.url, '/v1/files/file')).text, 'first');
    using running = SocketClient.open(b.url, upload('/file'));
    assert(!isRefusal(await running.opened));
    await running.send('finished ');
    const stopped = b.stop();
    await waitFor('the instance to accept nobody', () =>
      call('GET', b.url, '/health').then(
        () => false,
        () => true,
      ),
    );
    await running.send('in peace');
    running.socket.close();
    assert.deepEqual((await running.closed()).texts, ['ok:17']);
    assert.equal(await stopped, 0);
    assert.equal((await call('GET', owner.url, '/v1/files/file')).text, 'finished in peace');
  });
});
