/** A file that is to be imported is read once, and only counts when it kept still meanwhile. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { hash } from 'node:crypto';
import { appendFileSync, mkdtempSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { crc32 } from 'node:zlib';
import { readImport } from './import-read.ts';

const MIB = 1024 * 1024;
const folder = mkdtempSync(join(tmpdir(), 'callfs-import-'));
after(() => rmSync(folder, { recursive: true }));

/** Repeats an action in every turn of the event loop until the reading has ended. */
async function readDuring(file: string, action: () => void) {
  let ended = false;
  const reading = readImport(file, 'content').finally(() => {
    ended = true;
  });
  while (!ended) {
    action();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return reading;
}

test('a file of any size is read whole', async () => {
  for (const size of [0, 1, 256 * 1024 - 1, 256 * 1024, 3 * MIB + 1]) {
    const bytes = Buffer.alloc(size, 'some bytes');
    const file = join(folder, `${size}`);
    writeFileSync(file, bytes, { mode: 0o640 });
    const outcome = await readImport(file, 'content');
    assert(outcome.kind === 'imported');
    const { ino, mtimeMs } = statSync(file);
    assert.deepEqual(outcome, {
      kind: 'imported',
      mode: 0o640,
      mtimeMs: Math.floor(mtimeMs),
      content: {
        contentId: 'content',
        sizeBytes: size,
        checksum: crc32(bytes).toString(16).padStart(8, '0'),
        sha256: hash('sha256', bytes),
        storageKey: null,
        storageStamp: `${ino}-${mtimeMs}`,
      },
    });
  }
});

test('a file that grows or shrinks while it is read is refused', async () => {
  const file = join(folder, 'busy');
  writeFileSync(file, Buffer.alloc(16 * MIB));
  const refused = { kind: 'refused', reason: 'It changed while it was being read.' };
  assert.deepEqual(await readDuring(file, () => appendFileSync(file, 'x')), refused);
  const shrink = () => truncateSync(file, statSync(file).size - 1);
  assert.deepEqual(await readDuring(file, shrink), refused);
});

test('what is not there, a symbolic link and a pipe are not waited for', async () => {
  symlinkSync('busy', join(folder, 'symlink'));
  execFileSync('mkfifo', [join(folder, 'pipe')]);
  for (const name of ['missing', 'symlink', 'pipe']) {
    assert.deepEqual(await readImport(join(folder, name), 'content'), { kind: 'gone' }, name);
  }
});
