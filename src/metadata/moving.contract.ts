/** Moves and changes of attributes, as tests that run over each metadata store. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type DirectoryEntry, type Entry, type FileEntry, ROOT_ID } from '../core/entry.ts';
import type { VirtualPath } from '../core/virtual-path.ts';
import {
  admin,
  createAt,
  find,
  type MetadataStoreContractOptions,
  sampleContent,
  sampleDirectory,
  sampleFile,
  sampleId,
} from './metadata-store.contract.ts';
import {
  type ChangeAttributes,
  MAX_MOVED_PATH_BYTES,
  type MetadataStore,
  type MoveEntry,
  type MoveOutcome,
  type NewFile,
  type OutboxItem,
} from './metadata-store.ts';

type Open = () => Promise<MetadataStore>;

/** @param open gives a new, empty store every time */
export function movingContract(
  name: string,
  open: Open,
  { reopen }: Pick<MetadataStoreContractOptions, 'reopen'> = {},
): void {
  const openRegistered = async (): Promise<MetadataStore> => {
    const store = await open();
    for (const id of ['instance-1', 'instance-2']) await register(store, id);
    return store;
  };
  const openShared = (): Promise<Racers> => Racers.open(openRegistered, reopen);
  describe(`${name} with entries that move`, () => {
    describe('a move', () => moving(openRegistered));
    describe('a move to where something is', () => overwriting(openRegistered));
    describe('a relocation', () => relocating(openRegistered));
    describe('a refused move', () => refusing(openRegistered));
    describe('the length of paths', () => growing(openRegistered));
    describe('moves at once', () => racing(openShared));
    describe('attributes', () => attributes(openRegistered));
  });
}

async function register(store: MetadataStore, id: string): Promise<void> {
  const urls = { endpoint: '', publicUrl: '' };
  const request = { id, ...urls, bootId: 'boot', version: '', process: '', nowMs: 0, replaces: undefined };
  assert.equal(await store.registerInstance(request), true);
}

/** One store, opened several times where it can be. */
class Racers implements AsyncDisposable {
  readonly #stores: readonly MetadataStore[];

  private constructor(stores: readonly MetadataStore[]) {
    this.#stores = stores;
  }

  static async open(open: Open, reopen: Open | undefined): Promise<Racers> {
    const first = await open();
    return new Racers(reopen ? [first, await reopen(), await reopen()] : [first]);
  }

  of(racer: number): MetadataStore {
    const store = this.#stores[racer % this.#stores.length];
    assert.ok(store);
    return store;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#stores.map((store) => store[Symbol.asyncDispose]()));
  }
}

const namesOf = (path: string): string[] => path.split('/').filter((name) => name !== '');

async function addFile(store: MetadataStore, path: string, given: Partial<NewFile> = {}): Promise<FileEntry> {
  const names = namesOf(path);
  const outcome = await createAt(store, names.slice(0, -1), sampleFile(names.at(-1) ?? '', given));
  assert.ok(outcome.kind === 'created' && outcome.entry.type === 'file', JSON.stringify(outcome));
  return outcome.entry;
}

async function addDirectory(store: MetadataStore, path: string): Promise<DirectoryEntry> {
  const names = namesOf(path);
  const outcome = await createAt(store, names.slice(0, -1), sampleDirectory(names.at(-1) ?? ''));
  assert.ok(outcome.kind === 'created' && outcome.entry.type === 'directory', JSON.stringify(outcome));
  return outcome.entry;
}

const at = async (store: MetadataStore, path: string): Promise<Entry | undefined> => find(store, ...namesOf(path));

/** The move of what is at a path now, as an instance asks for it. */
async function moveOf(
  store: MetadataStore,
  path: string,
  to: string,
  given: Partial<MoveEntry> = {},
): Promise<MoveEntry> {
  const [entry, names] = [await at(store, path), namesOf(to)];
  assert.ok(entry, path);
  const found = await store.resolve(names.slice(0, -1));
  return {
    entryId: entry.id,
    from: { parentId: entry.parentId, name: entry.name },
    expectContentId: undefined,
    to: {
      parentId: found.at(-1)?.id ?? ROOT_ID,
      missingParents: names.slice(found.length - 1, -1).map((name) => sampleDirectory(name)),
      name: names.at(-1) ?? '',
    },
    replacesId: undefined,
    relocated: undefined,
    ...given,
  };
}

