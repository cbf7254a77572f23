/** PATCH at the owner and at others: rename, move, attributes, and bytes that go to another instance. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { assertAtRest, assertNothingForeign, filesOnDisk } from './support/at-rest.ts';
import { call } from './support/client.ts';
import { ADMIN_KEY, ALICE_KEY, BOB_KEY, startCluster, type TestCluster } from './support/cluster.ts';
import { clusterFiles } from './support/cluster-files.ts';
import { RawConnection } from './support/raw-connection.ts';
import { waitFor } from './support/wait-for.ts';

suite('PATCH', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await startCluster();
  });
  after(() => cluster[Symbol.asyncDispose]());
  const { put, patch, assertEverywhere } = clusterFiles(() => cluster);

  test('renames a file through any instance; the bytes, the ETag and the owner stay', async () => {
    const made = await put(0, '/rename/old.txt', 'bytes');
    const renamed = await patch(1, '/rename/old.txt', { name: 'new.txt' });
    assert.equal(renamed.status, 200, renamed.text);
    assert.equal(renamed.json().path, '/rename/new.txt');
    assert.equal(renamed.json().instance_id, 'callfs-1');
    assert.equal(renamed.headers.etag, made.headers.etag);
    await assertEverywhere('/rename/old.txt', undefined);
    await assertEverywhere('/rename/new.txt', 'bytes');
    await assertAtRest(cluster);
  });

  test('moves a directory with files of all instances at once', async () => {
    for (const at of [0, 1, 2]) await put(at, `/tree/deep/${at}/file.txt`, `of ${at}`);
    const moved = await patch(2, '/tree', { destination: '/elsewhere/tree', create_parents: true });
    assert.equal(moved.status, 200, moved.text);
    assert.equal(moved.json().type, 'directory');
    for (const at of [0, 1, 2]) {
      await assertEverywhere(`/tree/deep/${at}/file.txt`, undefined);
      await assertEverywhere(`/elsewhere/tree/deep/${at}/file.txt`, `of ${at}`);
    }
    await assertAtRest(cluster);
  });

  test('keeps what was moved and what took its place apart, however fast they follow each other', async () => {
    await put(0, '/swap/a/f', 'first a');
    await put(0, '/swap/b/f', 'first b');
    for (let round = 0; round < 20; round++) {
      assert.equal((await patch(0, '/swap/a', { name: 'c' })).status, 200);
      assert.equal((await patch(1, '/swap/b', { name: 'a' })).status, 200);
      assert.equal((await patch(2, '/swap/c', { name: 'b' })).status, 200);
      await put(round, '/swap/a/f', `a of ${round}`);
      await put(round + 1, '/swap/b/f', `b of ${round}`);
      await put(round + 2, '/swap/a/extra', `extra of ${round}`);
      await assertEverywhere('/swap/a/f', `a of ${round}`);
      await assertEverywhere('/swap/b/f', `b of ${round}`);
      await assertEverywhere('/swap/a/extra', `extra of ${round}`);
    }
    await assertAtRest(cluster);
    assertNothingForeign(cluster);
  });

  test('refuses what stands in the way, unless it may be overwritten', async () => {
    await put(0, '/over/source', 'new');
    const old = await put(1, '/over/target', 'old');
    const refused = await patch(2, '/over/source', { name: 'target' });
    assert.equal(refused.status, 409);
    assert.equal(refused.json().code, 'FILE_ALREADY_EXISTS');
    assert.equal((refused.json().existing as { etag: string }).etag, old.headers.etag);
    const replaced = await patch(2, '/over/source', { name: 'target', overwrite: true });
    assert.equal(replaced.status, 200, replaced.text);
    await assertEverywhere('/over/target', 'new');
    await assertEverywhere('/over/source', undefined);

    await put(0, '/over/directory/file', 'x');
    const overDirectory = await patch(0, '/over/target', { destination: '/over/directory', overwrite: true });
    assert.equal(overDirectory.status, 409);
    await call('POST', cluster.at(1).url, '/v1/files/over/empty/');
    const full = await patch(1, '/over/empty', { destination: '/over/directory', overwrite: true });
    assert.equal(full.status, 409);
    assert.equal(full.json().code, 'DIRECTORY_NOT_EMPTY');
    assert.equal((await patch(1, '/over/directory', { destination: '/over/empty', overwrite: true })).status, 200);
    await assertEverywhere('/over/empty/file', 'x');
    await assertAtRest(cluster);
  });

  test('refuses what cannot be: the root, a directory into itself, a missing parent, a parent that is a file', async () => {
    await put(0, '/odd/dir/file', 'x');
    const cases: readonly [string, object, number, string][] = [
      ['/', { name: 'x' }, 403, 'PERMISSION_DENIED'],
      ['/odd/dir', { destination: '/odd/dir/below' }, 400, 'BAD_REQUEST'],
      ['/odd/dir', { destination: '/odd/missing/dir' }, 404, 'FILE_NOT_FOUND'],
      ['/odd/dir', { destination: '/odd/dir2/' }, 200, ''],
      ['/odd/dir2', { name: 'dir' }, 200, ''],
      ['/odd/dir', { destination: '/odd/dir/file/dir' }, 400, 'BAD_REQUEST'],
      ['/odd/dir/file', { destination: '/odd/dir/file/x' }, 409, 'NOT_A_DIRECTORY'],
      ['/odd/dir/file', { destination: '/odd/new/' }, 400, 'BAD_REQUEST'],
      ['/odd/dir/file', { name: 'a/b' }, 400, 'BAD_REQUEST'],
      ['/odd/dir/file', { name: '..' }, 400, 'INVALID_PATH'],
      ['/odd/dir/file', { destination: '/.callfs/x' }, 400, 'INVALID_PATH'],
      ['/odd/dir/file', { destination: 'relative' }, 400, 'BAD_REQUEST'],
      ['/odd/dir/file', { name: 'x', destination: '/y' }, 400, 'BAD_REQUEST'],
      ['/odd/dir/file', { nome: 'x' }, 400, 'BAD_REQUEST'],
      ['/odd/dir/file', {}, 400, 'BAD_REQUEST'],
      ['/odd/dir/file', { destination: '/odd/z', instance: 'nobody' }, 400, 'BAD_REQUEST'],
      ['/odd/none', { name: 'x' }, 404, 'FILE_NOT_FOUND'],
      ['/odd/dir/file', { name: 'file' }, 200, ''],
    ];
    for (const at of [0, 1]) {
      for (const [path, change, status, code] of cases) {
        const answer = await patch(at, path, change);
        assert.equal(answer.status, status, `${path} ${JSON.stringify(change)}: ${answer.text}`);
        if (status !== 200) assert.equal(answer.json().code, code, `${path} ${JSON.stringify(change)}`);
      }
    }
  });

  test('changes mode, owner and group as on Unix', async () => {
    await put(0, '/attributes/file', 'x');
    const mode = await patch(1, '/attributes/file', { mode: '0600' });
    assert.equal(mode.headers['x-callfs-mode'], '0600');
    assert.equal((await call('GET', cluster.at(2).url, '/v1/files/attributes/file', { key: BOB_KEY })).status, 403);
    assert.equal((await patch(2, '/attributes/file', { mode: '0644' }, BOB_KEY)).status, 403);
    assert.equal((await patch(0, '/attributes/file', { owner: 'bob' })).status, 403);
    assert.equal((await patch(0, '/attributes/file', { owner: 'nobody' }, ADMIN_KEY)).status, 400);
    assert.equal((await patch(0, '/attributes/file', { group: 'wheel' })).status, 403);
    assert.equal((await patch(0, '/attributes/file', { mode: '9' })).status, 400);
    const owner = await patch(1, '/attributes/file', { owner: 'bob', group: 'staff' }, ADMIN_KEY);
    assert.equal(owner.status, 200, owner.text);
    assert.equal(owner.json().owner, 'bob');
    assert.equal((await call('GET', cluster.at(2).url, '/v1/files/attributes/file', { key: BOB_KEY })).status, 200);
  });

  test('needs the right to change both directories, and honours conditions', async () => {
    await put(0, '/mine/file', 'x');
    assert.equal((await patch(1, '/mine/file', { destination: '/stolen' }, BOB_KEY)).status, 403);
    const { headers } = await call('HEAD', cluster.at(0).url, '/v1/files/mine/file');
    const body = JSON.stringify({ name: 'other' });
    const wrong = { 'if-match': '"wrong"' };
    assert.equal((await call('PATCH', cluster.at(1).url, '/v1/files/mine/file', { body, headers: wrong })).status, 412);
    const right = { 'if-match': String(headers.etag) };
    assert.equal((await call('PATCH', cluster.at(1).url, '/v1/files/mine/file', { body, headers: right })).status, 200);
  });

  test('says what it knows from the path before it asks for the body', async () => {
    await put(0, '/asked/file', 'x', { 'x-callfs-mode': '0600' });
    const cases: readonly [string, string, number][] = [
      ['/asked/none', ALICE_KEY, 404],
      ['/asked/file', BOB_KEY, 403],
    ];
    for (const at of [0, 1]) {
      for (const [path, key, status] of cases) {
        using client = await RawConnection.open(cluster.at(at).url);
        const headers = { authorization: `Bearer ${key}`, 'content-length': '14', expect: '100-continue' };
        client.sendHead('PATCH', `/v1/files${path}`, headers);
        const answer = await client.answer('PATCH');
        assert.deepEqual([answer.status, client.interim], [status, []], answer.text);
      }
    }
  });

  test('brings a file to another instance: same bytes, ETag, type, time and mode, another owner', async () => {
    const body = 'x'.repeat(3_000_000);
    await put(0, '/move/file.bin', body, { 'x-callfs-mode': '0640', 'content-type': 'text/x-test' });
    const before = await call('HEAD', cluster.at(0).url, '/v1/files/move/file.bin');
    // Asked at an instance that neither has the bytes nor shall have them.
    const moved = await patch(1, '/move/file.bin', { destination: '/move/there.bin', instance: 'callfs-3' });
    assert.equal(moved.status, 200, moved.text);
    const after = await call('HEAD', cluster.at(1).url, '/v1/files/move/there.bin');
    assert.equal(after.headers['x-callfs-instance-id'], 'callfs-3');
    for (const name of ['etag', 'last-modified', 'content-type', 'x-callfs-mode', 'x-callfs-owner', 'content-length']) {
      assert.equal(after.headers[name], before.headers[name], name);
    }
    await assertEverywhere('/move/there.bin', body);
    await waitFor('the old bytes to go', () => !filesOnDisk(cluster.at(0)).includes('/move/file.bin'));
    assert.equal(
      (await patch(0, '/move/there.bin', { destination: '/move/there.bin', instance: 'callfs-1' })).status,
      200,
    );
    assert.equal(
      (await patch(2, '/move/there.bin', { destination: '/move/there.bin', instance: 'callfs-3' })).status,
      200,
    );
    await assertEverywhere('/move/there.bin', body);
    await assertAtRest(cluster);
    assertNothingForeign(cluster);
  });
});
