/** What the local backend does with moves that meet something: foreign files, links, long names, a disk that refuses. */
import assert from 'node:assert/strict';
import { existsSync, lstatSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { VirtualPath } from '../../core/virtual-path.ts';
import { put, read, testPath } from '../backend.contract.ts';
import { OpenedLocal } from './opened-local.testing.ts';

const path = (text: string): VirtualPath => text as VirtualPath;

async function putAll(opened: OpenedLocal, ...paths: string[]): Promise<void> {
  for (const each of paths) await put(opened, path(each), `text of ${each}`);
  await opened.backend.settled();
}

async function move(opened: OpenedLocal, from: string, to: string): Promise<void> {
  opened.ledger.move(path(from), path(to));
  await opened.backend.settled();
}

function lost(opened: OpenedLocal): string[] {
  const texts = opened.lostAndFound.map((file) =>
    statSync(file).isFile() ? readFileSync(file, 'utf8') : 'a directory',
  );
  return texts.sort();
}

test('chains and swaps of files and directories end where the namespace has them', async () => {
  await using opened = await OpenedLocal.open();
  await putAll(opened, '/a/f', '/b/f', '/c/f', '/x', '/y');
  for (const [from, to] of [
    ...[
      ['/a', '/t'],
      ['/c', '/a'],
      ['/b', '/c'],
      ['/t', '/b'],
    ],
    ...[
      ['/x', '/z'],
      ['/y', '/x'],
      ['/z', '/y'],
    ],
    ...[
      ['/b', '/c/inside'],
      ['/c/inside/f', '/a/g'],
    ],
  ] as const) {
    opened.ledger.move(path(from ?? ''), path(to ?? ''));
  }
  await opened.backend.settled();
  const texts = Object.fromEntries(opened.files().map((file) => [file, readFileSync(join(opened.root, file), 'utf8')]));
  assert.deepEqual(texts, {
    ...{ 'a/f': 'text of /c/f', 'a/g': 'text of /a/f', 'c/f': 'text of /b/f' },
    ...{ x: 'text of /y', y: 'text of /x' },
  });
  assert.deepEqual(opened.directories(), ['a', 'c']);
  assert.deepEqual(opened.ledger.outbox, []);
  assert.deepEqual(opened.lostAndFound, []);
});

test('what the operator put where something goes is kept in lost+found; what lies in a directory goes with it', async () => {
  await using opened = await OpenedLocal.open();
  await putAll(opened, '/file', '/dir/known', '/other/known');
  await writeFile(join(opened.root, 'to'), 'in the way of a file');
  await mkdir(join(opened.root, 'newdir'));
  await writeFile(join(opened.root, 'newdir/known'), 'in the way of a known file');
  await writeFile(join(opened.root, 'newdir/foreign'), 'foreign there');
  await writeFile(join(opened.root, 'dir/foreign too'), 'foreign here');
  await writeFile(join(opened.root, 'up'), 'a file where a directory is needed');
  await move(opened, '/file', '/to');
  await move(opened, '/dir', '/newdir');
  await move(opened, '/other', '/up/deep/other');
  assert.deepEqual(opened.files(), [
    'newdir/foreign',
    'newdir/foreign too',
    'newdir/known',
    'to',
    'up/deep/other/known',
  ]);
  assert.deepEqual(lost(opened), [
    'a file where a directory is needed',
    'in the way of a file',
    'in the way of a known file',
  ]);
  for (const each of ['/to', '/newdir/known', '/up/deep/other/known']) assert(await read(opened, path(each)), each);
  assert.deepEqual(opened.failures, []);
});

test('links are not followed: neither from the old path nor on the way to the new one', async () => {
  await using opened = await OpenedLocal.open();
  const outside = await mkdtemp(join(tmpdir(), 'callfs-outside-'));
  await putAll(opened, '/a/file', '/b/file', '/c/file');
  await symlink(outside, join(opened.root, 'link'));
  await move(opened, '/a', '/link/a');
  await move(opened, '/b/file', '/link/b');
  assert.deepEqual(readdirSync(outside), []);
  assert.equal(await read(opened, path('/link/a/file')), 'text of /a/file');
  assert.equal(await read(opened, path('/link/b')), 'text of /b/file');
  assert.equal(opened.lostAndFound.length, 1);
  await rename(join(opened.root, 'c'), join(outside, 'c'));
  await symlink(join(outside, 'c'), join(opened.root, 'c'));
  await move(opened, '/c/file', '/taken');
  await symlink(outside, join(opened.root, 'target'));
  await move(opened, '/link/a', '/target');
  assert.deepEqual(readdirSync(outside), ['c']);
  assert.equal(readFileSync(join(outside, 'c/file'), 'utf8'), 'text of /c/file');
  assert(lstatSync(join(opened.root, 'target')).isDirectory());
  await rm(outside, { recursive: true });
});

test('a file that was edited on disk is found under its new name, as edited', async () => {
  await using opened = await OpenedLocal.open();
  await putAll(opened, '/a/file', '/single');
  await writeFile(join(opened.root, 'a/file'), 'edited');
  await writeFile(join(opened.root, 'single'), 'edited, too');
  await move(opened, '/a', '/b');
  await move(opened, '/single', '/renamed');
  assert.deepEqual(opened.files(), ['b/file', 'renamed']);
  assert.equal(readFileSync(join(opened.root, 'b/file'), 'utf8'), 'edited');
  assert.equal(readFileSync(join(opened.root, 'renamed'), 'utf8'), 'edited, too');
  assert.deepEqual(opened.lostAndFound, []);
});

/** As long as lost+found is missing nothing can be moved aside, so what has something in its way is stuck. */
async function withoutLostAndFound(opened: OpenedLocal, work: () => Promise<void>): Promise<void> {
  const folder = join(opened.root, '.callfs/lost+found');
  await rm(folder, { recursive: true });
  await work();
  await mkdir(folder);
  while (opened.ledger.outbox.length > 0 || opened.staged().length > 0) await opened.backend.settled();
}

test('a move that the disk refuses holds up only what has to do with its paths, and is done when it can be', async () => {
  await using opened = await OpenedLocal.open();
  await putAll(opened, '/stuck/file', '/free/file', '/gone');
  await writeFile(join(opened.root, 'to'), 'foreign');
  await withoutLostAndFound(opened, async () => {
    opened.ledger.move(path('/stuck'), path('/to'));
    opened.ledger.move(path('/to/file'), path('/to/renamed'));
    opened.ledger.move(path('/free'), path('/freed'));
    opened.ledger.drop(path('/gone'));
    await put(opened, path('/to/new'), 'new in what is stuck');
    await put(opened, path('/elsewhere'), 'new elsewhere');
    await opened.backend.settled();
    assert.deepEqual(opened.files(), ['elsewhere', 'freed/file', 'stuck/file', 'to']);
    assert.equal(await read(opened, path('/to/new')), 'new in what is stuck');
    assert(opened.failures.length > 0);
  });
  assert.deepEqual(opened.files(), ['elsewhere', 'freed/file', 'to/new', 'to/renamed']);
  assert.deepEqual(lost(opened), ['foreign']);
});

test('many rows that are stuck do not hide what comes after them', async () => {
  await using opened = await OpenedLocal.open();
  await putAll(opened, '/stuck/file', '/free/file');
  await writeFile(join(opened.root, 'to'), 'foreign');
  await withoutLostAndFound(opened, async () => {
    opened.ledger.move(path('/stuck'), path('/to'));
    for (let number = 0; number < 300; number++) {
      opened.ledger.move(path('/to/file'), path('/to/other'));
      opened.ledger.move(path('/to/other'), path('/to/file'));
    }
    opened.ledger.move(path('/free'), path('/freed'));
    await put(opened, path('/new'), 'new');
    while (opened.files().join() !== 'freed/file,new,stuck/file,to') await opened.backend.settled();
  });
  assert.deepEqual(opened.files(), ['freed/file', 'new', 'to/file']);
});

test('who waits until the disk has followed does not wait for what is committed later', async () => {
  await using opened = await OpenedLocal.open();
  await putAll(opened, '/a/file', '/waited-for');
  let isOver = false;
  let name = '/a';
  const busy = async (): Promise<void> => {
    while (!isOver) {
      const next = name === '/a' ? '/b' : '/a';
      if (opened.ledger.outbox.length < 5) {
        opened.ledger.move(path(name), path(next));
        opened.backend.outboxPending();
        name = next;
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const working = busy();
  opened.ledger.move(path('/waited-for'), path('/there'));
  await opened.backend.settled();
  assert(existsSync(join(opened.root, 'there')));
  isOver = true;
  await working;
  await opened.backend.settled();
  assert.deepEqual(opened.files(), [`${name}/file`.slice(1), 'there']);
});

test('files beyond the longest path of the disk follow moves of themselves and of what is above them', async () => {
  await using opened = await OpenedLocal.open();
  const deep = testPath(...Array.from({ length: 15 }, (_, index) => `${index}`.padEnd(255, 'x')));
  const far = path(`${deep}/${'f'.repeat(250)}`);
  await put(opened, far, 'far down');
  await opened.backend.settled();
  assert.equal(readdirSync(join(opened.root, '.callfs/long-names')).length, 1);
  await move(opened, far, `${deep}/${'g'.repeat(250)}`);
  assert.deepEqual(opened.files(), []);
  await move(opened, testPath('0'.padEnd(255, 'x')), '/short');
  const here = path(`/short${deep.slice(256)}/${'g'.repeat(250)}`);
  assert.equal(await read(opened, here), 'far down');
  assert.deepEqual(opened.files(), [here.slice(1)], 'it lies under its own name as soon as the disk takes that');
  await move(opened, here, '/near');
  assert.equal(await read(opened, path('/near')), 'far down');
  assert.deepEqual(opened.files(), ['near']);
  assert.deepEqual(readdirSync(join(opened.root, '.callfs/long-names')), []);
  opened.ledger.drop(path('/near'));
  await opened.backend.settled();
  assert.deepEqual(opened.files(), []);
  assert.deepEqual(opened.lostAndFound, []);
});

test('a directory with many files follows at once', async () => {
  await using opened = await OpenedLocal.open();
  await putAll(opened, '/big/known');
  await mkdir(join(opened.root, 'big/more'));
  for (let number = 0; number < 20_000; number++) await writeFile(join(opened.root, `big/more/${number}`), '');
  const startedAt = performance.now();
  await move(opened, '/big', '/deep/down/bigger');
  const tookMs = performance.now() - startedAt;
  assert.equal(readdirSync(join(opened.root, 'deep/down/bigger/more')).length, 20_000);
  assert(tookMs < 2000, `${tookMs} ms`);
});

test('a directory that may not be entered does not keep what lies in it from moving along', async () => {
  await using opened = await OpenedLocal.open();
  await putAll(opened, '/a/closed/file');
  await chmod(join(opened.root, 'a/closed'), 0o000);
  await move(opened, '/a', '/b');
  await chmod(join(opened.root, 'b/closed'), 0o755);
  assert.deepEqual(opened.files(), ['b/closed/file']);
});