async function move(
  store: MetadataStore,
  path: string,
  to: string,
  given: Partial<MoveEntry> = {},
): Promise<MoveOutcome> {
  return store.moveEntry(await moveOf(store, path, to, given));
}

/** What instances have to do for moves and what they made garbage, in short. */
async function outboxOf(store: MetadataStore, instanceId?: string): Promise<unknown[]> {
  const rows =
    instanceId === undefined ? await store.listWholeOutbox(undefined, 1000) : await store.listOutbox(instanceId, 1000);
  return rows.flatMap((row: OutboxItem) => {
    if (row.kind === 'move') return [[row.instanceId, row.entryId, row.path, row.to, row.content?.contentId]];
    if (row.kind === 'discard') return [[row.instanceId, row.entryId, row.path, row.contentId]];
    return [];
  });
}

async function assertUnchanged(store: MetadataStore, act: () => Promise<unknown>): Promise<void> {
  const looks = async () => [await treeOf(store), await outboxOf(store)];
  const before = await looks();
  await act();
  assert.deepEqual(await looks(), before);
}

/** Every entry below the root, by path. */
async function treeOf(store: MetadataStore, directoryId = ROOT_ID, above = ''): Promise<[string, Entry][]> {
  const all: [string, Entry][] = [];
  for (const entry of await store.listChildren(directoryId, undefined, 10_000)) {
    const path = `${above}/${entry.name}`;
    all.push([path, entry], ...(entry.type === 'directory' ? await treeOf(store, entry.id, path) : []));
  }
  return all;
}

const pathsOf = async (store: MetadataStore): Promise<string[]> => (await treeOf(store)).map(([path]) => path);

