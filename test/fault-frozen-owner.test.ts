/** Owners that neither answer nor refuse, and addresses behind which something else is: typed answers, in time. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import * as net from 'node:net';
import { after, before, suite, type TestContext, test } from 'node:test';
import { assertAtRest, stagedFiles } from './support/at-rest.ts';
import { type Answer, call } from './support/client.ts';
import { ALICE_KEY, startCluster, type TestCluster, type TestInstance } from './support/cluster.ts';
import { freePorts, listenAnywhere, newMember } from './support/member.ts';
import { RawConnection } from './support/raw-connection.ts';
import { latencies, median, quietMedian, type TimedAnswer, timedCall } from './support/timing.ts';
import { waitFor } from './support/wait-for.ts';

const RESPONSE_TIMEOUT_MS = 2000;
const SLACK_MS = 500;
const ms = (value: number): string => `${value.toFixed(1)} ms`;

suite('a frozen owner (SIGSTOP)', { timeout: 60_000 }, () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await startCluster({ config: { cluster: { response_timeout: '2s', idle_timeout: '4s' } } });
  });
  after(() => cluster[Symbol.asyncDispose]());

  const path = '/v1/files/held-by-owner.txt';
  const gone = '/v1/files/to-be-deleted.txt';

  test('every method is answered with 504 within the deadline, later ones at once, others are not slower, it may go on', async (t) => {
    const [owner, b, c] = [cluster.at(0), cluster.at(1), cluster.at(2)];
    for (const target of [path, gone]) {
      assert.equal((await call('PUT', owner.url, target, { body: 'kept' })).status, 201);
      assert.equal((await call('GET', b.url, target)).text, 'kept');
    }
    assert.equal((await call('PUT', b.url, path, { body: 'kept' })).status, 200);
    assert.equal((await call('PUT', b.url, '/v1/files/of-b.txt', { body: 'own' })).status, 201);
    const usual = median(await latencies(50, 200, 'GET', b.url, '/v1/files/of-b.txt'));
    owner.signal('SIGSTOP');
    const first = Promise.all([
      timedCall('GET', b.url, path),
      timedCall('HEAD', b.url, path),
      timedCall('PUT', b.url, path, { body: 'new' }),
      timedCall('DELETE', b.url, gone),
    ]);
    await assertUnaffected(t, [b, c], usual);
    for (const answer of await first) assertTimedOut(t, answer, owner);
    const isKnown = async () => (await timedCall('GET', b.url, path)).ms < 100;
    await waitFor('the instance to know that its peer is frozen', isKnown, 5000);
    for (const method of ['GET', 'HEAD', 'PUT', 'DELETE']) {
      const took = await quietMedian(50, 20, 504, method, b.url, path, method === 'PUT' ? { body: 'new' } : {});
      t.diagnostic(`${method} while it is known: median ${ms(took)}`);
      assert(took < 50, `${method}: ${took} ms at the median`);
    }
    await assertUnaffected(t, [b, c], usual);
    owner.signal('SIGCONT');
    for (const { url } of cluster.instances) {
      const isBack = async () => (await call('GET', url, path)).status === 200;
      await waitFor('the peer to be known as back', isBack, 5000);
    }
    // Its body was not asked for, so the PUT that was given up cannot have happened.
    for (const { url } of cluster.instances) assert.equal((await call('GET', url, path)).text, 'kept');
    assert.equal((await call('PUT', c.url, path, { body: 'after' })).status, 200);
    for (const { url } of cluster.instances) assert.equal((await call('GET', url, path)).text, 'after');
    // The DELETE that was given up may have happened or not; everybody sees the same.
    await call('DELETE', b.url, gone);
    for (const { url } of cluster.instances) assert.equal((await call('GET', url, gone)).status, 404);
    await assertAtRest(cluster);
  });

  for (const framing of ['content-length', 'chunked'] as const) {
    test(`an upload (${framing}) whose owner freezes in the middle is answered with 504, the old content stays`, async (t) => {
      const [owner, b, c] = [cluster.at(0), cluster.at(1), cluster.at(2)];
      assert.equal((await call('PUT', owner.url, path, { body: 'old' })).status < 300, true);
      const total = 256 * 1024 * 1024;
      const chunk = Buffer.alloc(64 * 1024, 'body ');
      using client = await RawConnection.open(b.url);
      const framed = framing === 'chunked';
      const length = framed ? { 'transfer-encoding': 'chunked' } : { 'content-length': String(total) };
      client.sendHead('PUT', path, { authorization: `Bearer ${ALICE_KEY}`, ...length });
      const sendChunk = () => client.send(framed ? Buffer.concat([hexLine(chunk), chunk, CRLF]) : chunk);
      for (let sent = 0; sent < 4; sent++) sendChunk();
      await waitFor('the owner to receive the body', () => stagedFiles(owner).length > 0);
      owner.signal('SIGSTOP');
      const frozenAt = performance.now();
      // More than the connections hold, so that the client's instance has to wait for the owner.
      for (let sent = 0; sent < 1024; sent++) sendChunk();
      const answer = await client.answer('PUT');
      const waited = performance.now() - frozenAt;
      t.diagnostic(`504 after ${ms(waited)}`);
      assert.equal(answer.status, 504, answer.text);
      assert.equal(answer.json().code, 'PEER_TIMEOUT');
      assert(waited < RESPONSE_TIMEOUT_MS + 2 * SLACK_MS, `${waited} ms`);
      owner.signal('SIGCONT');
      for (const { url } of cluster.instances) {
        const isBack = async () => (await call('GET', url, path)).status === 200;
        await waitFor('the peer to be known as back', isBack, 5000);
      }
      for (const { url } of cluster.instances) assert.equal((await call('GET', url, path)).text, 'old');
      assert.equal((await call('PUT', c.url, path, { body: 'new' })).status, 200);
      await assertAtRest(cluster);
    });
  }

  test('a download whose owner freezes in the middle is broken off after the idle timeout, not held for ever', async (t) => {
    const [owner, b] = [cluster.at(0), cluster.at(1)];
    const body = Buffer.alloc(64 * 1024 * 1024, 'content ');
    const large = '/v1/files/large.bin';
    assert.equal((await call('PUT', owner.url, large, { body })).status, 201);
    const client = net.connect({ host: '127.0.0.1', port: Number(new URL(b.url).port) });
    client.on('error', () => {});
    client.write(`GET ${large} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer ${ALICE_KEY}\r\n\r\n`);
    let receivedBytes = 0;
    client.on('data', (chunk) => {
      if (receivedBytes === 0) owner.signal('SIGSTOP');
      receivedBytes += chunk.length;
    });
    const startedAt = performance.now();
    await once(client, 'close');
    t.diagnostic(`broken off after ${ms(performance.now() - startedAt)} and ${receivedBytes} bytes`);
    assert(receivedBytes < body.length);
    assert(performance.now() - startedAt < 8000);
    owner.signal('SIGCONT');
    const whole = async () => {
      const answer = await call('GET', b.url, large);
      return answer.status === 200 ? answer : undefined;
    };
    assert((await waitFor('the peer to be known as back', whole, 5000)).body.equals(body));
  });
});

const CRLF = Buffer.from('\r\n');
const hexLine = (chunk: Buffer): Buffer => Buffer.from(`${chunk.length.toString(16)}\r\n`);

function assertTimedOut(t: TestContext, answer: TimedAnswer, owner: TestInstance): void {
  assert.equal(answer.status, 504, answer.text);
  if (answer.text !== '') {
    const { code, instance_id } = answer.json();
    assert.deepEqual({ code, instance_id }, { code: 'PEER_TIMEOUT', instance_id: owner.id });
  }
  t.diagnostic(`the first 504 after ${ms(answer.ms)}`);
  assert(answer.ms >= RESPONSE_TIMEOUT_MS - 50, `too early: ${answer.ms} ms`);
  assert(answer.ms <= RESPONSE_TIMEOUT_MS + SLACK_MS, `too late: ${answer.ms} ms`);
}

let created = 0;

async function assertUnaffected(t: TestContext, others: readonly TestInstance[], usual: number): Promise<void> {
  for (const { id, url } of others) {
    const limit = 5 * usual + 10;
    const during = await quietMedian(limit, 50, 200, 'GET', url, '/v1/files/of-b.txt');
    t.diagnostic(`GET of another's file at ${id}: median ${ms(during)}, usually ${ms(usual)}`);
    assert(during < limit, `${during} ms at the median, usually ${usual} ms`);
    const write = await timedCall('POST', url, `/v1/files/new-${++created}.txt`, { body: 'new' });
    assert.equal(write.status, 201);
    assert(write.ms < 1000, `a new file took ${write.ms} ms`);
  }
}

suite('an address of a peer that leads elsewhere', { timeout: 60_000 }, () => {
  let cluster: TestCluster;
  const path = '/v1/files/held-by-owner.txt';
  before(async () => {
    cluster = await startCluster({ instances: 2 });
    assert.equal((await call('PUT', cluster.at(0).url, path, { body: 'kept' })).status, 201);
  });
  after(() => cluster[Symbol.asyncDispose]());

  /** An instance that is told to find the owner at `endpoint`. */
  async function startMisled(id: string, endpoint: string, config: Record<string, object> = {}) {
    const member = newMember(cluster, id, {
      ...config,
      instance_discovery: { instance_id: id, peer_endpoints: { 'callfs-1': endpoint } },
    });
    await member.start();
    return member;
  }

  async function assertAllAnswered(
    asked: TestInstance,
    expected: { status: number; code: string; message: RegExp },
  ): Promise<void> {
    for (const method of ['GET', 'PUT', 'DELETE', 'HEAD']) {
      const answer = await timedCall(method, asked.url, path, method === 'PUT' ? { body: 'new' } : {});
      assertTyped(method, answer, expected);
    }
    const { url } = cluster.at(0);
    assert.equal((await call('GET', url, path)).text, 'kept', 'nothing happened to the file');
    assert.equal((await call('GET', asked.url, '/ready', { key: null })).status, 200);
  }

  test('where packets are dropped: 502 within 2 s', async (t) => {
    await using hole = await BlackHole.dig();
    if (!hole) {
      t.skip('this system answers connections even though nobody accepts them');
      return;
    }
    await using asked = await startMisled('callfs-blackhole', `http://127.0.0.1:${hole.port}`);
    const first = await Promise.all(
      ['GET', 'PUT', 'DELETE'].map((method) =>
        timedCall(method, asked.url, path, method === 'PUT' ? { body: 'new' } : {}),
      ),
    );
    for (const answer of first) {
      t.diagnostic(`502 after ${ms(answer.ms)}`);
      assertTyped('first', answer, { status: 502, code: 'PROXY_ERROR', message: /: connect timeout$/ });
      // The deadline itself is 2 s; what comes on top is the way of the answer.
      assert(answer.ms < 2100, `${answer.ms} ms`);
    }
    for (const method of ['GET', 'HEAD', 'PUT', 'DELETE']) {
      const took = await quietMedian(50, 20, 502, method, asked.url, path, method === 'PUT' ? { body: 'new' } : {});
      assert(took < 50, `${method}: ${took} ms at the median`);
    }
  });

  test('where another instance answers: 502 that says so', async () => {
    await using asked = await startMisled('callfs-mixed-up', cluster.at(1).url);
    await assertAllAnswered(asked, { status: 502, code: 'PROXY_ERROR', message: /another instance answers/ });
  });

  test('where the instance has another internal secret: 502 that names the setting', async () => {
    await using asked = await startMisled('callfs-stranger', cluster.at(0).url, {
      auth: { internal_proxy_secret: 'another-0b1c2d3e4f5a6978' },
    });
    await assertAllAnswered(asked, { status: 502, code: 'PROXY_ERROR', message: /auth\.internal_proxy_secret/ });
  });

  test('where the asking instance itself answers: 508 ROUTING_LOOP', async () => {
    const [port] = await freePorts(1);
    const server = { listen_addr: `127.0.0.1:${port}` };
    await using asked = await startMisled('callfs-mirror', `http://127.0.0.1:${port}`, { server });
    await assertAllAnswered(asked, { status: 508, code: 'ROUTING_LOOP', message: /callfs-1 leads back/ });
  });

  for (const { what, answer } of [
    { what: 'something that does not speak HTTP', answer: 'SSH-2.0-OpenSSH_9.6\r\n' },
    { what: 'random bytes', answer: Buffer.from([0, 255, 13, 10, 13, 10, 1, 2, 3]) },
    { what: 'half an answer, then silence for ever', answer: 'HTTP/1.1 200 OK\r\ncontent-le', close: false },
    { what: 'somebody who hangs up', answer: '' },
  ]) {
    const isSilent = what.includes('silence');
    const expected = isSilent ? { status: 504, code: 'PEER_TIMEOUT' } : { status: 502, code: 'PROXY_ERROR' };
    test(`where ${what} answers: ${expected.status}`, async () => {
      const server = net.createServer((socket) => {
        socket.on('error', () => {});
        socket.once('data', () => {
          socket.write(answer);
          if (!isSilent) socket.end();
        });
      });
      const port = await listenAnywhere(server);
      try {
        const id = `callfs-odd-${port}`;
        const config = { cluster: { response_timeout: '1s' } };
        await using asked = await startMisled(id, `http://127.0.0.1:${port}`, config);
        await assertAllAnswered(asked, { ...expected, message: /./ });
      } finally {
        server.close();
      }
    });
  }

  for (const status of [200, 204, 404, 500]) {
    test(`where an HTTP server that is not CallFS answers ${status}: 502, not its answer`, async () => {
      const server = createServer((request, response) => {
        request.resume();
        response.writeHead(status, { 'content-type': 'text/html' });
        response.end(status === 204 ? undefined : '<h1>It works!</h1>');
      });
      const port = await listenAnywhere(server);
      try {
        await using asked = await startMisled(`callfs-web-${status}`, `http://127.0.0.1:${port}`);
        await assertAllAnswered(asked, { status: 502, code: 'PROXY_ERROR', message: /not a CallFS instance/ });
      } finally {
        server.closeAllConnections();
        server.close();
      }
    });
  }
});

