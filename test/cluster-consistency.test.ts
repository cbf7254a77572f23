/** What one instance has answered holds at every other, at once; and the disks hold what the namespace says. */
import assert from 'node:assert/strict';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { assertAtRest, assertNothingForeign, filesOnDisk, listTree, lostFiles } from './support/at-rest.ts';
import { type Answer, call } from './support/client.ts';
import { startCluster, type TestCluster, type TestInstance } from './support/cluster.ts';
import { waitFor } from './support/wait-for.ts';

suite('every instance answers with the latest state', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await startCluster();
  });
  after(() => cluster[Symbol.asyncDispose]());

  async function assertReadEverywhere(target: string, body: string, etag: unknown): Promise<void> {
    const length = String(Buffer.byteLength(body));
    const checks = cluster.instances.flatMap(({ url, id }) =>
      ['GET', 'HEAD'].map(async (method) => {
        const { status, text, headers } = await call(method, url, target);
        const seen = { status, length: headers['content-length'], size: headers['x-callfs-size'], etag: headers.etag };
        assert.deepEqual(seen, { status: 200, length, size: length, etag }, `${method} ${target} at ${id}`);
        if (method === 'GET') assert(text === body, `the body of ${target} at ${id}`);
      }),
    );
    await Promise.all(checks);
  }

  async function assertGoneEverywhere(target: string): Promise<void> {
    const checks = cluster.instances.flatMap(({ url, id }) =>
      ['GET', 'HEAD'].map(async (method) => {
        assert.equal((await call(method, url, target)).status, 404, `${method} ${target} at ${id}`);
      }),
    );
    await Promise.all(checks);
  }

  test('2,000 times what one instance has written is read at another at once, never stale and never mixed', async () => {
    const [lanes, perLane] = [8, 125];
    const owners = new Set<unknown>();
    let pairs = 0;
    await Promise.all(
      Array.from({ length: lanes }, async (_, lane) => {
        const target = `/v1/files/pairs/lane-${lane}.bin`;
        for (let number = 0; number < perLane; number++) {
          const writer = cluster.at(lane + number);
          // Now and then the file comes back at another owner.
          if (number % 9 === 8) assert.equal((await call('DELETE', writer.url, target)).status, 204);
          const body = bodyOfPair(lane, number);
          const written = await call('PUT', writer.url, target, { body });
          assert.equal(written.status, number % 9 === 8 || number === 0 ? 201 : 200, written.text);
          owners.add(written.headers['x-callfs-instance-id']);
          await assertReadEverywhere(target, body, written.headers.etag);
          pairs += 2;
        }
      }),
    );
    assert.equal(pairs, 2000);
    assert.equal(owners.size, 3);
  });

  test('a file that another instance deletes is gone everywhere at once', async () => {
    for (let round = 0; round < 60; round++) {
      const target = `/v1/files/deleted-${round}`;
      assert.equal((await call('POST', cluster.at(round).url, target, { body: 'x' })).status, 201);
      assert.equal((await call('GET', cluster.at(round + 2).url, target)).status, 200);
      assert.equal((await call('DELETE', cluster.at(round + 1).url, target)).status, 204);
      await assertGoneEverywhere(target);
    }
  });

  test('a file that is created again elsewhere belongs there, and its first owner keeps nothing of it', async () => {
    const [a, b, c] = [cluster.at(0), cluster.at(1), cluster.at(2)];
    const target = '/v1/files/again/nested/file.txt';
    await call('POST', a.url, target, { body: 'first' });
    await waitFor('the file to lie on its first owner', () => existsSync(join(a.dataRoot, 'again/nested/file.txt')));
    assert.equal((await call('DELETE', b.url, target)).status, 204);
    const created = await call('POST', c.url, target, { body: 'second' });
    assert.equal(created.status, 201);
    await assertReadEverywhere(target, 'second', created.headers.etag);
    for (const { url } of cluster.instances) {
      assert.equal((await call('HEAD', url, target)).headers['x-callfs-instance-id'], c.id);
    }
    await waitFor('the first owner to forget the file', () => !existsSync(join(a.dataRoot, 'again')));
    await waitFor('the new owner to have it', () => existsSync(join(c.dataRoot, 'again/nested/file.txt')));
    assert.equal(readFileSync(join(c.dataRoot, 'again/nested/file.txt'), 'utf8'), 'second');
  });

  test('a tree over several instances that one instance removes is gone from every disk', async () => {
    for (const [number, { url }] of cluster.instances.entries()) {
      for (let file = 0; file < 5; file++) {
        const target = `/v1/files/spread/${number}/${file}`;
        assert.equal((await call('POST', url, target, { body: `${number}-${file}` })).status, 201);
      }
    }
    assert.equal((await call('DELETE', cluster.at(1).url, '/v1/files/spread?recursive=true')).status, 204);
    await assertGoneEverywhere('/v1/files/spread');
    for (const { id, dataRoot } of cluster.instances) {
      await waitFor(`the tree to leave the disk of ${id}`, () => !existsSync(join(dataRoot, 'spread')));
    }
  });

  test('at rest a disk shows exactly the files that its instance owns, under their own names', async () => {
    const trees = await Promise.all(cluster.instances.map((instance) => listTree(instance)));
    assert.deepEqual(trees[1], trees[0]);
    assert.deepEqual(trees[2], trees[0]);
    await assertAtRest(cluster);
    for (const { path, instance_id } of (trees[0] ?? []).filter(({ type }) => type === 'file')) {
      const owner = cluster.instances.find(({ id }) => id === instance_id);
      assert(owner);
      const { body } = await call('GET', cluster.at(0).url, `/v1/files${path}`);
      assert(body.equals(readFileSync(owner.dataRoot + path)), path);
    }
    assertNothingForeign(cluster);
  });

  /** Creates a file at the first instance and waits until it lies under its own name. */
  async function createAtRest(name: string, body: string): Promise<{ target: string; file: string; created: Answer }> {
    const owner = cluster.at(0);
    const [target, file] = [`/v1/files/${name}`, join(owner.dataRoot, name)];
    const created = await call('POST', owner.url, target, { body });
    assert.equal(created.status, 201);
    await waitFor(`${name} to be at rest`, () => existsSync(file));
    return { target, file, created };
  }

  for (const [asker, where] of ['its owner', 'a peer'].entries()) {
    test(`a file edited on disk is a new version, first noticed at ${where}`, async () => {
      const { target, file, created } = await createAtRest(`edited-${asker}.txt`, 'as uploaded');
      writeFileSync(file, 'as edited outside of CallFS');
      const { text, headers } = await call('GET', cluster.at(asker).url, target);
      assert.equal(text, 'as edited outside of CallFS');
      assert.notEqual(headers.etag, created.headers.etag);
      await assertReadEverywhere(target, 'as edited outside of CallFS', headers.etag);
      const { mtime, etag } = (await call('GET', cluster.at(2).url, '/v1/directories/')
        .then((listing) => listing.json().items as Record<string, unknown>[])
        .then((items) => items.find(({ path }) => path === `/edited-${asker}.txt`))) ?? { mtime: 0, etag: 0 };
      assert.equal(etag, headers.etag);
      assert.equal(mtime, headers['x-callfs-mtime']);
    });
  }

  test('an edit that keeps the length, and one that puts the old time back, are noticed by HEAD too', async () => {
    const { target, file, created } = await createAtRest('same-length.txt', 'aaaa');
    const { atime, mtime } = statSync(file);
    writeFileSync(file, 'bbbb');
    const edited = await call('HEAD', cluster.at(1).url, target);
    assert.notEqual(edited.headers.etag, created.headers.etag);
    await assertReadEverywhere(target, 'bbbb', edited.headers.etag);
    // Another length with the time as it was.
    writeFileSync(file, 'ccccc');
    utimesSync(file, atime, mtime);
    const again = await call('HEAD', cluster.at(2).url, target);
    assert.notEqual(again.headers.etag, edited.headers.etag);
    await assertReadEverywhere(target, 'ccccc', again.headers.etag);
  });

  test('a file that an editor replaced by another one is a new version', async () => {
    const { target, file, created } = await createAtRest('replaced-by-editor.txt', 'before');
    writeFileSync(`${file}.tmp`, 'after');
    renameSync(`${file}.tmp`, file);
    const { headers } = await call('GET', cluster.at(1).url, target);
    assert.notEqual(headers.etag, created.headers.etag);
    await assertReadEverywhere(target, 'after', headers.etag);
  });

  test('a file restored from a copy keeps its ETag', async () => {
    const { target, file, created } = await createAtRest('restored.txt', 'the same bytes');
    copyFileSync(file, `${cluster.folder}/copy`);
    renameSync(`${cluster.folder}/copy`, file);
    await assertReadEverywhere(target, 'the same bytes', created.headers.etag);
    const condition = { 'if-match': String(created.headers.etag) };
    const replaced = await call('PUT', cluster.at(2).url, target, { headers: condition, body: 'new' });
    assert.equal(replaced.status, 200);
    await assertReadEverywhere(target, 'new', replaced.headers.etag);
  });

  test('an edited file can be replaced and removed as any other', async () => {
    const { target, file } = await createAtRest('edited-then-replaced.txt', 'one');
    writeFileSync(file, 'two');
    assert.equal((await call('GET', cluster.at(1).url, target)).text, 'two');
    const replaced = await call('PUT', cluster.at(1).url, target, { body: 'three' });
    assert.equal(replaced.status, 200);
    await assertReadEverywhere(target, 'three', replaced.headers.etag);
    await waitFor('the new content to be at rest', () => readFileSync(file, 'utf8') === 'three');
    assert.equal((await call('DELETE', cluster.at(2).url, target)).status, 204);
    await waitFor('the file to leave the disk', () => !existsSync(file));
  });

  /** What lies in lost+found, whatever the names and folders. */
  function lostContents({ dataRoot }: TestInstance): string[] {
    return readdirSync(join(dataRoot, '.callfs', 'lost+found'), { recursive: true, withFileTypes: true })
      .filter((found) => found.isFile())
      .map((found) => readFileSync(join(found.parentPath, found.name), 'utf8'));
  }

  test('an edit that nobody had read is not destroyed by a replacement', async () => {
    const { target, file } = await createAtRest('edited-unseen.txt', 'one');
    writeFileSync(file, 'precious and never read');
    const replaced = await call('PUT', cluster.at(1).url, target, { body: 'two' });
    assert.equal(replaced.status, 200);
    await assertReadEverywhere(target, 'two', replaced.headers.etag);
    await waitFor('the edit to be in lost+found', () =>
      lostContents(cluster.at(0)).includes('precious and never read'),
    );
  });

  test('a foreign file in the way of a new one is moved to lost+found', async () => {
    const owner = cluster.at(0);
    writeFileSync(join(owner.dataRoot, 'foreign.txt'), 'not from CallFS');
    assert.equal((await call('GET', owner.url, '/v1/files/foreign.txt')).status, 404);
    const created = await call('POST', owner.url, '/v1/files/foreign.txt', { body: 'from CallFS' });
    assert.equal(created.status, 201);
    await assertReadEverywhere('/v1/files/foreign.txt', 'from CallFS', created.headers.etag);
    await waitFor('the foreign file to be moved', () => lostContents(owner).includes('not from CallFS'));
    await waitFor('the new one to be at rest', () => filesOnDisk(owner).includes('/foreign.txt'));
    assert.equal(readFileSync(join(owner.dataRoot, 'foreign.txt'), 'utf8'), 'from CallFS');
  });

  test('a foreign directory, and a foreign file where a directory has to be, are moved to lost+found', async () => {
    const owner = cluster.at(1);
    mkdirSync(join(owner.dataRoot, 'folder'));
    writeFileSync(join(owner.dataRoot, 'folder', 'inside'), 'in a foreign folder');
    writeFileSync(join(owner.dataRoot, 'blocked'), 'where a folder must be');
    for (const [path, body] of [
      ['folder', 'a file now'],
      ['blocked/below/file', 'below'],
    ] as const) {
      const created = await call('PUT', owner.url, `/v1/files/${path}`, { body });
      assert.equal(created.status, 201);
      await assertReadEverywhere(`/v1/files/${path}`, body, created.headers.etag);
      await waitFor(`${path} to be at rest`, () => filesOnDisk(owner).includes(`/${path}`));
    }
    assert.deepEqual(lostContents(owner).sort(), ['in a foreign folder', 'where a folder must be']);
    assert.equal(lostFiles(owner).length, 2);
  });

  test('after all this every disk is at rest again', () => assertAtRest(cluster));
});

/** Lengths from nothing to some hundred kilobytes; no two the same bytes. */
function bodyOfPair(lane: number, number: number): string {
  const tag = `<${lane}:${number}>`;
  if (number % 25 === 24) return tag.repeat(30_000);
  return number % 17 === 16 ? '' : tag.repeat(1 + ((lane * 31 + number * 7) % 97));
}
