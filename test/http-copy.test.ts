/** Copies of files and trees, and directories whose bytes go to another instance. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { assertAtRest, assertNothingForeign, filesOnDisk, listTree } from './support/at-rest.ts';
import { type Answer, call } from './support/client.ts';
import { ADMIN_KEY, BOB_KEY, startCluster, type TestCluster } from './support/cluster.ts';
import { clusterFiles } from './support/cluster-files.ts';
import { assertNothingUnseen } from './support/unseen.ts';
import { waitFor } from './support/wait-for.ts';

suite('copies', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await startCluster();
  });
  after(() => cluster[Symbol.asyncDispose]());
  const { put, patch, assertEverywhere } = clusterFiles(() => cluster, ADMIN_KEY);

  async function assertClean(): Promise<void> {
    await assertAtRest(cluster);
    assertNothingForeign(cluster);
    await assertNothingUnseen(cluster);
  }

  const head = (at: number, path: string): Promise<Answer> =>
    call('HEAD', cluster.at(at).url, `/v1/files${path}`, { key: ADMIN_KEY });

  test('of a file are new files of the caller with the same bytes, mode and type, at the owner of the original', async () => {
    const body = 'copied '.repeat(100_000);
    const made = await put(0, '/file/original.bin', body, { 'x-callfs-mode': '0644', 'content-type': 'text/x-test' });
    const copied = await patch(1, '/file/original.bin', { destination: '/of-bob.bin', copy: true }, BOB_KEY);
    assert.equal(copied.status, 200, copied.text);
    const { path, owner, instance_id, size } = copied.json();
    assert.deepEqual([path, owner, instance_id, size], ['/of-bob.bin', 'bob', 'callfs-1', body.length]);
    assert.notEqual(copied.headers.etag, made.headers.etag);
    const [original, copy] = [await head(2, '/file/original.bin'), await head(2, '/of-bob.bin')];
    for (const name of ['content-type', 'x-callfs-mode', 'content-length'])
      assert.equal(copy.headers[name], original.headers[name], name);
    assert.equal(copy.headers.etag, copied.headers.etag);
    assert.equal(original.headers['x-callfs-owner'], 'alice');
    await put(2, '/file/original.bin', 'another');
    await assertEverywhere('/of-bob.bin', body);
    await assertEverywhere('/file/original.bin', 'another');
    await assertClean();
  });

  test('of a file go to the instance that is named, asked anywhere', async () => {
    await put(0, '/named/file', 'bytes');
    for (const [asked, holder] of [
      [0, 2],
      [1, 2],
      [2, 2],
      [1, 1],
    ] as const) {
      const destination = `/named/copy-${asked}-${holder}`;
      const copied = await patch(asked, '/named/file', { destination, copy: true, instance: cluster.at(holder).id });
      assert.equal(copied.status, 200, copied.text);
      assert.equal(copied.json().instance_id, cluster.at(holder).id);
      await assertEverywhere(destination, 'bytes');
    }
    await assertEverywhere('/named/file', 'bytes');
    await assertClean();
  });

  test('take the place of a file only when they may, and make missing parents only when they shall', async () => {
    await put(0, '/over/source', 'new', { 'x-callfs-mode': '0600' });
    const old = await put(1, '/over/target', 'old');
    const refused = await patch(2, '/over/source', { destination: '/over/target', copy: true });
    assert.deepEqual([refused.status, refused.json().code], [409, 'FILE_ALREADY_EXISTS']);
    const replaced = await patch(2, '/over/source', { destination: '/over/target', copy: true, overwrite: true });
    assert.equal(replaced.status, 200, replaced.text);
    assert.notEqual(replaced.headers.etag, old.headers.etag);
    assert.equal(replaced.headers['x-callfs-mode'], '0600');
    await assertEverywhere('/over/target', 'new');
    await assertEverywhere('/over/source', 'new');
    const deep = { destination: '/over/a/b/c', copy: true };
    assert.equal((await patch(1, '/over/source', deep)).status, 404);
    assert.equal((await patch(1, '/over/source', { ...deep, create_parents: true })).status, 200);
    await assertEverywhere('/over/a/b/c', 'new');
    await assertClean();
  });

  test('of a directory have everything below it, whichever instances hold it, and are independent of it', async () => {
    for (const at of [0, 1, 2]) await put(at, `/tree/deep/${at}/file`, `of ${at}`, { 'x-callfs-mode': '0640' });
    await call('POST', cluster.at(1).url, '/v1/files/tree/empty/', { headers: { 'x-callfs-mode': '0750' } });
    const copied = await patch(2, '/tree', { destination: '/copies/tree', copy: true, create_parents: true });
    assert.equal(copied.status, 200, copied.text);
    assert.deepEqual([copied.json().path, copied.json().type], ['/copies/tree', 'directory']);
    const [original, copy] = [await listTree(cluster.at(0), '/tree'), await listTree(cluster.at(1), '/copies/tree')];
    const shapeOf = (tree: typeof copy) =>
      tree.map(({ path, type, mode, size, instance_id }) => [
        path.replace(/^\/copies/, ''),
        type,
        mode,
        size,
        type === 'file' && instance_id,
      ]);
    assert.equal(copy.length, 8);
    assert.deepEqual(shapeOf(copy), shapeOf(original));
    const etags = new Set(original.map(({ etag }) => `${etag}`).filter((etag) => etag !== 'null'));
    assert(copy.every(({ etag }) => !etags.has(`${etag}`)));
    await put(1, '/tree/deep/0/file', 'changed');
    assert.equal((await call('DELETE', cluster.at(0).url, '/v1/files/tree/deep/1?recursive=true')).status, 204);
    for (const at of [0, 1, 2]) await assertEverywhere(`/copies/tree/deep/${at}/file`, `of ${at}`);
    const gathered = await patch(0, '/copies/tree', { destination: '/gathered', copy: true, instance: 'callfs-3' });
    assert.equal(gathered.status, 200, gathered.text);
    for (const { type, instance_id } of await listTree(cluster.at(1), '/gathered'))
      assert(type === 'directory' || instance_id === 'callfs-3');
    for (const at of [0, 1, 2]) await assertEverywhere(`/gathered/deep/${at}/file`, `of ${at}`);
    await assertClean();
  });

  test('of a directory take the place of an empty directory only', async () => {
    await put(0, '/room/source/file', 'x');
    await put(0, '/room/full/file', 'y');
    await call('POST', cluster.at(1).url, '/v1/files/room/empty/');
    const to = (destination: string) => ({ destination, copy: true, overwrite: true });
    assert.equal((await patch(1, '/room/source', { destination: '/room/empty', copy: true })).status, 409);
    assert.equal((await patch(1, '/room/source', to('/room/full'))).json().code, 'DIRECTORY_NOT_EMPTY');
    assert.equal((await patch(1, '/room/source', to('/room/full/file'))).status, 409);
    assert.equal((await patch(1, '/room/source', to('/room/empty'))).status, 200);
    await assertEverywhere('/room/empty/file', 'x');
    await assertEverywhere('/room/full/file', 'y');
    await assertClean();
  });

  test('are refused as moves are: into itself, the reserved name, both parents, the sticky bit, unknown instances', async () => {
    await put(0, '/odd/dir/file', 'x');
    await put(0, '/odd/closed/secret', 'x', { 'x-callfs-mode': '0600' });
    await put(1, '/odd/closed/private/file', 'x');
    await patch(0, '/odd/closed/private', { mode: '0700' });
    await put(2, '/odd/shared/of-alice', 'x');
    await patch(0, '/odd/shared', { mode: '1777' });
    await put(0, '/of-alice', 'x');
    const cases: readonly [string, object, number, string, string?][] = [
      ['/', { destination: '/odd/root', copy: true }, 400, 'BAD_REQUEST', ADMIN_KEY],
      ['/odd/dir', { destination: '/odd/dir/below', copy: true }, 400, 'BAD_REQUEST'],
      ['/odd/dir', { destination: '/odd/dir', copy: true, overwrite: true }, 400, 'BAD_REQUEST'],
      ['/odd/dir/file', { destination: '/odd/dir/file', copy: true, overwrite: true }, 400, 'BAD_REQUEST'],
      ['/odd/dir/file', { destination: '/odd/dir/file/x', copy: true }, 409, 'NOT_A_DIRECTORY'],
      ['/odd/dir/file', { destination: '/odd/new/', copy: true }, 400, 'BAD_REQUEST'],
      ['/odd/dir', { destination: '/.callfs/x', copy: true }, 400, 'INVALID_PATH'],
      ['/odd/dir', { destination: '/.callfs/copies/x', copy: true }, 400, 'INVALID_PATH'],
      ['/odd/dir', { name: 'x', copy: true }, 400, 'BAD_REQUEST'],
      ['/odd/dir', { copy: true }, 400, 'BAD_REQUEST'],
      ['/odd/dir', { destination: '/odd/z', copy: 'yes' }, 400, 'BAD_REQUEST'],
      ['/odd/dir', { destination: '/odd/z', copy: true, instance: 'nobody' }, 400, 'BAD_REQUEST'],
      ['/odd/dir', { destination: '/odd/z', copy: true, backend: 'tape' }, 400, 'BAD_REQUEST'],
      ['/odd/none', { destination: '/odd/z', copy: true }, 404, 'FILE_NOT_FOUND'],
      ['/odd/dir', { destination: '/odd/missing/z', copy: true }, 404, 'FILE_NOT_FOUND'],
      ['/odd/dir', { destination: '/odd/stolen', copy: true }, 403, 'PERMISSION_DENIED', BOB_KEY],
      ['/odd/closed/secret', { destination: '/bobs', copy: true }, 403, 'PERMISSION_DENIED', BOB_KEY],
      ['/odd/closed', { destination: '/bobs', copy: true }, 403, 'PERMISSION_DENIED', BOB_KEY],
      ['/odd/dir/file', { destination: '/odd/shared/of-alice', copy: true, overwrite: true }, 403, '', BOB_KEY],
      ['/odd/dir/file', { destination: '/of-alice', copy: true, overwrite: true }, 403, '', BOB_KEY],
      ['/odd/dir', { instance: 'nobody' }, 400, 'BAD_REQUEST'],
      ['/odd/dir', { instance: 'callfs-2' }, 403, 'PERMISSION_DENIED', BOB_KEY],
      ['/odd/dir', { destination: '/odd/z', backend: 'tape' }, 400, 'BAD_REQUEST'],
    ];
    for (const at of [0, 1]) {
      for (const [path, change, status, code, key] of cases) {
        const answer = await patch(at, path, change, key);
        assert.equal(answer.status, status, `${path} ${JSON.stringify(change)} at ${at}: ${answer.text}`);
        if (code !== '') assert.equal(answer.json().code, code, `${path} ${JSON.stringify(change)}`);
      }
    }
    assert.deepEqual(
      (await listTree(cluster.at(2))).filter(({ path }) => /^\/(bobs|odd\/(z|new|stolen))/.test(path)),
      [],
    );
    await assertClean();
  });

  test('show themselves whole or not at all, while they are made and removed', async () => {
    const FILES = 30;
    for (let file = 0; file < FILES; file++) await put(file, `/whole/source/${file % 5}/f${file}`, `${file}`);
    let isOver = false;
    let seen = 0;
    const reader = async (at: number): Promise<void> => {
      while (!isOver) {
        const files = (await listTree(cluster.at(at), '/whole')).filter(
          ({ path, type }) => type === 'file' && path.startsWith('/whole/copy'),
        );
        assert(files.length === 0 || files.length === FILES, `${files.length} of ${FILES} files`);
        if (files.length > 0) seen += 1;
        const top = await listTree(cluster.at(at));
        assert(top.every(({ path }) => !path.startsWith('/.callfs')));
      }
    };
    const copier = async (): Promise<void> => {
      for (let round = 0; round < 6; round++) {
        const copied = await patch(round, '/whole/source', { destination: `/whole/copy`, copy: true });
        assert.equal(copied.status, 200, copied.text);
        await waitFor('a reader to see it', () => seen > round);
        const aside = await patch(round + 1, '/whole/copy', { destination: `/aside-${round}` });
        assert.equal(aside.status, 200, aside.text);
      }
    };
    const readers = [0, 1, 2].map(reader);
    try {
      await copier();
    } finally {
      isOver = true;
      await Promise.all(readers);
    }
    await assertClean();
  });

  test('directories bring their bytes to another instance, and keep everything else', async () => {
    for (const at of [0, 1, 2]) await put(at, `/bytes/${at}/file`, `of ${at}`);
    const before = new Map((await listTree(cluster.at(0), '/bytes')).map((entry) => [entry.path, entry]));
    const same = await patch(1, '/bytes', { backend: 'localfs' });
    assert.equal(same.status, 200, same.text);
    const moved = await patch(1, '/bytes', { instance: 'callfs-3' });
    assert.equal(moved.status, 200, moved.text);
    for (const { instance_id, ...entry } of await listTree(cluster.at(2), '/bytes')) {
      const { instance_id: old, ...was } = before.get(entry.path) ?? { instance_id: '' };
      assert.deepEqual(entry, was);
      assert.equal(instance_id, entry.type === 'file' ? 'callfs-3' : old);
    }
    for (const at of [0, 1, 2]) await assertEverywhere(`/bytes/${at}/file`, `of ${at}`);
    const further = await patch(0, '/bytes', { destination: '/further', instance: 'callfs-1' });
    assert.equal(further.status, 200, further.text);
    assert.equal(further.json().path, '/further');
    await assertEverywhere('/bytes/0/file', undefined);
    for (const at of [0, 1, 2]) await assertEverywhere(`/further/${at}/file`, `of ${at}`);
    await assertClean();
    assert.deepEqual(
      filesOnDisk(cluster.at(2)).filter((path) => path.startsWith('/further')),
      [],
    );
  });

  test('files that are read and written while their directory goes to another instance lose nothing', async () => {
    const FILES = 24;
    for (let file = 0; file < FILES; file++) await put(file, `/busy/d${file % 3}/f${file}`, `0 ${file}`);
    const last = new Map<number, string>();
    let isOver = false;
    const writer = async (number: number): Promise<void> => {
      for (let round = 1; !isOver; round++) {
        const file = (number + 4 * round) % FILES;
        if (file % 4 !== number) continue;
        const body = `${round} ${file} `.repeat(1 + (round % 3) * 500);
        await put(number + round, `/busy/d${file % 3}/f${file}`, body);
        last.set(file, body);
      }
    };
    const reader = async (number: number): Promise<void> => {
      for (let round = 0; !isOver; round++) {
        const file = (number + round) % FILES;
        const { status, text } = await call('GET', cluster.at(round).url, `/v1/files/busy/d${file % 3}/f${file}`);
        assert.equal(status, 200, text);
        assert.equal(text.split(' ')[1], `${file}`);
      }
    };
    const others = [0, 1, 2, 3].map(writer).concat([0, 1].map(reader));
    try {
      for (let round = 0; round < 4; round++) {
        const moved = await patch(round, '/busy', { instance: cluster.at(round + 1).id });
        assert.equal(moved.status, 200, moved.text);
      }
    } finally {
      isOver = true;
      await Promise.all(others);
    }
    for (const [file, body] of last) await assertEverywhere(`/busy/d${file % 3}/f${file}`, body);
    const settled = await patch(2, '/busy', { instance: 'callfs-2' });
    assert.equal(settled.status, 200, settled.text);
    for (const { type, instance_id } of await listTree(cluster.at(0), '/busy'))
      assert(type === 'directory' || instance_id === 'callfs-2');
    await assertClean();
  });
});
