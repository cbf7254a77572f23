/** What both documents of the project's idea show, on three real instances. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { call } from './support/client.ts';
import { startCluster, type TestCluster } from './support/cluster.ts';

suite('three instances, one namespace', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await startCluster();
  });
  after(() => cluster[Symbol.asyncDispose]());

  test('a file created at one instance is a conflict at another, which names the owner', async () => {
    const [a, b] = [cluster.at(0), cluster.at(1)];
    const created = await call('POST', a.url, '/v1/files/conflict.txt', { body: 'content' });
    assert.equal(created.status, 201);
    const refused = await call('POST', b.url, '/v1/files/conflict.txt', { body: 'different content' });
    assert.equal(refused.status, 409);
    const { error, existing_path, instance_id, backend_type, suggestion, update_url, code } = refused.json();
    assert.deepEqual(
      { error, existing_path, instance_id, backend_type, suggestion, update_url, code },
      {
        error: 'Resource exists on another server',
        existing_path: '/conflict.txt',
        instance_id: 'callfs-1',
        backend_type: 'localfs',
        suggestion: 'File already exists on another server. Use PUT to update it.',
        update_url: `${a.url}/v1/files/conflict.txt`,
        code: 'FILE_ALREADY_EXISTS',
      },
    );
  });

  test('PUT, GET, HEAD and DELETE reach the owner from everywhere', async () => {
    const [a, b, c] = [cluster.at(0), cluster.at(1), cluster.at(2)];
    assert.equal((await call('PUT', a.url, '/v1/files/routed.txt', { body: 'content' })).status, 201);
    const updated = await call('PUT', b.url, '/v1/files/routed.txt', { body: 'updated content' });
    assert.equal(updated.status, 200);
    assert.equal(updated.headers['x-callfs-instance-id'], 'callfs-1');
    for (const instance of cluster.instances) {
      const got = await call('GET', instance.url, '/v1/files/routed.txt');
      assert.equal(got.text, 'updated content');
      assert.equal(got.headers.etag, updated.headers.etag);
      const head = await call('HEAD', instance.url, '/v1/files/routed.txt');
      assert.equal(head.headers['content-length'], '15');
      assert.equal(head.headers['x-callfs-size'], '15');
    }
    assert.equal((await call('DELETE', c.url, '/v1/files/routed.txt')).status, 204);
    for (const instance of cluster.instances) {
      assert.equal((await call('GET', instance.url, '/v1/files/routed.txt')).status, 404);
    }
  });
});
