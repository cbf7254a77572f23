/** Every kind of thing that a folder may hold is either found or refused. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { ImportBatch } from '../import-source.ts';
import { type ImportWalk, walkImport } from './import-walk.ts';

const top = mkdtempSync(join(tmpdir(), 'callfs-import-'));
after(() => rmSync(top, { recursive: true }));

async function walk(options: Partial<ImportWalk> = {}): Promise<ImportBatch[]> {
  const batches: ImportBatch[] = [];
  const found = walkImport({ top, excluded: new Set(), problem: () => undefined, ...options });
  for await (const batch of found) batches.push(batch);
  return batches;
}

function foldersOf(batches: readonly ImportBatch[]): string[] {
  return batches.map(({ folders }) => folders.map(({ name }) => name).join('/')).sort();
}

test('folders and files are found, everything else is refused', async () => {
  mkdirSync(join(top, '.callfs/staging'), { recursive: true });
  mkdirSync(join(top, 'folder/empty'), { recursive: true });
  chmodSync(join(top, 'folder'), 0o2750);
  writeFileSync(join(top, 'folder/file'), '');
  symlinkSync('folder', join(top, 'symlink'));
  execFileSync('mkfifo', [join(top, 'pipe')]);
  writeFileSync(Buffer.concat([Buffer.from(`${top}/`), Buffer.from([0xe9])]), '');

  const batches = await walk();
  assert.deepEqual(foldersOf(batches), ['', '/folder', '/folder/empty']);
  const refused = batches.flatMap(({ refused }) => refused.map(({ names, reason }) => [names.join('/'), reason]));
  assert.deepEqual(refused.sort(), [
    ['\\xe9', 'The name is not valid UTF-8.'],
    ['pipe', 'It is neither a file nor a folder.'],
    ['symlink', 'It is a symbolic link.'],
  ]);
  const found = batches.find(({ folders }) => folders.at(-1)?.name === 'folder');
  assert.deepEqual([found?.files, found?.folders.at(-1)?.mode, found?.first], [['file'], 0o750, true]);
});

test('the folder of CallFS is left out, at the top only', async () => {
  mkdirSync(join(top, 'folder/.callfs'));
  assert.deepEqual(foldersOf(await walk()), ['', '/folder', '/folder/.callfs', '/folder/empty']);
});

test('what has a problem is refused once, with all below it', async () => {
  const batches = await walk({ problem: (names) => (names.at(-1) === 'folder' ? 'No.' : undefined) });
  assert(!foldersOf(batches).some((path) => path.startsWith('/folder')));
  const refused = batches.flatMap((batch) => batch.refused);
  assert.deepEqual(
    refused.filter(({ reason }) => reason === 'No.'),
    [{ names: ['folder'], reason: 'No.' }],
  );
});

test('a large folder comes in pieces, of which one is the first', async () => {
  mkdirSync(join(top, 'large'));
  for (let number = 0; number < 1000; number++) writeFileSync(join(top, 'large', `${number}`), '');
  const batches = (await walk()).filter(({ folders }) => folders.at(-1)?.name === 'large');
  assert(batches.every(({ files }) => files.length <= 256));
  assert.equal(batches.filter(({ first }) => first).length, 1);
  assert.equal(new Set(batches.flatMap(({ files }) => files)).size, 1000);
});