function moving(open: Open): void {
  it('gives a file another name and parent; nothing else of it changes, and its holder is told', async () => {
    await using store = await open();
    const file = await addFile(store, '/a/old', { instanceId: 'instance-2', contentType: 'text/x' });
    const parent = await addDirectory(store, '/b');
    const moved = { ...file, parentId: parent.id, name: 'new', version: file.version + 1 };
    assert.deepEqual(await move(store, '/a/old', '/b/new'), { kind: 'moved', entry: moved });
    assert.deepEqual(await at(store, '/b/new'), moved);
    assert.deepEqual(await pathsOf(store), ['/a', '/b', '/b/new']);
    assert.deepEqual(await outboxOf(store), [['instance-2', file.id, '/a/old', '/b/new', file.contentId]]);
  });

  it('tells the holder everything by which it recognises the content', async () => {
    await using store = await open();
    const file = await addFile(store, '/old', sampleContent({ sizeBytes: 2 ** 40, storageKey: 'key' }));
    await move(store, '/old', '/new');
    const [row] = await store.listOutbox('instance-1', 10);
    const { contentId, sizeBytes, checksum, storageKey, storageStamp } = file;
    assert.ok(row?.kind === 'move');
    assert.deepEqual(row.content, { contentId, sizeBytes, checksum, storageKey, storageStamp });
  });

  it('moves a directory with everything below; every registered instance is told, whatever its size', async () => {
    await using store = await open();
    const directory = await addDirectory(store, '/top/directory');
    for (let number = 0; number < 20; number++) await addFile(store, `/top/directory/deep/${number}`);
    assert.equal((await move(store, '/top/directory', '/renamed')).kind, 'moved');
    assert.equal((await pathsOf(store)).filter((path) => path.startsWith('/renamed/deep/')).length, 20);
    assert.equal((await at(store, '/renamed'))?.id, directory.id);
    assert.deepEqual(await outboxOf(store), [
      ['instance-1', directory.id, '/top/directory', '/renamed', undefined],
      ['instance-2', directory.id, '/top/directory', '/renamed', undefined],
    ]);
    assert.equal((await outboxOf(store, 'instance-2')).length, 1);
  });

  it('makes the parents that are missing', async () => {
    await using store = await open();
    await addFile(store, '/file');
    assert.equal((await move(store, '/file', '/x/y/z/file')).kind, 'moved');
    assert.deepEqual(await pathsOf(store), ['/x', '/x/y', '/x/y/z', '/x/y/z/file']);
  });

  it('tells paths as they are after every move before', async () => {
    await using store = await open();
    const [inner, outer] = [await addDirectory(store, '/a/b'), await at(store, '/a')];
    const file = await addFile(store, '/a/b/f');
    await move(store, '/a/b', '/a/c');
    await move(store, '/a', '/z');
    await move(store, '/z/c/f', '/f');
    assert.deepEqual(await outboxOf(store, 'instance-1'), [
      ['instance-1', inner.id, '/a/b', '/a/c', undefined],
      ['instance-1', outer?.id, '/a', '/z', undefined],
      ['instance-1', file.id, '/z/c/f', '/f', file.contentId],
    ]);
  });

  it('to where it is changes nothing', async () => {
    await using store = await open();
    for (const path of ['/d/file', '/d']) {
      if (!(await at(store, path))) await addFile(store, path);
      await assertUnchanged(store, async () => {
        const entry = await at(store, path);
        assert.deepEqual(await move(store, path, path), { kind: 'moved', entry });
      });
    }
  });

  it('keeps the rows in the order of the commits, beside those of removals and new contents', async () => {
    await using store = await open();
    const file = await addFile(store, '/one');
    await move(store, '/one', '/two');
    const content = sampleContent();
    await store.replaceContent({
      ...{ entryId: file.id, expectContentId: undefined, instanceId: 'instance-1', backendType: 'localfs', content },
      ...{ takeOver: false, contentType: undefined, mtimeMs: 1, discardPrevious: true },
    });
    await move(store, '/two', '/three');
    await store.removeEntry({ entryId: file.id, expectContentId: undefined });
    assert.deepEqual(await outboxOf(store, 'instance-1'), [
      ['instance-1', file.id, '/one', '/two', file.contentId],
      ['instance-1', file.id, '/two', file.contentId],
      ['instance-1', file.id, '/two', '/three', content.contentId],
      ['instance-1', file.id, '/three', content.contentId],
    ]);
    const [first] = await store.listOutbox('instance-1', 1);
    await store.forgetOutbox([first?.seq ?? -1]);
    assert.equal((await outboxOf(store, 'instance-1')).length, 3);
  });
}

function overwriting(open: Open): void {
  it('is refused with what stands there, unless that may go', async () => {
    await using store = await open();
    await addFile(store, '/file');
    const standing = await addFile(store, '/standing');
    await assertUnchanged(store, async () => {
      assert.deepEqual(await move(store, '/file', '/standing'), { kind: 'exists', entry: standing });
    });
  });

  it('replaces exactly the file that was named; its bytes are left to who holds them, before the move', async () => {
    await using store = await open();
    const [file, standing] = [
      await addFile(store, '/file'),
      await addFile(store, '/d/s', { instanceId: 'instance-2' }),
    ];
    const other = await addFile(store, '/other');
    await assertUnchanged(store, async () => {
      assert.equal((await move(store, '/file', '/d/s', { replacesId: other.id })).kind, 'changed');
      assert.equal((await move(store, '/file', '/d/free', { replacesId: standing.id })).kind, 'changed');
      assert.equal((await move(store, '/file', '/x/s', { replacesId: standing.id })).kind, 'changed');
    });
    assert.equal((await move(store, '/file', '/d/s', { replacesId: standing.id })).kind, 'moved');
    assert.equal((await at(store, '/d/s'))?.id, file.id);
    assert.deepEqual(await outboxOf(store), [
      ['instance-2', standing.id, '/d/s', standing.contentId],
      ['instance-1', file.id, '/file', '/d/s', file.contentId],
    ]);
    assert.deepEqual(await store.locateContents([standing.contentId]), []);
  });

  it('replaces a directory only when it is empty', async () => {
    await using store = await open();
    const [full, empty] = [await addDirectory(store, '/full'), await addDirectory(store, '/empty')];
    await addFile(store, '/full/file');
    const moved = await addDirectory(store, '/moved');
    await assertUnchanged(store, async () => {
      assert.deepEqual(await move(store, '/moved', '/full', { replacesId: full.id }), { kind: 'not-empty' });
    });
    assert.equal((await move(store, '/moved', '/empty', { replacesId: empty.id })).kind, 'moved');
    assert.equal((await at(store, '/empty'))?.id, moved.id);
  });

  it('does not put something in the place of what it lies in', async () => {
    await using store = await open();
    const outer = await addDirectory(store, '/outer');
    await addDirectory(store, '/outer/inner');
    assert.deepEqual(await move(store, '/outer/inner', '/outer', { replacesId: outer.id }), { kind: 'not-empty' });
  });
}

