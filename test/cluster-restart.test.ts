/** What must hold across a stop or a restart of an instance. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { Agent, type IncomingMessage, request } from 'node:http';
import { suite, test } from 'node:test';
import { PeerSigner } from '../src/cluster/peer-signature.ts';
import { stagedFiles } from './support/at-rest.ts';
import { call } from './support/client.ts';
import { ALICE_KEY, startCluster } from './support/cluster.ts';
import { RawConnection } from './support/raw-connection.ts';
import { SlowReader, uploadPattern } from './support/transfers.ts';
import { waitFor } from './support/wait-for.ts';

/** More than sockets and buffers on the way hold, so that the owner is still sending when it is stopped. */
const LARGE_BYTES = 64 * 1024 * 1024;

suite('across a restart', () => {
  test('a signature that was recorded before cannot be replayed after', async () => {
    await using cluster = await startCluster({ instances: 1 });
    const owner = cluster.at(0);
    const target = '/v1/files/recorded';
    await call('PUT', owner.url, target, { body: 'x' });
    const { auth } = JSON.parse(readFileSync(owner.configFile, 'utf8')) as { auth: { internal_proxy_secret: string } };
    const clock = { now: () => Date.now() };
    const secret = auth.internal_proxy_secret;
    const signer = new PeerSigner({ secret, instanceId: 'callfs-2', bootId: 'a-boot', clock });
    const send = (header: string) => call('GET', owner.url, target, { headers: { 'x-callfs-peer': header } });
    const sign = async () => {
      const refused = await send(signer.sign({ method: 'GET', target }, owner.id, ''));
      const boot = String(refused.headers['x-callfs-peer-refused']).replace('boot=', '');
      return signer.sign({ method: 'GET', target }, owner.id, boot);
    };
    const [recorded, neverSent] = [await sign(), await sign()];
    assert.equal((await send(recorded)).status, 200);
    assert.equal((await send(recorded)).status, 401);
    await owner.kill();
    await owner.start();
    assert.equal((await send(recorded)).status, 401);
    assert.equal((await send(neverSent)).status, 401);
    assert.equal((await send(await sign())).status, 200);
  });

  test('peers go on with an owner that was restarted, uploads too', async () => {
    await using cluster = await startCluster({ instances: 2 });
    const [owner, peer] = [cluster.at(0), cluster.at(1)];
    assert.equal((await call('PUT', owner.url, '/v1/files/kept', { body: 'one' })).status, 201);
    assert.equal((await call('PUT', peer.url, '/v1/files/kept', { body: 'two' })).status, 200);
    await owner.kill();
    await owner.start();
    await waitFor('the peer to reach the owner', async () => {
      return (await call('PUT', peer.url, '/v1/files/kept', { body: 'three' })).status === 200;
    });
    assert.equal((await call('GET', peer.url, '/v1/files/kept')).text, 'three');
  });

  for (const [who, position] of [
    ['the owner', 0],
    ['the instance that forwards', 1],
  ] as const) {
    test(`a clean stop of ${who} finishes the upload and the download that run`, async () => {
      await using cluster = await startCluster({ instances: 2 });
      const [owner, peer, victim] = [cluster.at(0), cluster.at(1), cluster.at(position)];
      const { sha256 } = await uploadPattern(owner.url, '/v1/files/large', LARGE_BYTES);
      assert.equal((await call('PUT', owner.url, '/v1/files/slow', { body: 'before' })).status, 201);
      await waitFor('both to be settled', () => stagedFiles(owner).length === 0);
      using download = await SlowReader.open(peer.url, '/v1/files/large');
      using upload = await RawConnection.open(peer.url);
      upload.sendHead('PUT', '/v1/files/slow', { authorization: `Bearer ${ALICE_KEY}`, 'content-length': '10' });
      upload.send('first');
      await waitFor('the upload to begin', () => stagedFiles(owner).length === 1);
      const stopped = victim.stop();
      await stopToBegin(victim.url);
      upload.send('other');
      const answer = await upload.answer('PUT');
      assert.equal(answer.status, 200, answer.text);
      assert.equal(await download.readAll(1e9), sha256);
      assert.equal(await stopped, 0);
      await victim.start();
      const isThere = async () => (await call('GET', peer.url, '/v1/files/slow')).text === 'firstother';
      await waitFor('the whole upload to be read', isThere);
    });
  }

  test('a clean stop does not wait for a client that keeps its connection open after its answer', async () => {
    await using cluster = await startCluster({ instances: 1 });
    const instance = cluster.at(0);
    const agent = new Agent({ keepAlive: true });
    const upload = request(`${instance.url}/v1/files/slow`, {
      method: 'PUT',
      agent,
      headers: { authorization: `Bearer ${ALICE_KEY}`, 'content-length': '10' },
    });
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      upload.on('response', resolve).on('error', reject);
    });
    upload.write('first');
    const staging = `${instance.dataRoot}/.callfs/staging`;
    await waitFor('the upload to begin', () => readdirSync(staging).length === 1);
    const stopped = instance.stop();
    await stopToBegin(instance.url);
    upload.end('other');
    assert.equal((await answered).statusCode, 201);
    const startedAt = performance.now();
    assert.equal(await stopped, 0);
    assert(performance.now() - startedAt < 5000, `took ${performance.now() - startedAt} ms`);
    agent.destroy();
  });
});

test('the URL in a conflict is the one that the owner gives clients, whoever is asked', async () => {
  await using cluster = await startCluster({ instances: 3 });
  const owner = cluster.at(0);
  await owner.stop();
  await owner.start({ CALLFS_SERVER__EXTERNAL_URL: 'https://files.example/one' });
  const peer = cluster.at(1);
  await peer.stop();
  await peer.start({ CALLFS_INSTANCE_DISCOVERY__PEER_ENDPOINTS__CALLFS_1: owner.url });
  assert.equal((await call('POST', owner.url, '/v1/files/public', { body: 'x' })).status, 201);
  for (const { url } of cluster.instances) {
    await waitFor('the URL to be known', async () => {
      const conflict = await call('POST', url, '/v1/files/public', { body: 'y' });
      return conflict.json().update_url === 'https://files.example/one/v1/files/public';
    });
  }
});

/** Resolves when the instance takes no more connections. */
async function stopToBegin(url: string): Promise<void> {
  await waitFor('the stop to begin', () =>
    call('GET', url, '/health').then(
      () => false,
      () => true,
    ),
  );
}
