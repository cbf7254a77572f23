/** The local backend against the contract, and what only a disk can do. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { backendContract, chunksOf, nextContentId, put, read, testPath } from '../backend.contract.ts';
import { openLocalBackend } from './local-backend.ts';
import { OpenedLocal } from './opened-local.testing.ts';

backendContract('local', () => OpenedLocal.open());

test('at rest a file lies under its own name and staging is empty', async () => {
  await using opened = await OpenedLocal.open();
  await put(opened, testPath('docs', 'Jahresübersicht #1 [x].txt'), 'text');
  await opened.backend.settled();
  assert.deepEqual(opened.files(), ['docs/Jahresübersicht #1 [x].txt']);
  assert.equal(readFileSync(join(opened.root, 'docs/Jahresübersicht #1 [x].txt'), 'utf8'), 'text');
  assert.deepEqual(opened.staged(), []);
});

test('directories that removals leave empty go away, others stay', async () => {
  await using opened = await OpenedLocal.open();
  await put(opened, testPath('a', 'b', 'c', 'deep'), '1');
  await put(opened, testPath('a', 'near'), '2');
  await opened.backend.settled();
  opened.ledger.drop(testPath('a', 'b', 'c', 'deep'));
  await opened.backend.settled();
  assert.deepEqual(opened.files(), ['a/near']);
  assert(!existsSync(join(opened.root, 'a/b')));
});

test('a path whose file would have a longer name than the disk takes is kept and removed all the same', async () => {
  await using opened = await OpenedLocal.open();
  const path = testPath(...Array.from({ length: 16 }, (_, index) => `${index}`.padEnd(255, 'x')));
  await put(opened, path, 'far down');
  await opened.backend.settled();
  assert.equal(await read(opened, path), 'far down');
  assert.equal(readdirSync(join(opened.root, '.callfs/long-names')).length, 1);
  opened.ledger.drop(path);
  await opened.backend.settled();
  assert.deepEqual(readdirSync(join(opened.root, '.callfs/long-names')), []);
});

test('an unknown file in the way goes to lost+found, not away', async () => {
  await using opened = await OpenedLocal.open();
  await writeFile(join(opened.root, 'taken'), 'not from CallFS');
  await writeFile(join(opened.root, 'parent'), 'a file where a directory is needed');
  await mkdir(join(opened.root, 'folder/inside'), { recursive: true });
  await writeFile(join(opened.root, 'folder/inside/file'), 'a directory where a file is needed');
  for (const path of [testPath('taken'), testPath('parent', 'child'), testPath('folder')]) {
    await put(opened, path, `new ${path}`);
    await opened.backend.settled();
    assert.equal(await read(opened, path), `new ${path}`);
  }
  assert.deepEqual(opened.files(), ['folder', 'parent/child', 'taken']);
  const kept = opened.lostAndFound.map((file) => (statSync(file).isFile() ? readFileSync(file, 'utf8') : 'folder'));
  assert.deepEqual(kept, ['not from CallFS', 'a file where a directory is needed', 'folder']);
  assert.deepEqual(opened.failures, []);
});

test('a known old version in the way is replaced, however many versions were never settled', async () => {
  await using opened = await OpenedLocal.open();
  const path = testPath('versions');
  await put(opened, path, 'settled');
  await opened.backend.settled();
  for (const text of ['second', 'third', 'fourth']) await put(opened, path, text);
  await opened.backend.settled();
  assert.equal(readFileSync(join(opened.root, 'versions'), 'utf8'), 'fourth');
  assert.deepEqual(opened.lostAndFound, []);
});

test('a file becomes a directory and a directory a file, in whatever order the disk is brought there', async () => {
  await using opened = await OpenedLocal.open();
  await put(opened, testPath('x'), 'file');
  await put(opened, testPath('y', 'child'), 'child');
  await opened.backend.settled();
  opened.ledger.drop(testPath('x'));
  opened.ledger.drop(testPath('y', 'child'));
  await put(opened, testPath('x', 'child'), 'below');
  await put(opened, testPath('y'), 'flat');
  await opened.backend.settled();
  assert.deepEqual(opened.files(), ['x/child', 'y']);
  assert.deepEqual(opened.lostAndFound, []);
});

test('a start finishes what a crash left: committed content is placed, the rest removed', async () => {
  await using opened = await OpenedLocal.open();
  const committed = await opened.backend.stage(nextContentId(), chunksOf('committed'), { maxBytes: undefined });
  await opened.backend.stage(nextContentId(), chunksOf('never committed'), { maxBytes: undefined });
  const removed = await put(opened, testPath('removed'), 'removed');
  await opened.backend.settled();
  // As if the process had died right after these commits.
  opened.ledger.point(testPath('committed'), committed.content);
  opened.ledger.drop(testPath('removed'));
  await opened.restart();
  assert.deepEqual(opened.files(), ['committed']);
  assert.deepEqual(opened.staged(), []);
  assert.deepEqual(opened.ledger.outbox, []);
  assert.notEqual(await opened.backend.probe(removed.content, testPath('removed')), 'intact');
});

test('a file edited in place, replaced or removed outside is noticed', async () => {
  await using opened = await OpenedLocal.open();
  const path = testPath('edited');
  const { content } = await put(opened, path, 'original');
  await opened.backend.settled();
  const file = join(opened.root, 'edited');
  await writeFile(file, 'changed!');
  assert.equal(await opened.backend.probe(content, path), 'changed');
  const observed = await opened.backend.observe(path, 'observed');
  assert.equal(observed?.content.sizeBytes, 8);
  assert.notEqual(observed?.content.checksum, content.checksum);
  await rm(file);
  assert.equal(await opened.backend.probe(content, path), 'missing');
  assert.equal(await opened.backend.observe(path, 'observed'), undefined);
});

test('a copy with the same bytes is observed with the same checksum', async () => {
  await using opened = await OpenedLocal.open();
  const path = testPath('restored');
  const { content } = await put(opened, path, 'precious');
  await opened.backend.settled();
  const file = join(opened.root, 'restored');
  await copyFile(file, `${file}.copy`);
  await rename(`${file}.copy`, file);
  assert.equal(await opened.backend.probe(content, path), 'changed');
  assert.equal((await opened.backend.observe(path, 'observed'))?.content.checksum, content.checksum);
});

test('a symbolic link is never followed', async () => {
  await using opened = await OpenedLocal.open();
  const path = testPath('link');
  const { content } = await put(opened, path, 'mine');
  await opened.backend.settled();
  const outside = join(opened.root, '.callfs/outside');
  await rename(join(opened.root, 'link'), outside);
  await symlink(outside, join(opened.root, 'link'));
  assert.notEqual((await opened.backend.open(content, path)).kind, 'intact');
});

test('a link to a directory outside is moved aside, nothing is written or read behind it', async () => {
  await using opened = await OpenedLocal.open();
  const outside = await mkdtemp(join(tmpdir(), 'callfs-outside-'));
  await symlink(outside, join(opened.root, 'link'));
  await put(opened, testPath('link', 'deep', 'file'), 'mine');
  await opened.backend.settled();
  assert.deepEqual(readdirSync(outside), []);
  assert.equal(await read(opened, testPath('link', 'deep', 'file')), 'mine');
  assert.equal(opened.lostAndFound.length, 1);
  await rename(join(opened.root, 'link'), join(outside, 'link'));
  await symlink(join(outside, 'link'), join(opened.root, 'link'));
  await writeFile(join(outside, 'link/deep/file'), 'changed outside');
  const content = opened.ledger.paths.get(testPath('link', 'deep', 'file'));
  assert(content);
  assert.equal(await opened.backend.probe(content, testPath('link', 'deep', 'file')), 'missing');
  assert.equal(await opened.backend.observe(testPath('link', 'deep', 'file'), 'observed'), undefined);
  await rm(outside, { recursive: true });
});

test('a content that cannot be placed holds up no other, and is placed when it can be', async () => {
  await using opened = await OpenedLocal.open();
  await put(opened, testPath('first'), 'first');
  await opened.backend.settled();
  const staged = await opened.backend.stage(nextContentId(), chunksOf('stuck'), { maxBytes: undefined });
  opened.ledger.point(testPath('stuck'), staged.content);
  const file = join(opened.root, '.callfs/lost+found');
  await mkdir(join(opened.root, 'stuck/full'), { recursive: true });
  await rm(file, { recursive: true });
  opened.backend.committed(staged);
  opened.ledger.drop(testPath('first'));
  await put(opened, testPath('second'), 'second');
  await opened.backend.settled();
  assert.deepEqual(opened.files(), ['second']);
  assert(opened.failures.length > 0);
  assert.equal(await read(opened, testPath('stuck')), 'stuck');
  await mkdir(file);
  while (!opened.files().includes('stuck')) await opened.backend.settled();
  assert.deepEqual(opened.staged(), []);
});

test('a path that was replaced and removed at once leaves nothing in lost+found', async () => {
  await using opened = await OpenedLocal.open();
  const path = testPath('short-lived');
  for (const text of ['first', 'second', 'third']) {
    await put(opened, path, text);
    await opened.backend.settled();
    const last = opened.ledger.paths.get(path);
    assert(last);
    // As if the next version was committed and removed before the settler came by.
    opened.ledger.point(path, { ...last, contentId: nextContentId(), storageStamp: 'never-there' });
    opened.ledger.drop(path);
    opened.ledger.outbox.reverse();
    await opened.backend.settled();
    assert.deepEqual(opened.files(), []);
  }
  assert.deepEqual(opened.lostAndFound, []);
});

test('a file that was changed on disk and then removed goes to lost+found', async () => {
  await using opened = await OpenedLocal.open();
  await put(opened, testPath('edited'), 'original');
  await opened.backend.settled();
  await writeFile(join(opened.root, 'edited'), 'changed on disk');
  opened.ledger.drop(testPath('edited'));
  await opened.backend.settled();
  assert.deepEqual(opened.files(), []);
  assert.deepEqual(
    opened.lostAndFound.map((kept) => readFileSync(kept, 'utf8')),
    ['changed on disk'],
  );
});

test('a failed upload leaves no file behind', async () => {
  await using opened = await OpenedLocal.open();
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('half');
    throw new Error('the client left');
  }
  await assert.rejects(opened.backend.stage('broken', broken(), { maxBytes: undefined }));
  await assert.rejects(opened.backend.stage('large', chunksOf('too much'), { maxBytes: 3 }));
  assert.deepEqual(opened.staged(), []);
});

test('uploads that break off in the middle of a write never touch another file', async () => {
  await using opened = await OpenedLocal.open();
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield Buffer.alloc(4 * 1024 * 1024, 'broken');
    throw new Error('the client left');
  }
  const text = 'whole '.repeat(2000);
  const uploads = Array.from({ length: 60 }, async (_, index) => {
    await assert.rejects(opened.backend.stage(`broken-${index}`, broken(), { maxBytes: undefined }), /the client left/);
    await put(opened, testPath(`whole-${index}`), text);
  });
  await Promise.all(uploads);
  await opened.backend.settled();
  for (let index = 0; index < 60; index++) assert.equal(await read(opened, testPath(`whole-${index}`)), text);
  assert.deepEqual(opened.staged(), []);
});

test('a root that is in use or belongs to another instance is refused in one line', async () => {
  await using opened = await OpenedLocal.open();
  const open = (instanceId: string) =>
    openLocalBackend({
      root: opened.root,
      instanceId,
      ledger: opened.ledger,
      holdsFiles: async () => false,
      durable: true,
      onLostAndFound: () => {},
      onFailure: () => {},
    });
  await assert.rejects(open('instance'), /is in use by another running instance/);
  await opened.backend[Symbol.asyncDispose]();
  await assert.rejects(open('another'), /belongs to instance instance, this is another/);
  await opened.start();
});

test('more removals than one round takes are all done', async () => {
  await using opened = await OpenedLocal.open();
  for (let number = 0; number < 1100; number++) await put(opened, testPath('many', `${number}`), 'x');
  await opened.backend.settled();
  assert.equal(opened.files().length, 1100);
  for (let number = 0; number < 1100; number++) opened.ledger.drop(testPath('many', `${number}`));
  await opened.backend.settled();
  assert.deepEqual(opened.files(), []);
  assert.deepEqual(opened.ledger.outbox, []);
});