function relocating(open: Open): void {
  const relocatedTo = (instanceId: string) => ({
    relocated: { content: sampleContent({ sizeBytes: 5 }), instanceId, backendType: 'localfs' as const },
  });

  it('gives a file other bytes at another instance; the ETag and the time stay, the old bytes are garbage', async () => {
    await using store = await open();
    const file = await addFile(store, '/file');
    const given = { ...relocatedTo('instance-2'), expectContentId: file.contentId };
    const { entry } = kindOf(await move(store, '/file', '/file', given), 'moved');
    const { content, ...holder } = given.relocated;
    assert.deepEqual(entry, { ...file, ...content, ...holder, version: file.version + 1 });
    assert.deepEqual(await at(store, '/file'), entry);
    assert.deepEqual(await outboxOf(store), [['instance-1', file.id, '/file', file.contentId]]);
  });

  it('may give it another path and replace what stands there in the same step', async () => {
    await using store = await open();
    const [file, standing] = [await addFile(store, '/file'), await addFile(store, '/to', { instanceId: 'instance-2' })];
    const given = { ...relocatedTo('instance-2'), expectContentId: file.contentId, replacesId: standing.id };
    assert.equal((await move(store, '/file', '/to', given)).kind, 'moved');
    assert.deepEqual(await pathsOf(store), ['/to']);
    assert.deepEqual((await outboxOf(store)).sort(), [
      ['instance-1', file.id, '/file', file.contentId],
      ['instance-2', standing.id, '/to', standing.contentId],
    ]);
    const { contentId } = given.relocated.content;
    assert.deepEqual(await store.locateContents([contentId]), [{ contentId, path: '/to' as VirtualPath }]);
  });

  it('does not happen when the content is another one by now', async () => {
    await using store = await open();
    await addFile(store, '/file');
    await assertUnchanged(store, async () => {
      const given = { ...relocatedTo('instance-2'), expectContentId: 'older' };
      assert.equal((await move(store, '/file', '/file', given)).kind, 'changed');
      assert.equal((await move(store, '/file', '/new', given)).kind, 'changed');
    });
  });
}

function kindOf<O extends { readonly kind: string }, K extends O['kind']>(outcome: O, kind: K) {
  assert.equal(outcome.kind, kind, JSON.stringify(outcome));
  return outcome as Extract<O, { readonly kind: K }>;
}

