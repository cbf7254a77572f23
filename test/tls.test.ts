/** A cluster behind TLS whose instances show each other certificates; clients of HTTP/1.1 and HTTP/2. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import * as http2 from 'node:http2';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { Agent, request } from 'undici';
import { WebSocket } from 'ws';
import { PeerSigner } from '../src/cluster/peer-signature.ts';
import { stagedFiles } from './support/at-rest.ts';
import { call } from './support/client.ts';
import { ALICE_KEY, startCluster, type TestCluster, type TestInstance } from './support/cluster.ts';
import { run } from './support/command.ts';
import { answerOf, H2Client } from './support/h2.ts';
import { forgetPeak, residentBytes } from './support/process-usage.ts';
import { connectSecurely, TestPki as Pki, type TestPki } from './support/tls.ts';
import { waitFor } from './support/wait-for.ts';

const LONG = process.env.CALLFS_LONG_TESTS === '1';
const MIB = 1024 * 1024;
const INTERNAL_SECRET = 'internal-5a4b3c2d1e0f9988';
/** Header fields that mean a connection; HTTP/2 has none (RFC 9113 section 8.2.2). */
const OF_CONNECTIONS = ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'];

let cluster: TestCluster;
let pki: TestPki;
let [owner, peer, third]: TestInstance[] = [];
before(async () => {
  cluster = await startCluster({ tls: 'mutual', config: { server: { idle_timeout: '20s' } } });
  assert(cluster.pki);
  pki = cluster.pki;
  [owner, peer, third] = cluster.instances as [TestInstance, TestInstance, TestInstance];
});
after(() => cluster?.[Symbol.asyncDispose]());

const instance = (one: TestInstance | undefined): TestInstance => {
  assert(one);
  return one;
};
const a = (): TestInstance => instance(owner);
const b = (): TestInstance => instance(peer);
const c = (): TestInstance => instance(third);
const files = (path: string): string => `/v1/files/${path}`;

function newAgent(allowH2: boolean): AsyncDisposable & { readonly agent: Agent } {
  const agent = new Agent({ allowH2, connect: { ca: pki.ca } });
  return { agent, [Symbol.asyncDispose]: () => agent.close() };
}

/** The serial number of the certificate that a new connection is shown. */
async function shownSerial(url: string): Promise<string> {
  const socket = connectSecurely(url);
  await once(socket, 'secureConnect');
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
}

for (const allowH2 of [false, true]) {
  const version = allowH2 ? 'HTTP/2' : 'HTTP/1.1';

  test(`over ${version} files are created, conflict, are replaced, read and removed from everywhere`, async () => {
    await using agent = newAgent(allowH2);
    const path = files(`all/${allowH2}.txt`);
    const ask = async (method: 'GET' | 'POST' | 'PUT' | 'HEAD' | 'DELETE', { url }: TestInstance, body?: string) => {
      const headers = { authorization: `Bearer ${ALICE_KEY}` };
      const answer = await request(url + path, { method, dispatcher: agent.agent, headers, body: body ?? null });
      return { status: answer.statusCode, headers: answer.headers, text: await answer.body.text() };
    };
    const created = await ask('POST', a(), 'first');
    assert.equal(created.status, 201);
    assert.match(String(created.headers['strict-transport-security']), /^max-age=\d+/);
    const conflict = await ask('POST', b(), 'second');
    assert.equal(conflict.status, 409);
    assert.equal(JSON.parse(conflict.text).update_url, a().url + path);
    assert.equal((await ask('PUT', b(), 'third')).status, 200);
    for (const one of cluster.instances) {
      const got = await ask('GET', one);
      assert.deepEqual([got.status, got.text, got.headers['x-callfs-instance-id']], [200, 'third', 'callfs-1']);
      assert.match(String(got.headers['strict-transport-security']), /^max-age=\d+/);
      assert.equal((await ask('HEAD', one)).headers['content-length'], '5');
    }
    assert.equal((await ask('DELETE', c())).status, 204);
    assert.equal((await ask('GET', a())).status, 404);
  });
}

