/** What a catalog keeps is read back: merged in any order, past torn ends, through rotations and crashes. */
import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import fc from 'fast-check';
import type { FileEntry } from '../../core/entry.ts';
import { pathOfNames } from '../../core/virtual-path.ts';
import { type CatalogLine, formatLine, parseLine } from './catalog-line.ts';
import { MergedCatalog, readCatalog } from './catalog-reader.ts';
import { CatalogWriter } from './catalog-writer.ts';
import { DirectorySync } from './directory-sync.ts';

function fileEntry(id: string, version: number, name = `name of ${id}`): FileEntry {
  return {
    ...{ type: 'file', id, parentId: 'root', name, mode: 0o644, owner: 'alice', group: 'staff', uid: 1, gid: 2 },
    ...{ mtimeMs: 1_767_225_600_123, createdAtMs: 5, version, instanceId: 'instance', backendType: 'localfs' },
    ...{ contentId: `content-${id}-${version}`, sizeBytes: 5, checksum: '3610a686', storageKey: null },
    ...{ storageStamp: '17-1767225600123.4567', contentType: null, etag: 'etag' },
  };
}

const own = (id: string, version: number, name?: string): CatalogLine => {
  const entry = fileEntry(id, version, name);
  const above = [{ id: 'above', name: 'directory', instanceId: 'other' }];
  return { kind: 'own', entry, path: pathOfNames(['directory', entry.name]), above };
};
const away = (id: string, version: number): CatalogLine => ({ kind: 'away', id, version });
const gone = (id: string): CatalogLine => ({ kind: 'gone', id });

class Folder {
  readonly path = mkdtempSync(join(tmpdir(), 'callfs-catalog-'));

  constructor(t: TestContext) {
    t.after(() => rmSync(this.path, { recursive: true }));
  }

  open(storeId = 'store'): Promise<CatalogWriter> {
    const directories = new DirectorySync(false);
    return CatalogWriter.open({ folder: this.path, instanceId: 'instance', storeId, durable: true, directories });
  }

  files(): string[] {
    return readdirSync(this.path).sort();
  }

  file(ending: string): string {
    const name = this.files().findLast((each) => each.endsWith(ending));
    assert(name);
    return join(this.path, name);
  }

  /** `id version` of all that is known, sorted. */
  async known(): Promise<string[]> {
    const { entries } = await readCatalog(this.path);
    return entries.map(({ entry }) => `${entry.id} ${entry.version}`).sort();
  }
}

async function* pagesOf(...pages: readonly CatalogLine[][]): AsyncGenerator<readonly CatalogLine[]> {
  yield* pages;
}

suite('the lines of a catalog', () => {
  test('are read as they were written, whatever is in a name', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.nat(), (name, version) => {
        if (!name.isWellFormed()) return;
        const text = formatLine(own('id', version, name));
        assert.equal(text.indexOf('\n'), text.length - 1);
        assert.deepEqual(parseLine(text.slice(0, -1)), own('id', version, name));
      }),
    );
    for (const line of [away('a', 7), gone('b')]) assert.deepEqual(parseLine(formatLine(line).trimEnd()), line);
  });

  test('are not believed when a single byte is another, or the end is missing', () => {
    const text = formatLine(own('id', 3)).trimEnd();
    for (let at = 0; at < text.length; at++) {
      assert.equal(parseLine(text.slice(0, at)), undefined);
      const other = text[at] === 'x' ? 'y' : 'x';
      assert.equal(parseLine(text.slice(0, at) + other + text.slice(at + 1)), undefined, `byte ${at}`);
    }
    for (const noise of ['', '{}', 'null', '\u0000'.repeat(100)]) assert.equal(parseLine(noise), undefined);
  });

  test('merge to the same in any order: the highest version counts, and gone for ever', () => {
    const lines = [own('a', 1), own('a', 2), own('a', 3), away('b', 2), own('b', 1), own('b', 3), away('c', 2)];
    const all = [...lines, own('c', 1), own('d', 9), gone('d'), own('d', 2)];
    fc.assert(
      fc.property(fc.shuffledSubarray(all, { minLength: all.length }), (shuffled) => {
        const merged = new MergedCatalog();
        for (const line of shuffled) merged.add(line);
        const known = merged.entries().map(({ entry }) => `${entry.id} ${entry.version}`);
        assert.deepEqual(known.sort(), ['a 3', 'b 3']);
      }),
    );
  });

  test('of one version the later one counts', () => {
    const merged = new MergedCatalog();
    merged.add(own('a', 1, 'first'));
    merged.add(own('a', 1, 'second'));
    assert.equal(merged.entries()[0]?.entry.name, 'second');
  });
});