function refusing(open: Open): void {
  it('changes nothing when the entry is gone, is another child or has another content', async () => {
    await using store = await open();
    const file = await addFile(store, '/d/file');
    const wanted = await moveOf(store, '/d/file', '/new');
    await addFile(store, '/d/other');
    await assertUnchanged(store, async () => {
      const outcomes = [
        await store.moveEntry({ ...wanted, entryId: sampleId('never') }),
        await store.moveEntry({ ...wanted, from: { ...wanted.from, name: 'other' } }),
        await store.moveEntry({ ...wanted, from: { ...wanted.from, parentId: ROOT_ID } }),
        await store.moveEntry({ ...wanted, expectContentId: 'older' }),
        await move(store, '/d', '/e', { expectContentId: file.contentId }),
        await store.moveEntry({ ...wanted, entryId: ROOT_ID, from: { parentId: ROOT_ID, name: '' } }),
      ];
      assert.deepEqual(new Set(outcomes.map(({ kind }) => kind)), new Set(['changed']), JSON.stringify(outcomes));
    });
  });

  it('changes nothing when the new parent is gone, is a file, or has got one of the missing directories', async () => {
    await using store = await open();
    await addFile(store, '/file');
    const [gone, parent] = [await addDirectory(store, '/gone'), await addFile(store, '/parent')];
    const toGone = await moveOf(store, '/file', '/gone/new');
    const toMissing = await moveOf(store, '/file', '/made/since/new');
    await store.removeEntry({ entryId: gone.id, expectContentId: undefined });
    await addDirectory(store, '/made');
    await assertUnchanged(store, async () => {
      assert.deepEqual(await store.moveEntry(toGone), { kind: 'changed' });
      assert.deepEqual(await store.moveEntry(toMissing), { kind: 'changed' });
      const toFile = { ...toGone, to: { ...toGone.to, parentId: parent.id } };
      assert.deepEqual(await store.moveEntry(toFile), { kind: 'changed' });
    });
  });

  it('does not bring a directory into itself, at any depth, also when parents are missing there', async () => {
    await using store = await open();
    await addDirectory(store, '/a/b/c');
    await assertUnchanged(store, async () => {
      for (const to of ['/a/x', '/a/b/x', '/a/b/c/x', '/a/b/c/d/e/x']) {
        assert.deepEqual(await move(store, '/a', to), { kind: 'cycle' }, to);
      }
    });
    assert.equal((await move(store, '/a/b/c', '/a/c')).kind, 'moved');
    assert.equal((await move(store, '/a', '/aa')).kind, 'moved');
  });
}

function growing(open: Open): void {
  const long = (bytes: number): string => `/${'é'.repeat(100)}`.repeat(Math.floor(bytes / 201));

  it('a file may get a path of 4096 bytes and no longer one', async () => {
    await using store = await open();
    const parent = long(3900);
    await addDirectory(store, parent);
    await addFile(store, '/file');
    const room = 4096 - Buffer.byteLength(parent) - 1;
    assert.deepEqual(await move(store, '/file', `${parent}/${'x'.repeat(room + 1)}`), { kind: 'too-long' });
    assert.equal((await move(store, '/file', `${parent}/${'x'.repeat(room)}`)).kind, 'moved');
  });

  it('paths below a directory may grow up to a limit, and always shrink', async () => {
    await using store = await open();
    const below = `${long(2600)}/file`;
    await addFile(store, `/d${below}`);
    const room = MAX_MOVED_PATH_BYTES - Buffer.byteLength(below) - 1;
    const names = [`${'a'.repeat(200)}`, 'b'.repeat(room - 201)];
    await assertUnchanged(store, async () => {
      assert.deepEqual(await move(store, '/d', `/${names.join('/')}b`), { kind: 'too-long' });
    });
    assert.equal((await move(store, '/d', `/${names.join('/')}`)).kind, 'moved');
    const longest = (await pathsOf(store)).map((path) => Buffer.byteLength(path));
    assert.equal(Math.max(...longest), MAX_MOVED_PATH_BYTES);

    const beyond = `/${'x'.repeat(200)}${long(3600)}/file`;
    await addFile(store, beyond);
    assert.equal((await move(store, `/${'x'.repeat(200)}`, `/${'y'.repeat(200)}`)).kind, 'moved');
    assert.equal((await move(store, `/${'y'.repeat(200)}`, '/y')).kind, 'moved');
    assert.deepEqual(await move(store, '/y', '/yy'), { kind: 'too-long' });
  });
}

