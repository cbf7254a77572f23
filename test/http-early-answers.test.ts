/** Answers that come before the client has sent its body: it gets them, whatever it is, and not a reset. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { closeSync, openSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { promisify } from 'node:util';
import { stagedFiles } from './support/at-rest.ts';
import { call } from './support/client.ts';
import { ALICE_KEY, BOB_KEY, startCluster, type TestCluster, type TestInstance } from './support/cluster.ts';
import { unlessInstalled } from './support/installed.ts';
import { RawConnection } from './support/raw-connection.ts';
import { waitFor } from './support/wait-for.ts';

const run = promisify(execFile);
const MIB = 1024 * 1024;
const BODY_BYTES = process.env.CALLFS_LONG_TESTS === '1' ? 1024 * MIB : 64 * MIB;
const MAX_UPLOAD = 1_000_000;

const REFUSALS: readonly [name: string, target: string, key: string, status: number][] = [
  ['409', '/v1/files/taken', ALICE_KEY, 409],
  ['403', '/v1/files/private/new', BOB_KEY, 403],
  ['413', '/v1/files/too-large', ALICE_KEY, 413],
  ['401', '/v1/files/unknown', 'not-a-key', 401],
];

suite('an answer before the body', { timeout: 240_000 }, () => {
  let cluster: TestCluster;
  let large: string;
  before(async () => {
    cluster = await startCluster({ instances: 2, config: { server: { max_upload_size: MAX_UPLOAD } } });
    large = join(cluster.folder, 'large');
    closeSync(openSync(large, 'w'));
    truncateSync(large, BODY_BYTES);
    const { url } = cluster.at(0);
    assert.equal((await call('POST', url, '/v1/files/taken', { body: 'taken' })).status, 201);
    assert.equal((await call('POST', url, '/v1/files/private/')).status === 201, true);
  });
  after(() => cluster[Symbol.asyncDispose]());

  /** @returns the status, and the bytes of the body that curl has sent */
  async function curl(instance: TestInstance, target: string, key: string, ...more: string[]) {
    const { stdout } = await run('curl', [
      ...['-sS', '-X', 'POST', '-T', large, '-o', join(cluster.folder, 'answer')],
      ...['-H', `Authorization: Bearer ${key}`, '-w', '%{http_code} %{size_upload}', ...more],
      instance.url + target,
    ]);
    const [status, sentBytes] = stdout.split(' ').map(Number);
    return { status, sentBytes };
  }

  async function* zeros(): AsyncGenerator<Uint8Array> {
    const chunk = new Uint8Array(MIB);
    for (let sent = 0; sent < BODY_BYTES; sent += MIB) yield chunk;
  }

  for (const [where, position] of [
    ['the owner', 0],
    ['an instance that forwards', 1],
  ] as const) {
    for (const [name, target, key, status] of REFUSALS) {
      test(`${name} from ${where} reaches curl`, { skip: unlessInstalled('curl') }, async () => {
        const answer = await curl(cluster.at(position), target, key, '-H', 'Expect:');
        assert.equal(answer.status, status);
      });

      test(`${name} from ${where} costs curl nothing when it waits for 100 Continue`, {
        skip: unlessInstalled('curl'),
      }, async () => {
        const answer = await curl(
          cluster.at(position),
          target,
          key,
          '--expect100-timeout',
          '20',
          '-H',
          'Expect: 100-continue',
        );
        assert.deepEqual(answer, { status, sentBytes: 0 });
      });

      test(`${name} from ${where} reaches fetch`, async () => {
        const answer = await fetch(cluster.at(position).url + target, {
          method: 'POST',
          headers: { authorization: `Bearer ${key}` },
          body: ReadableStream.from(zeros()),
          duplex: 'half',
        } as RequestInit);
        // Of unknown length: 413 comes when more has arrived than allowed.
        assert.equal(answer.status, status);
        assert.equal(((await answer.json()) as { request_id: string }).request_id, answer.headers.get('x-request-id'));
      });
    }

    test(`${where} says when it will not take the rest of the body, and otherwise goes on`, async () => {
      const { url } = cluster.at(position);
      const headers = { authorization: `Bearer ${ALICE_KEY}` };
      using patient = await RawConnection.open(url);
      for (let round = 0; round < 3; round++) {
        patient.sendHead('POST', '/v1/files/taken', { ...headers, 'content-length': '1000' });
        patient.send('x'.repeat(500));
        const answer = await patient.answer('POST');
        assert.equal(answer.status, 409);
        assert.notEqual(answer.headers.connection, 'close');
        patient.send('x'.repeat(500));
      }
      for (const framing of [{ 'content-length': String(BODY_BYTES) }, { 'transfer-encoding': 'chunked' }]) {
        using hasty = await RawConnection.open(url);
        hasty.sendHead('POST', '/v1/files/taken', { ...headers, ...framing });
        const answer = await hasty.answer('POST');
        assert.equal(answer.status, 409);
        assert.equal(answer.headers.connection, 'close', JSON.stringify(framing));
        hasty.end();
        await waitFor('the connection to end', () => hasty.isClosed);
      }
    });
  }

  for (const [what, sent] of [
    ['a part of the body', 100_000],
    ['the whole body', 500_000],
  ] as const) {
    test(`after the owner died when it had ${what} the connection serves the next request at once`, async () => {
      const [owner, peer] = [cluster.at(0), cluster.at(1)];
      const target = `/v1/files/dying-${sent}`;
      assert.equal((await call('POST', owner.url, target, { body: 'kept' })).status, 201);
      using connection = await RawConnection.open(peer.url);
      const headers = { authorization: `Bearer ${ALICE_KEY}` };
      if (sent === 500_000) owner.signal('SIGSTOP');
      connection.sendHead('PUT', target, { ...headers, 'content-length': '500000' });
      connection.send('x'.repeat(sent));
      if (sent < 500_000) await waitFor('the upload to have begun', () => stagedFiles(owner).length === 1);
      await owner.kill();
      try {
        const answer = await connection.answer('PUT');
        assert.equal(answer.status, 502, answer.text);
        assert.notEqual(answer.headers.connection, 'close');
        connection.send('x'.repeat(500_000 - sent));
        const startedAt = performance.now();
        connection.sendHead('GET', '/health');
        assert.equal((await connection.answer()).status, 200);
        assert(performance.now() - startedAt < 5000);
      } finally {
        await owner.start();
      }
    });
  }

  test('leaves nothing behind', async () => {
    for (const instance of cluster.instances) await waitFor('nothing staged', () => stagedFiles(instance).length === 0);
    const read = () => call('GET', cluster.at(1).url, '/v1/files/taken');
    await waitFor('the owner to be known as back', async () => (await read()).status === 200);
    assert.equal((await read()).text, 'taken');
  });
});