function assertTyped(
  method: string,
  answer: Answer,
  { status, code, message }: { status: number; code: string; message: RegExp },
): void {
  assert.equal(answer.status, status, `${method}: ${answer.text}`);
  if (method === 'HEAD') return;
  const body = answer.json();
  assert.equal(body.code, code);
  assert.equal(body.instance_id, 'callfs-1');
  assert.match(String(body.message), message);
}

/** A port whose process is frozen with a full queue of connections: more are not even answered (Linux). */
class BlackHole implements AsyncDisposable {
  readonly port: number;
  readonly #process: ChildProcess;
  readonly #waiting: readonly net.Socket[];

  private constructor(port: number, process: ChildProcess, waiting: readonly net.Socket[]) {
    this.port = port;
    this.#process = process;
    this.#waiting = waiting;
  }

  static async dig(): Promise<BlackHole | undefined> {
    const listen =
      "const s = require('net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => console.log(s.address().port))";
    const child = spawn(process.execPath, ['-e', listen], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const port = Number(line);
    child.kill('SIGSTOP');
    const waiting: net.Socket[] = [];
    for (let tries = 0; tries < 16; tries++) {
      const socket = net.connect({ host: '127.0.0.1', port });
      socket.on('error', () => {});
      waiting.push(socket);
      const connected = await Promise.race([
        once(socket, 'connect').then(() => true),
        new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 300)),
      ]);
      if (!connected) return new BlackHole(port, child, waiting);
    }
    await new BlackHole(port, child, waiting)[Symbol.asyncDispose]();
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#waiting) socket.destroy();
    const exited = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await exited;
  }
}