function racing(openShared: () => Promise<Racers>): void {
  it('directories that are moved into each other never become a circle, and nothing is lost', async () => {
    await using racers = await openShared();
    const store = racers.of(0);
    const kinds = new Map<string, number>();
    for (let round = 0; round < 100; round++) {
      const top = `/circles-${round}`;
      for (const name of ['a', 'b', 'c']) await addFile(store, `${top}/${name}/deep/file`);
      const steps = [
        ['a', 'b/deep/a'],
        ['b', 'c/deep/b'],
        ['c', 'a/deep/c'],
      ] as const;
      // Resolved before any of them is moved, as by servers that ask at the same time.
      const moves = await Promise.all(steps.map(([from, to]) => moveOf(store, `${top}/${from}`, `${top}/${to}`)));
      const outcomes = await Promise.all(moves.map((request, racer) => racers.of(racer).moveEntry(request)));
      for (const { kind } of outcomes) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
      assert.equal(outcomes.filter(({ kind }) => kind === 'moved').length, 2, JSON.stringify(outcomes));
      const directory = await at(store, top);
      const below = await treeOf(store, directory?.id, top);
      assert.equal(below.filter(([, { type }]) => type === 'file').length, 3);
      assert.equal(below.length, 9);
    }
    assert.deepEqual(Object.fromEntries(kinds), { moved: 200, cycle: 100 });
  });

  it('of many files that get one name at once exactly one has it; the others learn who', async () => {
    await using racers = await openShared();
    const store = racers.of(0);
    for (let round = 0; round < 30; round++) {
      const files = [];
      for (let racer = 0; racer < 6; racer++) files.push(await addFile(store, `/names-${round}/${racer}`));
      const moves = await Promise.all(
        files.map((_, racer) => moveOf(store, `/names-${round}/${racer}`, `/names-${round}/one`)),
      );
      const outcomes = await Promise.all(moves.map((request, racer) => racers.of(racer).moveEntry(request)));
      const winner = await at(store, `/names-${round}/one`);
      assert.equal(outcomes.filter(({ kind }) => kind === 'moved').length, 1, JSON.stringify(outcomes));
      for (const outcome of outcomes) {
        assert.ok(outcome.kind === 'moved' || outcome.kind === 'exists', outcome.kind);
        assert.equal(outcome.entry.id, winner?.id);
      }
      assert.equal((await store.listChildren(winner?.parentId ?? '', undefined, 10)).length, 6);
    }
  });

  it('a file that is renamed, replaced and removed at once is somewhere once or gone, and all garbage is known', async () => {
    await using racers = await openShared();
    const store = racers.of(0);
    for (let round = 0; round < 60; round++) {
      const [path, to] = [`/three-${round}/old`, `/three-${round}/new`];
      const file = await addFile(store, path);
      const request = await moveOf(store, path, to);
      const content = sampleContent();
      const [moved, replaced, removed] = await Promise.all([
        racers.of(round).moveEntry(request),
        racers.of(round + 1).replaceContent({
          ...{
            entryId: file.id,
            expectContentId: undefined,
            instanceId: 'instance-1',
            backendType: 'localfs',
            content,
          },
          ...{ takeOver: false, contentType: undefined, mtimeMs: 1, discardPrevious: true },
        }),
        racers.of(round + 2).removeEntry({ entryId: file.id, expectContentId: undefined }),
      ]);
      assert.equal(removed.kind, 'removed');
      assert.equal(await at(store, path), undefined);
      assert.equal(await at(store, to), undefined);
      const rows = (await store.listOutbox('instance-1', 10_000)).filter((row) => row.entryId === file.id);
      const wherever = moved.kind === 'moved' ? [path, to] : [path];
      const garbage = rows.flatMap((row) => (row.kind === 'discard' ? [row.contentId] : []));
      const all = replaced.kind === 'replaced' ? [file.contentId, content.contentId] : [file.contentId];
      assert.deepEqual(garbage, all);
      for (const row of rows) assert.ok(wherever.includes(row.path), `${row.kind} of ${row.path}`);
      assert.equal(rows.filter(({ kind }) => kind === 'move').length, moved.kind === 'moved' ? 1 : 0);
    }
  });

  it('a directory that makes room and a file created in it at once: one of them gives way', async () => {
    await using racers = await openShared();
    const store = racers.of(0);
    for (let round = 0; round < 60; round++) {
      const room = await addDirectory(store, `/room-${round}/empty`);
      await addFile(store, `/room-${round}/moved/file`);
      const request = await moveOf(store, `/room-${round}/moved`, `/room-${round}/empty`, { replacesId: room.id });
      const [moved, created] = await Promise.all([
        racers.of(round).moveEntry(request),
        racers.of(round + 1).createEntry({ parentId: room.id, missingParents: [], entry: sampleFile('created') }),
      ]);
      const pair = `${moved.kind} ${created.kind}`;
      assert.ok(pair === 'moved changed' || pair === 'not-empty created', pair);
      const there = await at(store, `/room-${round}/empty/${created.kind === 'created' ? 'created' : 'file'}`);
      assert.equal(there?.type, 'file');
    }
  });

  it('a tree that is removed while parts of it move away takes each part wholly or not at all', async () => {
    await using racers = await openShared();
    const store = racers.of(0);
    for (let round = 0; round < 40; round++) {
      const [tree, away] = [`/tree-${round}/t`, `/tree-${round}/away`];
      for (const name of ['one', 'two', 'three']) await addFile(store, `${tree}/part/${name}`);
      const request = await moveOf(store, `${tree}/part`, away);
      const top = await at(store, tree);
      const [moved, removed] = await Promise.all([
        racers.of(round).moveEntry(request),
        racers.of(round + 1).removeTree(top?.id ?? '', admin),
      ]);
      assert.equal(removed.kind, 'removed');
      const left = await treeOf(store, (await at(store, `/tree-${round}`))?.id, '');
      assert.equal(left.length, moved.kind === 'moved' ? 4 : 0, `${moved.kind}: ${left.map(([path]) => path)}`);
      assert.ok(moved.kind === 'moved' || moved.kind === 'changed', moved.kind);
    }
  });
}