suite('HTTP/2', () => {
  test('says nothing about connections, and shows ranges, HEAD and streamed listings as HTTP/1.1 does', async () => {
    const names = Array.from({ length: 700 }, (_, n) => `${n}-${'x'.repeat(150)}`);
    await Promise.all(
      [0, 1, 2, 3].map(async (part) => {
        for (const [n, name] of names.entries()) if (n % 4 === part) await call('PUT', a().url, files(`many/${name}`));
      }),
    );
    await call('PUT', a().url, files('ranges.txt'), { body: '0123456789' });
    for (const { url } of [a(), b()]) {
      using client = await H2Client.open(url, pki.ca);
      for (const path of ['ranges.txt', 'many', 'missing']) {
        const answer = await client.call('GET', files(path));
        const plain = await call('GET', url, files(path));
        assert.equal(answer.status, plain.status);
        if (plain.status === 200) assert.equal(answer.text, plain.text);
        for (const name of OF_CONNECTIONS) assert.equal(answer.headers[name], undefined, name);
      }
      const part = await client.call('GET', files('ranges.txt'), undefined, { range: 'bytes=2-4' });
      assert.deepEqual([part.status, part.text, part.headers['content-range']], [206, '234', 'bytes 2-4/10']);
      const head = await client.call('HEAD', files('ranges.txt'));
      assert.deepEqual([head.status, head.headers['content-length'], head.text], [200, '10', '']);
      const lines = await client.call('GET', '/v1/directories/many', undefined, { accept: 'application/x-ndjson' });
      assert.equal(lines.text.trimEnd().split('\n').length, 700);
    }
  });

  test('paths mean what they mean in HTTP/1.1', async () => {
    using client = await H2Client.open(b().url, pki.ca);
    for (const [path, status] of [
      ['caf%C3%A9', 201],
      ['caf%c3%a9', 409],
      ['a%2Fb', 400],
      ['%2e%2e/x', 400],
      ['//twice///slashed', 201],
      ['twice/slashed', 409],
    ] as const) {
      assert.equal((await client.call('POST', files(path), 'x')).status, status, path);
    }
  });

  test('has its verdict before the body: 401, 409 and 413 come while the client has sent only the head', async () => {
    await call('PUT', a().url, files('taken.txt'), { body: 'old' });
    for (const { url } of [a(), b()]) {
      using client = await H2Client.open(url, pki.ca);
      for (const [headers, status] of [
        [{ 'content-length': 500 * MIB }, 409],
        [{ 'content-length': 500 * MIB, expect: '100-continue' }, 409],
        [{}, 409],
        [{ authorization: 'Bearer nobody-knows-this-key' }, 401],
      ] as const) {
        const stream = client.start('POST', files('taken.txt'), headers);
        let isAsked = false;
        stream.on('continue', () => {
          isAsked = true;
        });
        const { status: given, text } = await answerOf(stream);
        assert.deepEqual([given, isAsked], [status, false]);
        assert(JSON.parse(text).code);
      }
      // The connection serves on.
      assert.equal((await client.call('GET', files('taken.txt'))).text, 'old');
    }
  });

  test('asks for a body with 100 only when somebody takes it', async () => {
    for (const { url } of [a(), b()]) {
      using client = await H2Client.open(url, pki.ca);
      const stream = client.start('PUT', files('asked.txt'), { expect: '100-continue', 'content-length': 5 });
      await once(stream, 'continue');
      stream.end('12345');
      assert((await answerOf(stream)).status < 300);
    }
    assert.equal((await call('GET', c().url, files('asked.txt'))).text, '12345');
  });

  test('a client that is refused in the middle of its body is told to stop, and gets the answer', async () => {
    await using limited = await startCluster({
      instances: 1,
      tls: 'server',
      config: { server: { max_upload_size: MIB } },
    });
    pki.trust();
    assert(limited.pki);
    using client = await H2Client.open(limited.at(0).url, limited.pki.ca);
    const stream = client.start('PUT', files('too-large.bin'));
    const answer = answerOf(stream);
    stream.setMaxListeners(0);
    let sent = 0;
    const block = Buffer.alloc(64 * 1024);
    while (!stream.destroyed && !stream.closed && sent < 256 * MIB) {
      sent += block.length;
      if (!stream.write(block)) await Promise.race([once(stream, 'drain'), once(stream, 'close')]);
    }
    assert.equal((await answer).status, 413);
    assert(sent < 16 * MIB, `sent ${sent}`);
    assert.equal((await client.call('GET', files('too-large.bin'))).status, 404);
    await waitFor('nothing to be left', async () => (await stagedFiles(limited.at(0))).length === 0);
  });

  test('an upload that is cut changes nothing, however it is cut', async () => {
    await call('PUT', a().url, files('cut.txt'), { body: 'whole' });
    const cuts: Readonly<Record<string, (stream: http2.ClientHttp2Stream, client: H2Client) => void>> = {
      cancelled: (stream, client) => client.reset(stream, http2.constants.NGHTTP2_CANCEL),
      'reset without an error': (stream, client) => client.reset(stream, http2.constants.NGHTTP2_NO_ERROR),
      'connection lost': (_stream, client) => client.cutConnection(),
      'session ended': (_stream, client) => client.session.destroy(),
    };
    for (const { url } of [a(), b()]) {
      for (const [name, cut] of Object.entries(cuts)) {
        for (const headers of [{}, { 'content-length': 3 * MIB }]) {
          for (const path of ['cut.txt', `cut-new-${randomUUID()}.txt`]) {
            const client = await H2Client.open(url, pki.ca);
            using _client = client;
            const stream = client.start('PUT', files(path), { expect: '100-continue', ...headers });
            await once(stream, 'continue');
            await new Promise((resolve) => stream.write(Buffer.alloc(MIB), resolve));
            cut(stream, client);
            await waitFor(
              `${name} to be noticed`,
              async () => (await stagedFiles(a())).length + (await stagedFiles(b())).length === 0,
            );
            const now = await call('GET', c().url, files(path));
            assert.deepEqual(
              [now.status, path === 'cut.txt' ? now.text : ''],
              path === 'cut.txt' ? [200, 'whole'] : [404, ''],
              name,
            );
          }
        }
      }
    }
  });

  test('a length that the body does not have is an error and changes nothing', async () => {
    using client = await H2Client.open(b().url, pki.ca);
    for (const [length, body] of [
      [10, 'short'],
      [3, 'long'],
    ] as const) {
      const stream = client.start('PUT', files('mismatch.txt'), { 'content-length': length });
      stream.end(body);
      const answer = await answerOf(stream).catch(() => undefined);
      assert(answer === undefined || answer.status >= 400, `${answer?.status}`);
      assert.equal((await call('GET', a().url, files('mismatch.txt'))).status, 404);
    }
  });

  test('a reader that reads nothing costs no memory, at the owner nor in between', async () => {
    const sizeBytes = LONG ? 1024 * MIB : 192 * MIB;
    const block = Buffer.alloc(MIB, 7);
    const source = join(cluster.folder, 'large.bin');
    for (let written = 0; written < sizeBytes; written += block.length) writeFileSync(source, block, { flag: 'a' });
    const put = await request(a().url + files('large.bin'), {
      method: 'PUT',
      headers: { authorization: `Bearer ${ALICE_KEY}` },
      body: createReadStream(source),
    });
    assert.equal(put.statusCode, 201, await put.body.text());
    const before = [a(), b()].map(({ pid }) => residentBytes(pid));
    for (const { pid } of [a(), b()]) forgetPeak(pid);
    const clients = await Promise.all([a(), b()].map(({ url }) => H2Client.open(url, pki.ca)));
    const streams = clients.flatMap((client) =>
      Array.from({ length: 4 }, () => client.start('GET', files('large.bin')).end()),
    );
    await Promise.all(streams.map((stream) => once(stream, 'response')));
    // Others are served meanwhile, by the same instances.
    for (let n = 0; n < 50; n++) assert.equal((await call('GET', b().url, files('ranges.txt'))).status, 200);
    for (const [index, { pid, id }] of [a(), b()].entries()) {
      const growth = residentBytes(pid, 'VmHWM') - (before[index] ?? 0);
      assert(growth < 100 * MIB, `${id} grew by ${growth / MIB} MiB`);
    }
    for (const client of clients) client[Symbol.dispose]();
  });

  test('a client that opens and resets streams as fast as it can is stopped, and others are served', async () => {
    const rss = residentBytes(a().pid);
    using hostile = await H2Client.open(a().url, pki.ca);
    let opened = 0;
    const gone = once(hostile.session, 'close');
    const stop = performance.now() + 20_000;
    while (!hostile.session.closed && !hostile.session.destroyed && performance.now() < stop) {
      for (let n = 0; n < 50 && !hostile.session.destroyed; n++) {
        const stream = hostile.start('GET', files('ranges.txt'));
        stream.close(http2.constants.NGHTTP2_CANCEL);
        opened++;
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    await gone;
    assert(opened < 50_000, `${opened}`);
    assert.equal((await call('GET', a().url, files('ranges.txt'))).status, 200);
    assert(residentBytes(a().pid) - rss < 100 * MIB);
  });
});

test('a WebSocket over TLS carries a file up and down, also through a peer', async () => {
  const options = { headers: { authorization: `Bearer ${ALICE_KEY}` }, ca: pki.ca };
  const target = (one: TestInstance, mode: string): string =>
    `${one.url.replace('https:', 'wss:')}/v1/files/ws/socket.bin?mode=${mode}`;
  const content = Buffer.alloc(300_000, 'socket');
  const up = new WebSocket(target(a(), 'upload'), options);
  await once(up, 'open');
  up.send(content);
  const said = once(up, 'message');
  up.close(1000);
  assert.equal(String((await said)[0]), `ok:${content.length}`);
  const down = new WebSocket(target(b(), 'download'), options);
  const parts: Buffer[] = [];
  down.on('message', (part: Buffer) => parts.push(part));
  await once(down, 'close');
  assert(Buffer.concat(parts).equals(content));
});

suite('a peer', () => {
  const signer = new PeerSigner({
    secret: INTERNAL_SECRET,
    instanceId: 'callfs-9',
    bootId: 'boot',
    clock: { now: () => Date.now() },
  });

  /** What an instance says to a signed request on a connection with this certificate. */
  async function signed(pair: { cert?: string; key?: string }, target = files('ranges.txt')): Promise<string> {
    const socket: TLSSocket = connectSecurely(a().url, pair);
    await once(socket, 'secureConnect');
    const header = signer.sign({ method: 'GET', target }, 'callfs-1', '');
    const key = `authorization: Bearer ${ALICE_KEY}\r\nx-callfs-peer: ${header}`;
    socket.write(`GET ${target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${key}\r\n\r\n`);
    let text = '';
    for await (const chunk of socket) text += chunk;
    return text;
  }

  test('needs a client certificate of the authority beside its signature', async () => {
    const own = await pki.issue('callfs-9');
    const stranger = await Pki.create(join(cluster.folder, 'strangers')).finally(() => pki.trust());
    for (const target of [files('ranges.txt'), '/v1/internal/contents/x?content=y']) {
      const without = await signed({}, target);
      assert.match(
        without,
        /^HTTP\/1\.1 401 [\s\S]*x-callfs-peer-refused: no-certificate\r\n[\s\S]*AUTHENTICATION_FAILED/,
      );
      const foreign = await signed(await stranger.issue('callfs-9'), target);
      assert.match(foreign, /^HTTP\/1\.1 401 [\s\S]*x-callfs-peer-refused: certificate=\w+\r\n/);
      const expired = await signed(await pki.issue('callfs-9', ['localhost'], -1), target);
      assert.match(expired, /x-callfs-peer-refused: certificate=CERT_HAS_EXPIRED\r\n/);
      // Believed as far as the certificate goes: it is asked for a signature for this boot.
      assert.match(await signed(own, target), /x-callfs-peer-refused: boot=/);
    }
    // Who is no peer needs no certificate.
    assert.equal((await call('GET', a().url, files('ranges.txt'))).status, 200);
  });
});

suite('certificates', () => {
  test('are renewed under load without a failed request, in place, by rename and behind a symbolic link', async () => {
    await call('PUT', c().url, files('rotation/file'), { body: 'content' });
    let isOver = false;
    let done = 0;
    const load = Array.from({ length: 4 }, async (_, n) => {
      const path = files(`rotation/${n}`);
      while (!isOver) {
        // A connection of its own for each round, so that handshakes meet the renewal, too.
        await using agent = newAgent(n % 2 === 0);
        const one = cluster.at(done);
        const options = { dispatcher: agent.agent, headers: { authorization: `Bearer ${ALICE_KEY}` } };
        const put = await request(one.url + path, { ...options, method: 'PUT', body: `${n}` });
        assert(put.statusCode < 300, await put.body.text());
        await put.body.dump();
        const got = await request(cluster.at(done + 1).url + files('rotation/file'), options);
        assert.equal(await got.body.text(), 'content');
        done++;
      }
    });
    const ways: readonly ((id: string) => Promise<void>)[] = [
      async (id) => pki.write(id, await pki.issue(id)),
      async (id) => {
        pki.write(`${id}-next`, await pki.issue(id));
        for (const end of ['key', 'crt']) renameSync(pki.path(`${id}-next.${end}`), pki.path(`${id}.${end}`));
      },
      async (id) => {
        pki.write(`${id}-real`, await pki.issue(id));
        for (const end of ['key', 'crt']) {
          symlinkSync(`${id}-real.${end}`, pki.path(`${id}-link.${end}`));
          renameSync(pki.path(`${id}-link.${end}`), pki.path(`${id}.${end}`));
        }
      },
    ];
    for (const renew of ways) {
      const old = await Promise.all(cluster.instances.map(({ url }) => shownSerial(url)));
      await Promise.all(cluster.instances.map(({ id }) => renew(id)));
      for (const [index, { url, id }] of cluster.instances.entries()) {
        await waitFor(`${id} to show its new certificate`, async () => (await shownSerial(url)) !== old[index]);
      }
    }
    isOver = true;
    await Promise.all(load);
    assert(done > 20, `${done}`);
  });

  test('that do not fit together are reported, and the old ones stay in use', async () => {
    const { url, id, log } = a();
    const old = await shownSerial(url);
    const good = readFileSync(pki.path(`${id}.crt`), 'utf8');
    writeFileSync(pki.path(`${id}.crt`), (await pki.issue(id)).cert);
    const complaint = await waitFor('a complaint', () =>
      log.find(({ msg }) => /cannot be used; the old ones/.test(String(msg))),
    );
    assert.match(JSON.stringify(complaint), /server\.key_file: .* does not belong to the certificate/);
    assert.equal(await shownSerial(url), old);
    writeFileSync(pki.path(`${id}.crt`), good);
  });

  test('of an owner that have expired, are for another host or from elsewhere are a 502 that says so', async () => {
    await call('PUT', c().url, files('of-third'), { body: 'x' });
    const good = await pki.issue('callfs-3');
    const stranger = await Pki.create(join(cluster.folder, 'others')).finally(() => pki.trust());
    for (const [pair, reason] of [
      [await pki.issue('callfs-3', ['127.0.0.1'], -1), 'certificate has expired'],
      [await pki.issue('callfs-3', ['other.example']), 'certificate is for another host name'],
      [await stranger.issue('callfs-3'), 'certificate is from an authority that is not trusted'],
    ] as const) {
      await c().stop();
      pki.write('callfs-3', pair);
      await c().start();
      const answer = await waitFor('the refusal', async () => {
        const given = await call('GET', a().url, files('of-third'));
        return given.text.includes('certificate') ? given : undefined;
      });
      const { code, message, instance_id: id } = answer.json();
      assert.deepEqual([answer.status, code, id], [502, 'PROXY_ERROR', 'callfs-3']);
      assert.equal(message, `failed to proxy request to owning server: ${reason}`);
      const startedAt = performance.now();
      assert.equal((await call('GET', a().url, files('of-third'))).status, 502);
      assert(performance.now() - startedAt < 500);
      assert.equal((await call('GET', a().url, '/ready')).status, 200);
    }
    // With nobody's help the cluster is whole again when the certificate is.
    pki.write('callfs-3', good);
    await waitFor(
      'the owner to be believed',
      async () => (await call('GET', a().url, files('of-third'))).status === 200,
    );
  });

  test('are not looked at with skip_tls_verify, of peers only, and the log warns', async () => {
    const stranger = await Pki.create(join(cluster.folder, 'third')).finally(() => pki.trust());
    await c().stop();
    pki.write('callfs-3', await stranger.issue('callfs-3', ['elsewhere.example']));
    await c().start();
    await b().stop();
    await b().start({ CALLFS_BACKEND__INTERNAL_PROXY_SKIP_TLS_VERIFY: 'true' });
    assert.equal((await call('GET', b().url, files('of-third'))).status, 200);
    assert(b().log.some(({ level, msg }) => level === 'warn' && /skip_tls_verify/.test(String(msg))));
    // What it skips is its own look: towards it, peers are as strict as before.
    assert.equal((await call('GET', a().url, files('of-third'))).status, 502);
    await assert.rejects(call('GET', c().url, '/health'));
    pki.write('callfs-3', await pki.issue('callfs-3'));
    await b().stop();
    await b().start();
    await waitFor(
      'the third to be believed again',
      async () => (await call('GET', b().url, files('of-third'))).status === 200,
    );
  });
});

test('who speaks plain HTTP is told to use https, and TLS before 1.2 is refused', async () => {
  const answer = await call('GET', a().url.replace('https:', 'http:'), '/health');
  assert.equal(answer.status, 400);
  assert.match(String(answer.json().message), /https/);
  const { hostname: host, port } = new URL(a().url);
  const old = connect({ host, port: Number(port), ca: pki.ca, minVersion: 'TLSv1', maxVersion: 'TLSv1.1' });
  await assert.rejects(once(old, 'secureConnect'));
});

test('a killed owner is 502 in time, also over HTTP/2', async () => {
  await call('PUT', c().url, files('of-killed'), { body: 'x' });
  await c().kill();
  using client = await H2Client.open(b().url, pki.ca);
  const startedAt = performance.now();
  assert.equal((await client.call('GET', files('of-killed'))).status, 502);
  assert(performance.now() - startedAt < 2000);
  await c().start();
  await waitFor('it to be back', async () => (await client.call('GET', files('of-killed'))).status === 200);
});

test('commands reach an instance behind TLS, whose certificate need not name its address', async () => {
  const config = JSON.parse(readFileSync(a().configFile, 'utf8')) as { server: object };
  const file = join(cluster.folder, 'status.json');
  writeFileSync(file, JSON.stringify({ ...config, server: { ...config.server, listen_addr: new URL(a().url).host } }));
  const shown = await run(['cluster', 'status', '--json', '-c', file]);
  assert.equal(shown.exitCode, 0, shown.stderr);
  const { instances } = JSON.parse(shown.stdout) as { instances: { state: string; endpoint: string }[] };
  assert.deepEqual(
    instances.map(({ state }) => state),
    ['up', 'up', 'up'],
  );
  for (const { endpoint } of instances) assert.match(endpoint, /^https:/);
  const drained = await run(['node', 'drain', 'callfs-3', '-c', a().configFile], { patienceMs: 60_000 });
  assert.deepEqual([drained.exitCode, drained.stderr], [0, ''], drained.stdout);
  const back = await run(['node', 'undrain', 'callfs-3', '-c', a().configFile]);
  assert.equal(back.exitCode, 0, back.stderr);
});

test('a stop lets a request of HTTP/2 finish, and ends', async () => {
  using client = await H2Client.open(c().url, pki.ca);
  const stream = client.start('PUT', files('last'), { expect: '100-continue' });
  await once(stream, 'continue');
  const stopped = c().stop();
  await once(client.session, 'goaway');
  stream.end('until the end');
  const { status } = await answerOf(stream);
  assert.deepEqual([status, await stopped], [201, 0]);
});
