/** Contents that arrive in pieces: what is kept, what is taken back, and what they come to. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import type { PartialContents, Piece } from '../partial-contents.ts';
import { OpenedLocal } from './opened-local.testing.ts';

async function* bytesOf(...chunks: (string | Error)[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) {
    if (chunk instanceof Error) throw chunk;
    yield Buffer.from(chunk);
  }
}

const piece = (offset: number, ...chunks: (string | Error)[]): Piece => ({ offset, bytes: bytesOf(...chunks) });
const cut = new Error('cut');

function checked(offset: number, isRight: boolean, ...chunks: (string | Error)[]): Piece {
  const verify = (): void => {
    if (!isRight) throw new Error('wrong');
  };
  return { ...piece(offset, ...chunks), check: { update() {}, verify } };
}

async function assertStaged(opened: OpenedLocal, id: string, text: string): Promise<void> {
  const { content } = await opened.backend.partials.stage(id, `content-of-${id}`);
  assert.equal(content.sizeBytes, text.length);
  assert.equal(content.checksum, crc32(text).toString(16).padStart(8, '0'));
  assert.equal(content.sha256, createHash('sha256').update(text).digest('hex'));
  assert.equal(readFileSync(join(opened.root, '.callfs/staging', `content-of-${id}`), 'utf8'), text);
  assert.equal(await opened.backend.partials.sizeOf(id), text.length, 'it stays');
}

const listed = async (partials: PartialContents): Promise<string[]> => (await partials.list()).map(({ id }) => id);

test('pieces are added one after the other, and what broke off is kept', async () => {
  await using opened = await OpenedLocal.open();
  const { partials } = opened.backend;
  assert.equal(await partials.sizeOf('a'), 0);
  assert.equal(await partials.append('a', piece(0, 'one ', 'two ')), 8);
  await assert.rejects(partials.append('a', piece(8, 'three ', cut, 'never')), cut);
  assert.equal(await partials.sizeOf('a'), 14);
  await assert.rejects(partials.append('a', piece(8, 'not there')), /should be there/);
  assert.equal(await partials.append('a', piece(14, 'four')), 18);
  await assertStaged(opened, 'a', 'one two three four');
  await partials.remove('a');
  await partials.remove('a');
  assert.deepEqual(await listed(partials), []);
});

test('what has arrived survives its process, and is what it was', async () => {
  await using opened = await OpenedLocal.open();
  await opened.backend.partials.append('a', piece(0, 'before '));
  await opened.restart();
  const { partials } = opened.backend;
  assert.equal(await partials.sizeOf('a'), 7);
  assert.equal(await partials.append('a', piece(7, 'and after')), 16);
  assert.deepEqual(await listed(partials), ['a']);
  await assertStaged(opened, 'a', 'before and after');
  // A commit that failed: the content goes, the upload stays.
  await opened.restart();
  assert.deepEqual(opened.staged(), []);
  await assertStaged(opened, 'a', 'before and after');
});

test('a piece that is checked counts wholly or not at all', async () => {
  await using opened = await OpenedLocal.open();
  const { partials } = opened.backend;
  await partials.append('a', checked(0, true, 'right '));
  await assert.rejects(partials.append('a', checked(6, false, 'wrong')), /wrong/);
  assert.equal(await partials.sizeOf('a'), 6);
  await assert.rejects(partials.append('a', checked(6, true, 'part', cut)), cut);
  assert.equal(await partials.sizeOf('a'), 6);
  let during = -1;
  await partials.append('a', {
    ...checked(6, true),
    bytes: (async function* () {
      yield Buffer.from('un');
      during = await partials.sizeOf('a');
      yield Buffer.from('seen');
    })(),
  });
  assert.equal(during, 6, 'not before it was checked');
  await assertStaged(opened, 'a', 'right unseen');
});

test('a piece whose process died before it was checked is taken back', async () => {
  await using opened = await OpenedLocal.open();
  await opened.backend.partials.append('a', piece(0, 'checked '));
  const file = join(opened.root, '.callfs/uploads/a');
  appendFileSync(file, 'not checked');
  writeFileSync(`${file}.unchecked`, '8\n');
  await opened.restart();
  const { partials } = opened.backend;
  assert.equal(await partials.sizeOf('a'), 8);
  assert.equal(existsSync(`${file}.unchecked`), false);
  await partials.append('a', piece(8, 'again'));
  await assertStaged(opened, 'a', 'checked again');
});

test('nothing at all is a content, too', async () => {
  await using opened = await OpenedLocal.open();
  await assertStaged(opened, 'a', '');
});