suite('a catalog on disk', () => {
  test('is missing, or holds what was appended', async (t) => {
    const folder = new Folder(t);
    assert.equal((await readCatalog(join(folder.path, 'none'))).isMissing, true);
    const writer = await folder.open();
    await Promise.all([writer.append([own('a', 1)]), writer.append([own('b', 1), gone('a')])]);
    await writer.close();
    const { entries, isMissing, damagedLines } = await readCatalog(folder.path);
    assert.deepEqual(
      entries,
      [own('b', 1)].map(({ kind: _, ...located }: CatalogLine) => located),
    );
    assert.equal(isMissing, false);
    assert.equal(damagedLines, 0);
  });

  test('loses only the torn line after a crash, and goes on in another file', async (t) => {
    const folder = new Folder(t);
    const first = await folder.open();
    await first.append([own('a', 1), own('b', 1)]);
    await first.close();
    const journal = folder.file('journal.ndjson');
    for (let cut = 1; cut < 40; cut += 7) truncateSync(journal, readFileSync(journal).length - 7);
    assert.deepEqual(await folder.known(), ['a 1']);
    const second = await folder.open();
    assert.equal(second.hadFiles, true);
    await second.append([own('c', 1)]);
    await second.close();
    assert.deepEqual(await folder.known(), ['a 1', 'c 1']);
    assert.equal((await readCatalog(folder.path)).damagedLines, 1);
    assert.equal(folder.files().length, 2);
  });

  test('reads around bytes that no catalog has', async (t) => {
    const folder = new Folder(t);
    const writer = await folder.open();
    await writer.append([own('a', 1)]);
    appendFileSync(folder.file('journal.ndjson'), Buffer.concat([Buffer.alloc(5000), Buffer.from('\n\xff{"v":1}\n')]));
    await writer.append([own('b', 1)]);
    await writer.close();
    writeFileSync(join(folder.path, 'README'), 'not a part of it');
    assert.ok((await folder.known()).includes('a 1'));
  });

  test('is replaced by a snapshot; what is appended meanwhile counts, too', async (t) => {
    const folder = new Folder(t);
    const writer = await folder.open();
    await writer.append([own('a', 1), own('b', 1), own('c', 1), own('d', 1)]);
    async function* pages(): AsyncGenerator<readonly CatalogLine[]> {
      yield [own('a', 1), own('b', 2)];
      await writer.append([own('a', 2), own('b', 1), gone('c'), own('e', 1)]);
      yield [own('c', 1), own('d', 3)];
    }
    await writer.replace(pages(), false);
    await writer.append([own('d', 2), own('f', 1)]);
    await writer.close();
    assert.deepEqual(await folder.known(), ['a 2', 'b 2', 'd 3', 'e 1', 'f 1']);
    assert.deepEqual(folder.files(), ['00000002-snapshot.ndjson', '00000003-journal.ndjson']);
  });

  test('keeps everything when a snapshot fails or the process dies in it', async (t) => {
    const folder = new Folder(t);
    const writer = await folder.open();
    await writer.append([own('a', 1)]);
    async function* failing(): AsyncGenerator<readonly CatalogLine[]> {
      yield [own('a', 1)];
      throw new Error('The namespace is away.');
    }
    await assert.rejects(writer.replace(failing(), false), /namespace is away/);
    await writer.append([own('b', 1)]);
    await writer.close();
    assert.deepEqual(await folder.known(), ['a 1', 'b 1']);
    const next = await folder.open();
    assert.ok(folder.files().every((name) => !name.endsWith('.new')));
    await next.replace(pagesOf([own('a', 1)], [own('b', 1)]), false);
    await next.close();
    assert.deepEqual(await folder.known(), ['a 1', 'b 1']);
    assert.equal(folder.files().length, 1);
  });

  test('of another store stays until what it says has been brought back', async (t) => {
    const folder = new Folder(t);
    const lost = await folder.open('lost');
    await lost.append([own('a', 1)]);
    await lost.close();
    const empty = await folder.open('empty');
    assert.equal(empty.hadFiles, false);
    await empty.replace(pagesOf([]), false);
    await empty.append([own('b', 1)]);
    await empty.replace(pagesOf([own('b', 1)]), false);
    await empty.close();
    assert.deepEqual(await folder.known(), ['a 1', 'b 1']);
    const rebuilt = await folder.open('rebuilt');
    await rebuilt.replace(pagesOf([own('a', 1)]), true);
    await rebuilt.close();
    assert.deepEqual(await folder.known(), ['a 1']);
    assert.equal(folder.files().length, 1);
  });
});
