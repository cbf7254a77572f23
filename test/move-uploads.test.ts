/** Uploads and copies that take long while owners change: nothing is cut off, nothing is answered 503. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import * as http from 'node:http';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { assertAtRest, stagedFiles } from './support/at-rest.ts';
import { call } from './support/client.ts';
import { ADMIN_KEY, ALICE_KEY, startCluster, type TestInstance } from './support/cluster.ts';
import { waitFor } from './support/wait-for.ts';

/** Longer than the timeouts. */
const SLOW_FOR_MS = 3000;

suite('while the owner changes', { timeout: 120_000 }, () => {
  test('an upload that has arrived already follows the file to a third instance', async () => {
    await using cluster = await startCluster();
    const [a, b, c] = [cluster.at(0), cluster.at(1), cluster.at(2)];
    const target = '/v1/files/dir/file';
    assert.equal((await call('PUT', a.url, target, { body: 'old' })).status, 201);
    const headers = { authorization: `Bearer ${ALICE_KEY}`, 'content-length': '6' };
    const { promise: answered, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
    const upload = http.request(a.url + target, { method: 'PUT', headers }, resolve).on('error', reject);
    upload.write('new');
    await waitFor('the upload to arrive at the owner', () => stagedFiles(a).length > 0);
    const body = JSON.stringify({ destination: '/dir/file', instance: b.id });
    assert.equal((await call('PATCH', b.url, target, { body })).status, 200);
    // What has arrived goes to the new owner, which cannot look before the file is yet another one's.
    b.signal('SIGSTOP');
    upload.end('est');
    await waitForRequestTo(b);
    const removed = await call('DELETE', c.url, '/v1/files/dir?recursive=true', { key: ADMIN_KEY });
    assert.equal(removed.status, 204, removed.text);
    assert.equal((await call('POST', c.url, target, { body: 'another' })).status, 201);
    b.signal('SIGCONT');
    const answer = await answered;
    const text = Buffer.concat(await answer.toArray()).toString();
    assert.equal(answer.statusCode, 200, text);
    for (const { url } of cluster.instances) assert.equal((await call('GET', url, target)).text, 'newest');
    await assertAtRest(cluster);
  });

  test('a copy to another instance that takes longer than every timeout is not cut off, asked wherever', async () => {
    const config = { server: { idle_timeout: '2s' }, cluster: { response_timeout: '2s' } };
    await using cluster = await startCluster({ config });
    const [a, b, c] = [cluster.at(0), cluster.at(1), cluster.at(2)];
    const content = Buffer.alloc(96_000_000, 'x');
    for (const asked of [b, c]) {
      const path = `/large-${asked.id}`;
      assert.equal((await call('PUT', a.url, `/v1/files${path}`, { body: content })).status, 201);
      const body = JSON.stringify({ destination: path, instance: b.id });
      const moved = call('PATCH', asked.url, `/v1/files${path}`, { body });
      moved.catch(() => {});
      await waitFor('the first bytes to arrive', () => stagedBytes(b) > 0);
      let outcome: string | undefined;
      void moved
        .then(({ status, text }) => `${status} ${text}`, String)
        .then((ended) => {
          outcome = ended;
        });
      // Slow, but not silent: the timeouts are for those who stopped working.
      for (const start = performance.now(); performance.now() - start < SLOW_FOR_MS; ) {
        a.signal('SIGSTOP');
        await new Promise((resolve) => setTimeout(resolve, 400));
        assert.equal(outcome, undefined);
        a.signal('SIGCONT');
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      const { status, text, headers } = await moved;
      assert.equal(status, 200, text);
      assert.equal(headers['x-callfs-instance-id'], b.id);
    }
  });
});

function stagedBytes(instance: TestInstance): number {
  const folder = join(instance.dataRoot, '.callfs', 'staging');
  return readdirSync(folder).reduce(
    (sum, name) => sum + (statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0),
    0,
  );
}

/** More than a question whether somebody is alive has, and less than the head of any forwarded request. */
const HEAD_BYTES = 250;

/** Resolves when a request waits in the kernel for an instance that is stopped (proc(5), /proc/net/tcp). */
async function waitForRequestTo({ url }: TestInstance): Promise<void> {
  const port = Number(new URL(url).port).toString(16).toUpperCase().padStart(4, '0');
  await waitFor('a request to wait for the instance', () => {
    const sockets = readFileSync('/proc/net/tcp', 'utf8').split('\n').slice(1);
    return sockets.some((line) => {
      const [, local = '', , , queues = ''] = line.trim().split(/\s+/);
      return local.endsWith(`:${port}`) && Number.parseInt(queues.split(':')[1] ?? '0', 16) > HEAD_BYTES;
    });
  });
}
