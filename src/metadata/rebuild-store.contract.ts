/** What every metadata store must do for catalogs and rebuilds, as tests that run over each implementation. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type DirectoryEntry, type Entry, type FileEntry, ROOT_ID } from '../core/entry.ts';
import type { DirectoryAbove, LocatedEntry } from '../core/located-entry.ts';
import { namesOf, pathOfNames, type VirtualPath } from '../core/virtual-path.ts';
import { admin, alice, createAt, find, sampleContent, sampleDirectory, sampleFile } from './metadata-store.contract.ts';
import type { MetadataStore, NewEntry } from './metadata-store.ts';
import { UNPLACED_ID } from './rebuild-store.ts';

type Open = () => Promise<MetadataStore>;

/** @param open gives a new, empty store every time */
export function rebuildStoreContract(name: string, open: Open): void {
  describe(`${name} as a store that catalogs are kept of`, () => {
    describe('describing', () => describing(open));
    describe('notes', () => noting(open));
    describe('restoring', () => restoring(open));
  });
}

async function make(store: MetadataStore, path: string, given: Partial<NewEntry> = {}): Promise<Entry> {
  const names = path.split('/').slice(1);
  const last = names.at(-1) ?? '';
  const entry = path.endsWith('/')
    ? sampleDirectory(names.at(-2) ?? '', given as object)
    : sampleFile(last, given as object);
  const outcome = await createAt(store, names.slice(0, path.endsWith('/') ? -2 : -1), entry);
  assert(outcome.kind === 'created');
  return outcome.entry;
}

const byId = (left: LocatedEntry, right: LocatedEntry): number => (left.entry.id < right.entry.id ? -1 : 1);

function describing(open: Open): void {
  it('gives entries with their paths and all that is above them, and leaves out what is gone', async () => {
    await using store = await open();
    const file = await make(store, '/a/b/file');
    const top = await make(store, '/top', { instanceId: 'instance-2' });
    const [, a, b] = await store.resolve(['a', 'b']);
    assert(a && b && file.type === 'file' && top.type === 'file');
    const above = [a, b].map(({ id, name, instanceId }) => ({ id, name, instanceId }));
    const expected: LocatedEntry[] = [
      { entry: file, path: pathOfNames(['a', 'b', 'file']), above },
      { entry: top, path: pathOfNames(['top']), above: [] },
    ].sort(byId);
    const ids = [file.id, 'never', top.id];
    assert.deepEqual([...(await store.describeEntries(ids))].sort(byId), expected);
    const contents = [top.contentId, 'never', file.contentId];
    assert.deepEqual([...(await store.describeContents(contents))].sort(byId), expected);
    const [root] = await store.describeEntries([ROOT_ID]);
    assert.equal(root?.path, '/');
    assert.deepEqual(root?.above, []);
    assert.deepEqual(await store.describeEntries([]), []);
    await store.removeEntry({ entryId: top.id, expectContentId: undefined });
    assert.deepEqual(await store.describeEntries([top.id]), []);
    assert.deepEqual(await store.describeContents([top.contentId]), []);
  });

  it('describes hundreds at once', async () => {
    await using store = await open();
    const files = await Promise.all(Array.from({ length: 150 }, (_, at) => make(store, `/d${at % 3}/f${at}`)));
    const described = await store.describeEntries(files.map(({ id }) => id));
    assert.equal(new Set(described.map(({ path }) => path)).size, 150);
    for (const { entry, path, above } of described) {
      assert.equal(path, `/${above[0]?.name}/${entry.name}`);
    }
  });

  it('lists what an instance holds and has made, in pieces, and ends', async () => {
    await using store = await open();
    const own: string[] = [];
    for (let at = 0; at < 25; at++) {
      const instanceId = at % 5 === 0 ? 'instance-1' : 'instance-2';
      const { id } = await make(store, at % 2 === 0 ? `/d${at}/` : `/f${at}`, { instanceId });
      if (instanceId === 'instance-1') own.push(id);
    }
    for (const limit of [1, 4, 26, 100]) {
      const listed: string[] = [];
      for (let after: string | undefined; ; ) {
        const { entries, next } = await store.listHoldings('instance-1', after, limit);
        listed.push(...entries.map(({ entry }) => entry.id));
        if (next === undefined) break;
        after = next;
      }
      assert.deepEqual(listed.sort(), [...own].sort());
    }
  });

  it('has a name that stays', async () => {
    await using store = await open();
    assert.equal(await store.identify('first'), 'first');
    assert.equal(await store.identify('second'), 'first');
  });
}

