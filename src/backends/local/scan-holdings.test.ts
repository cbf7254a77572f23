/** Looking at a data root from beside the instance: what is found, and what is never touched. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { put, TestLedger, testPath } from '../backend.contract.ts';
import type { HeldFile, Holdings } from '../backend.ts';
import { type LocalBackend, openLocalBackend } from './local-backend.ts';
import { openLocalHoldings } from './scan-holdings.ts';

class Disk implements AsyncDisposable {
  readonly folder: string;
  readonly root: string;
  readonly ledger = new TestLedger();

  private constructor(folder: string) {
    this.folder = folder;
    this.root = join(folder, 'data');
  }

  static async make(): Promise<Disk> {
    const disk = new Disk(await mkdtemp(join(tmpdir(), 'callfs-holdings-')));
    await (await disk.open())[Symbol.asyncDispose]();
    return disk;
  }

  open(): Promise<LocalBackend> {
    return openLocalBackend({
      root: this.root,
      instanceId: 'instance',
      ledger: this.ledger,
      holdsFiles: async () => false,
      durable: false,
      onLostAndFound: () => {},
      onFailure: () => {},
    });
  }

  look(claim = false, excluded: readonly string[] = []): Promise<Holdings> {
    return openLocalHoldings({ root: this.root, instanceId: 'instance', claim, excluded });
  }

  write(place: string, text = ''): void {
    mkdirSync(join(this.root, place, '..'), { recursive: true });
    writeFileSync(join(this.root, place), text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true });
  }
}

async function filesIn(holdings: Holdings, ...under: string[]): Promise<HeldFile[]> {
  const files: HeldFile[] = [];
  for await (const found of holdings.files(under.length === 0 ? undefined : testPath(...under))) {
    assert(!('reason' in found));
    files.push(found);
  }
  return files.sort((left, right) => (left.location < right.location ? -1 : 1));
}

suite('the files of a data root', () => {
  test('are all found with their paths, but for what is CallFS’s or the operator’s own', async () => {
    await using disk = await Disk.make();
    for (const place of [
      'a',
      'd/b',
      'd/.callfs/c',
      'd/back\\slash',
      '.callfs/long-names/id',
      '.callfs/staging/s',
      'meta',
    ])
      disk.write(place);
    symlinkSync('/', join(disk.root, 'link'));
    mkdirSync(join(disk.root, 'empty'));
    await using holdings = await disk.look(false, [join(disk.root, 'meta')]);
    assert.deepEqual(
      (await filesIn(holdings)).map(({ location, path, contentId }) => [location, path, contentId]),
      [
        ['.callfs/long-names/id', undefined, 'id'],
        ['a', '/a', undefined],
        ['d/.callfs/c', '/d/.callfs/c', undefined],
        ['d/b', '/d/b', undefined],
        ['d/back\\slash', undefined, undefined],
        ['link', '/link', undefined],
      ],
    );
    assert.deepEqual((await filesIn(holdings, 'd')).length, 3);
    assert.deepEqual(
      (await filesIn(holdings, 'd', 'b')).map(({ path }) => path),
      ['/d/b'],
    );
    assert.deepEqual(await filesIn(holdings, 'nothing', 'here'), []);
  });

  test('that may not be read are told apart from files that are gone', {
    skip: process.getuid?.() === 0 && 'root may read everything',
  }, async () => {
    await using disk = await Disk.make();
    disk.write('closed/file');
    chmodSync(join(disk.root, 'closed'), 0);
    await using holdings = await disk.look();
    const all = [];
    for await (const found of holdings.files(undefined)) all.push(found);
    assert.deepEqual(all, [{ location: 'closed', reason: 'EACCES' }]);
    chmodSync(join(disk.root, 'closed'), 0o700);
  });

  test('are moved aside only when they are still the same', async () => {
    await using disk = await Disk.make();
    disk.write('same', 'same');
    disk.write('other', 'before');
    await using holdings = await disk.look();
    const [other, same] = await filesIn(holdings);
    assert(other && same);
    disk.write('newer', 'after');
    renameSync(join(disk.root, 'newer'), join(disk.root, 'other'));
    assert.equal(await holdings.moveAside(other), undefined);
    assert.equal(readFileSync(join(disk.root, 'other'), 'utf8'), 'after');
    assert.equal(await holdings.moveAside(same), '.callfs/lost+found/fsck-1-same');
    assert.equal(await holdings.moveAside(same), undefined);
    assert(!existsSync(join(disk.root, 'same')));
    assert.deepEqual(readdirSync(join(disk.root, '.callfs/lost+found')), ['fsck-1-same']);
  });
});

suite('a content', () => {
  test('is examined wherever it lies', async () => {
    await using disk = await Disk.make();
    const backend = await disk.open();
    const path = testPath('d', 'file');
    const { content } = await put({ backend, ledger: disk.ledger, async [Symbol.asyncDispose]() {} }, path, 'text');
    await backend[Symbol.asyncDispose]();
    await using holdings = await disk.look();
    const natural = join(disk.root, 'd/file');
    const examine = (deep = false) => holdings.examine(content, path, deep);
    assert.deepEqual(await examine(true), { kind: 'intact' });
    assert.deepEqual(await holdings.examine({ ...content, checksum: '00000000' }, path, true), {
      kind: 'corrupt',
      checksum: content.checksum,
    });
    for (const area of ['staging', 'long-names'] as const) {
      const place = join(disk.root, '.callfs', area, content.contentId);
      renameSync(natural, place);
      assert.deepEqual(await examine(), { kind: 'misplaced', area });
      renameSync(place, natural);
    }
    writeFileSync(natural, 'longer text');
    assert.deepEqual(await examine(true), { kind: 'changed', adoptable: true });
    await rm(natural);
    assert.deepEqual(await examine(), { kind: 'missing' });
    mkdirSync(natural);
    assert.deepEqual(await examine(), { kind: 'missing' });
  });
});

suite('the claim', () => {
  test('keeps the instance from starting, and is not taken from one that runs', async () => {
    await using disk = await Disk.make();
    {
      await using holdings = await disk.look(true);
      assert(holdings.claimed);
      assert.equal(await holdings.isServed(), false);
      await assert.rejects(disk.open(), /in use/);
    }
    await using _backend = await disk.open();
    await using beside = await disk.look(true);
    assert(!beside.claimed);
    assert.equal(await beside.isServed(), true);
    await assert.rejects(beside.settle(disk.ledger), /in use by its running instance/);
  });

  test('is not needed to look, and looking does not keep the instance from starting', async () => {
    await using disk = await Disk.make();
    await using holdings = await disk.look();
    assert.equal(await holdings.isServed(), false);
    await using _backend = await disk.open();
    assert.equal(await holdings.isServed(), true);
  });

  test('is refused for a folder that is not the root of this instance', async () => {
    await using disk = await Disk.make();
    const other = openLocalHoldings({ root: disk.root, instanceId: 'other', claim: true, excluded: [] });
    await assert.rejects(other, /belongs to instance instance, this is other/);
    await using holdings = await disk.look();
    renameSync(disk.root, `${disk.root}.away`);
    await assert.rejects(holdings.assertPresent(), /not the data root of an instance/);
  });
});