function attributes(open: Open): void {
  const nothing = { mode: undefined, owner: undefined, group: undefined };
  const request = (entry: Entry, given: Partial<ChangeAttributes>): ChangeAttributes => ({
    ...{ entryId: entry.id, expectVersion: entry.version, ...nothing },
    ...given,
  });

  it('of a file and of a directory change alone; what is not given stays, and no disk has to do anything', async () => {
    await using store = await open();
    for (const entry of [await addFile(store, '/d/file'), await addDirectory(store, '/e')]) {
      const owner = { name: 'bob', uid: 7 };
      const group = { name: 'wheel', gid: 8 };
      const first = kindOf(await store.changeAttributes(request(entry, { mode: 0o1700 })), 'attributes-changed');
      assert.deepEqual(first.entry, { ...entry, mode: 0o1700, version: entry.version + 1 });
      const second = kindOf(await store.changeAttributes(request(first.entry, { owner, group })), 'attributes-changed');
      const owned = { owner: 'bob', uid: 7, group: 'wheel', gid: 8 };
      assert.deepEqual(second.entry, { ...first.entry, ...owned, version: entry.version + 2 });
      assert.deepEqual(await at(store, entry.type === 'file' ? '/d/file' : '/e'), second.entry);
    }
    assert.deepEqual(await outboxOf(store), []);
  });

  it('do not change when the entry is gone or has another version', async () => {
    await using store = await open();
    const file = await addFile(store, '/file');
    await assertUnchanged(store, async () => {
      const stale = { ...request(file, { mode: 0 }), expectVersion: file.version + 1 };
      assert.deepEqual(await store.changeAttributes(stale), { kind: 'changed' });
      assert.deepEqual(await store.changeAttributes({ ...stale, entryId: 'never' }), { kind: 'changed' });
    });
    await move(store, '/file', '/renamed');
    assert.deepEqual(await store.changeAttributes(request(file, { mode: 0 })), { kind: 'changed' });
  });
}