function noting(open: Open): void {
  /** What was noted since the last call, as `instance id`. */
  async function takeNotes(store: MetadataStore): Promise<string[]> {
    const notes = await store.listNotes(undefined, 1000);
    await store.forgetNotes(notes.map(({ seq }) => seq));
    return notes.map(({ instanceId, entryId }) => `${instanceId} ${entryId}`).sort();
  }

  it('are left by what leaves nothing else', async () => {
    await using store = await open();
    const folder = await make(store, '/folder/', { instanceId: 'instance-2' });
    assert.deepEqual(await takeNotes(store), [`instance-2 ${folder.id}`]);
    const parents = [sampleDirectory('p'), sampleDirectory('q', { instanceId: 'instance-2' })];
    const staged = sampleFile('staged');
    await store.createEntry({ parentId: folder.id, missingParents: parents, entry: staged });
    assert.deepEqual(await takeNotes(store), [`instance-1 ${parents[0]?.id}`, `instance-2 ${parents[1]?.id}`]);
    const adopted = sampleFile('adopted', { instanceId: 'instance-3' });
    await store.createEntry({ parentId: folder.id, missingParents: [], entry: adopted, isInPlace: true });
    assert.deepEqual(await takeNotes(store), [`instance-3 ${adopted.id}`]);
    await store.restampContent(adopted.contentId, 'another stamp');
    assert.deepEqual(await takeNotes(store), [`instance-3 ${adopted.id}`]);
    const replace = { entryId: staged.id, instanceId: 'instance-1', backendType: 'localfs', takeOver: false } as const;
    const rest = { expectContentId: undefined, content: sampleContent(), contentType: undefined, mtimeMs: 1 };
    await store.replaceContent({ ...replace, ...rest, discardPrevious: false });
    assert.deepEqual(await takeNotes(store), [`instance-1 ${staged.id}`]);
    await store.replaceContent({ ...replace, ...rest, content: sampleContent(), discardPrevious: true });
    assert.deepEqual(await takeNotes(store), []);
    const change = { mode: 0o700, owner: undefined, group: undefined };
    await store.changeAttributes({ entryId: folder.id, expectVersion: 1, ...change });
    assert.deepEqual(await takeNotes(store), [`instance-2 ${folder.id}`]);
    assert.equal((await store.removeTree(folder.id, admin)).kind, 'removed');
    const gone = [folder, ...parents].map(({ instanceId, id }) => `${instanceId} ${id}`);
    assert.deepEqual(await takeNotes(store), gone.sort());
  });

  it('are left by moves for what they make and remove, and by the first instance for the root', async () => {
    await using store = await open();
    const one = await make(store, '/one/');
    const standing = await make(store, '/standing/', { instanceId: 'instance-2' });
    await takeNotes(store);
    const from = { parentId: ROOT_ID, name: 'one' };
    const to = { parentId: ROOT_ID, missingParents: [], name: 'standing' };
    const request = { expectContentId: undefined, relocated: undefined };
    await store.moveEntry({ ...request, entryId: one.id, from, to, replacesId: standing.id });
    assert.deepEqual(await takeNotes(store), [`instance-2 ${standing.id}`]);
    const made = sampleDirectory('made', { instanceId: 'instance-2' });
    const deeper = { parentId: ROOT_ID, missingParents: [made], name: 'one' };
    await store.moveEntry({ ...request, entryId: one.id, from: to, to: deeper, replacesId: undefined });
    assert.deepEqual(await takeNotes(store), [`instance-2 ${made.id}`]);
    const boot = { endpoint: '', publicUrl: '', bootId: 'boot', version: '', process: '', nowMs: 7 };
    for (const id of ['instance-1', 'instance-2']) await store.registerInstance({ ...boot, id, replaces: undefined });
    assert.deepEqual(await takeNotes(store), [`instance-1 ${ROOT_ID}`]);
    await store.handOverDirectories({ from: 'instance-2', to: 'instance-1', limit: 10 });
    assert.deepEqual(await takeNotes(store), [`instance-1 ${made.id}`, `instance-2 ${made.id}`]);
  });

  it('are listed for one instance or for all, oldest first, and forgotten one by one', async () => {
    await using store = await open();
    for (let at = 0; at < 130; at++) await make(store, `/d${at}/`, { instanceId: `instance-${at % 2}` });
    const own = await store.listNotes('instance-1', 1000);
    assert.equal(own.length, 65);
    assert.deepEqual(await store.listNotes('instance-1', 10), own.slice(0, 10));
    await store.forgetNotes([...own.slice(1).map(({ seq }) => seq), 123_456]);
    assert.deepEqual(await store.listNotes('instance-1', 10), own.slice(0, 1));
    assert.equal((await store.listNotes(undefined, 1000)).length, 66);
    await store.forgetNotes([]);
  });
}

interface Made {
  readonly instanceId?: string;
  readonly version?: number;
  readonly above?: readonly DirectoryAbove[];
}

const aboveOf = ({ entry, above }: LocatedEntry): DirectoryAbove[] => [
  ...above,
  { id: entry.id, name: entry.name, instanceId: entry.instanceId },
];

function directory(id: string, path: string, { instanceId = 'instance-1', version = 3, above = [] }: Made = {}) {
  const names = namesOf(path as VirtualPath);
  const made = sampleDirectory(names.at(-1) ?? '', { id, instanceId, owner: alice.name, mode: 0o711 });
  const entry: DirectoryEntry = { ...made, parentId: above.at(-1)?.id ?? ROOT_ID, version };
  return { entry, path: path as VirtualPath, above };
}

function file(id: string, path: string, { instanceId = 'instance-1', version = 5, above = [] }: Made = {}) {
  const names = namesOf(path as VirtualPath);
  const made = sampleFile(names.at(-1) ?? '', { id, instanceId, contentType: 'text/odd', mode: 0o640 });
  const entry: FileEntry = { ...made, parentId: above.at(-1)?.id ?? ROOT_ID, version };
  return { entry, path: path as VirtualPath, above };
}

function restoring(open: Open): void {
  async function openBegun(): Promise<MetadataStore> {
    const store = await open();
    assert.equal(await store.beginRebuild({ instanceId: 'instance-1', nowMs: 9 }), true);
    return store;
  }

  const kindsOf = async (store: MetadataStore, ...entries: LocatedEntry[]): Promise<string[]> =>
    (await store.restoreEntries({ entries })).map(({ kind }) => kind);

  async function pathOf(store: MetadataStore, id: string): Promise<string | undefined> {
    return (await store.describeEntries([id]))[0]?.path;
  }

  it('begins in an empty store only, makes the instance known, and says what is finished', async () => {
    await using used = await open();
    await make(used, '/file');
    assert.equal(await used.beginRebuild({ instanceId: 'instance-1', nowMs: 9 }), false);
    assert.deepEqual(await used.listInstances(), []);
    await using store = await openBegun();
    const [instance] = await store.listInstances();
    assert.equal(instance?.id, 'instance-1');
    assert.equal(instance?.stopped, true);
    await make(store, '/file');
    assert.equal(await store.beginRebuild({ instanceId: 'instance-2', nowMs: 9 }), true);
    await store.finishRebuild('instance-2');
    assert.deepEqual(await store.listRebuilds(), [
      { instanceId: 'instance-1', finished: false },
      { instanceId: 'instance-2', finished: true },
    ]);
    const boot = { endpoint: '', publicUrl: '', bootId: 'boot', version: '', process: '', nowMs: 7 };
    const replaces = { bootId: '', beat: 0 };
    assert.equal(await store.registerInstance({ ...boot, id: 'instance-1', replaces }), true);
  });

  it('brings entries back with every column as it was, and does it once', async () => {
    await using store = await openBegun();
    const [rootEntry] = await store.resolve([]);
    assert(rootEntry?.type === 'directory');
    const old = { ...rootEntry, mode: 0o700, instanceId: 'instance-1', version: 4, mtimeMs: 5 };
    const root: LocatedEntry = { entry: old, path: '/' as VirtualPath, above: [] };
    const top = directory('d', '/top');
    const inner = directory('e', '/top/inner', { above: aboveOf(top) });
    const files = Array.from({ length: 100 }, (_, at) =>
      file(`f${at}`, `/top/inner/f${at}`, { above: aboveOf(inner) }),
    );
    const all = [root, top, inner, ...files];
    assert.deepEqual(new Set(await kindsOf(store, ...all)), new Set(['restored']));
    const described = await store.describeEntries(all.map(({ entry }) => entry.id));
    assert.deepEqual([...described].sort(byId), [...all].sort(byId));
    assert.deepEqual(new Set(await kindsOf(store, ...all)), new Set(['known']));
    assert.deepEqual(await store.listNotes(undefined, 10), []);
  });

  it('lets placeholders stand for what is missing until it comes, whatever it is called by then', async () => {
    await using store = await openBegun();
    const outer = directory('o', '/outer', { instanceId: 'instance-2' });
    const inner = directory('i', '/outer/inner', { instanceId: 'instance-2', above: aboveOf(outer) });
    const leaf = file('f', '/outer/inner/f', { above: aboveOf(inner) });
    assert.deepEqual(await kindsOf(store, leaf), ['restored']);
    const placeholders = await store.listPlaceholders(undefined, 10);
    assert.deepEqual(
      placeholders.map(({ entry, path }) => `${entry.instanceId} ${entry.version} ${path}`),
      ['instance-2 0 /outer/inner', 'instance-2 0 /outer'],
    );
    assert.equal((await store.listPlaceholders(placeholders[0]?.entry.id, 10)).length, 1);
    const renamed = directory('i', '/renamed', { instanceId: 'instance-2', version: 9 });
    assert.deepEqual(await kindsOf(store, outer, renamed), ['restored', 'restored']);
    assert.equal(await pathOf(store, 'f'), '/renamed/f');
    assert.deepEqual(await find(store, 'outer'), outer.entry);
    assert.deepEqual(await find(store, 'renamed'), renamed.entry);
    assert.deepEqual(await store.listPlaceholders(undefined, 10), []);
  });

  it('moves a placeholder that is in the way aside, and back when its directory comes', async () => {
    await using store = await openBegun();
    const moved = directory('m', '/name', { instanceId: 'instance-2' });
    assert.deepEqual(await kindsOf(store, file('f', '/name/f', { above: aboveOf(moved) })), ['restored']);
    const successor = directory('s', '/name');
    const other = directory('n', '/successor', { instanceId: 'instance-2' });
    assert.deepEqual(await kindsOf(store, successor, file('g', '/successor/g', { above: aboveOf(other) })), [
      'restored',
      'restored',
    ]);
    assert.deepEqual(await kindsOf(store, file('h', '/successor')), ['restored']);
    assert.deepEqual(await find(store, 'name'), successor.entry);
    assert.equal((await store.listPlaceholders(undefined, 10)).length, 2);
    // A placeholder that finds its name taken goes there at once.
    const third = directory('t', '/name', { instanceId: 'instance-2' });
    assert.deepEqual(await kindsOf(store, file('i', '/name/i', { above: aboveOf(third) })), ['restored']);
    for (const [located, path] of [
      [directory('m', '/moved', { version: 7 }), '/moved/f'],
      [directory('n', '/n', { version: 7 }), '/n/g'],
      [directory('t', '/t', { version: 7 }), '/t/i'],
    ] as const) {
      assert.deepEqual(await kindsOf(store, located), ['restored']);
      assert.equal(await pathOf(store, located.entry.id), located.path);
      assert.ok([...(await store.describeEntries(['f', 'g', 'i']))].some((each) => each.path === path));
    }
    await store.finishRebuild('instance-1');
    assert.deepEqual(await store.describeEntries([UNPLACED_ID]), []);
  });

  it('never lets directories lie in each other', async () => {
    await using store = await openBegun();
    const x = directory('x', '/y/x', { instanceId: 'instance-2', above: aboveOf(directory('y', '/y')) });
    assert.deepEqual(await kindsOf(store, file('f', '/y/x/f', { above: aboveOf(x) })), ['restored']);
    // Since then x went to the top, and y into it.
    const nowX = directory('x', '/x', { instanceId: 'instance-2', version: 8 });
    const nowY = directory('y', '/x/y', { version: 8, above: aboveOf(nowX) });
    assert.deepEqual(await kindsOf(store, nowY), ['restored']);
    assert.deepEqual(await kindsOf(store, nowX), ['restored']);
    assert.equal(await pathOf(store, 'y'), '/x/y');
    assert.equal(await pathOf(store, 'f'), '/x/f');
  });

  it('keeps what stands at a path, says what it is, and lets a directory take what belongs into another', async () => {
    await using store = await openBegun();
    const [f, d] = [file('f', '/file'), directory('d', '/directory')];
    const inside = file('g', '/directory/g', { above: aboveOf(d) });
    assert.deepEqual(await kindsOf(store, f, d, inside), ['restored', 'restored', 'restored']);
    const others = [file('f2', '/file'), directory('d2', '/file'), file('f3', '/directory')];
    const outcomes = await store.restoreEntries({ entries: others });
    for (const outcome of outcomes) {
      assert(outcome.kind === 'conflict');
      assert.deepEqual(outcome.standing, outcome === outcomes[2] ? d.entry : f.entry);
    }
    const twin = directory('twin', '/directory', { instanceId: 'instance-2' });
    const before = file('h', '/directory/h', { above: aboveOf(twin) });
    const same = file('g2', '/directory/g', { above: aboveOf(twin) });
    assert.deepEqual(await kindsOf(store, before), ['restored']);
    assert.deepEqual(await kindsOf(store, twin), ['merged']);
    assert.equal(await pathOf(store, 'h'), '/directory/h');
    assert.deepEqual(await kindsOf(store, file('i', '/directory/i', { above: aboveOf(twin) }), same), [
      'restored',
      'conflict',
    ]);
    assert.equal(await pathOf(store, 'i'), '/directory/i');
    assert.deepEqual(await find(store, 'directory', 'g'), inside.entry);
  });

  it('replaces an older version of an entry, never a newer one', async () => {
    await using store = await openBegun();
    const [older, newer] = [file('f', '/f', { version: 5 }), file('f', '/g', { version: 6, instanceId: 'instance-2' })];
    assert.deepEqual(await kindsOf(store, older), ['restored']);
    assert.deepEqual(await kindsOf(store, newer), ['restored']);
    assert.deepEqual(await kindsOf(store, older), ['known']);
    assert.deepEqual(await find(store, 'g'), newer.entry);
    assert.equal(await find(store, 'f'), undefined);
  });

  it('makes in the end what nobody brought', async () => {
    await using store = await openBegun();
    const lost = directory('l', '/lost', { instanceId: 'instance-2' });
    const aside = directory('s', '/taken', { instanceId: 'instance-2' });
    const entries = [file('f', '/lost/f', { above: aboveOf(lost) }), file('t', '/taken')];
    assert.deepEqual(await kindsOf(store, ...entries), ['restored', 'restored']);
    assert.deepEqual(await kindsOf(store, file('g', '/taken/g', { above: aboveOf(aside) })), ['restored']);
    assert.equal(await store.endRebuild({ instanceId: 'instance-1', nowMs: 77 }), 3);
    assert.equal(await pathOf(store, 'f'), '/lost/f');
    assert.equal(await pathOf(store, 'g'), '/recovered-s/g');
    const made = await find(store, 'lost');
    assert.deepEqual(
      [made?.version, made?.owner, made?.mode, made?.instanceId, made?.mtimeMs],
      [0, 'root', 0o700, 'instance-1', 77],
    );
    assert.deepEqual(await store.listPlaceholders(undefined, 10), []);
    assert.equal((await store.resolve([]))[0]?.version, 1);
    assert.equal(await store.endRebuild({ instanceId: 'instance-1', nowMs: 78 }), 0);
    // The instance that was lost is found after all; one of its directories has another owner by now.
    const change = { mode: undefined, owner: { name: 'alice', uid: 1 }, group: undefined };
    await store.changeAttributes({ entryId: 's', expectVersion: 0, ...change });
    assert.deepEqual(await kindsOf(store, lost, aside), ['restored', 'changed']);
    assert.deepEqual(await find(store, 'lost'), lost.entry);
    assert.equal((await find(store, 'recovered-s'))?.mode, 0o700);
    assert.deepEqual(await kindsOf(store, lost), ['known']);
  });

  it('leaves moves to the instances', async () => {
    await using store = await openBegun();
    const { entry } = file('f', '/f');
    const { contentId, sizeBytes, checksum, storageKey, storageStamp } = entry;
    const content = { contentId, sizeBytes, checksum, storageKey, storageStamp };
    const [path, to] = [pathOfNames(['was']), pathOfNames(['f'])];
    await store.moveToPlaces([{ instanceId: 'instance-1', entryId: 'f', backendType: 's3', path, to, content }]);
    const [{ seq: _, ...row } = { seq: 0 }] = await store.listOutbox('instance-1', 10);
    assert.deepEqual(row, {
      kind: 'move',
      instanceId: 'instance-1',
      entryId: 'f',
      backendType: 's3',
      path,
      to,
      content,
    });
  });
}
