/**
 * What every metadata store must do, as tests that run over each implementation, and the samples they
 * are made of. Knows only the interface, so a store that passes may take the place of any other.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type Content, type DirectoryEntry, type Entry, type FileEntry, ROOT_ID, ROOT_MODE } from '../core/entry.ts';
import { CallFSError } from '../core/errors.ts';
import type { User } from '../core/permissions.ts';
import type { RegisterInstance } from './instance-store.ts';
import type {
  CreateOutcome,
  DiscardedContent,
  LocatedFile,
  MetadataStore,
  NewDirectory,
  NewEntry,
  NewFile,
  ReplaceContent,
} from './metadata-store.ts';

export interface MetadataStoreContractOptions {
  /** Opens the store that `open` gave last once more, as another instance would; unset: nothing outlives or shares it. */
  readonly reopen?: () => Promise<MetadataStore>;
}

/** @param open gives a new, empty store every time */
export function metadataStoreContract(
  name: string,
  open: () => Promise<MetadataStore>,
  options: MetadataStoreContractOptions = {},
): void {
  const { reopen } = options;
  const openShared = (): Promise<SharedStore> => SharedStore.open(open, reopen);
  describe(`${name} as a metadata store`, () => {
    describe('resolving', () => resolving(open, openShared));
    describe('creating', () => creating(open, openShared));
    describe('replacing content', () => replacing(open, openShared));
    describe('removing an entry', () => removing(open, openShared));
    describe('removing a tree', () => removingTrees(open, openShared));
    describe('listing', () => listing(open, openShared));
    describe('locating contents', () => locating(open));
    describe('listing files', () => listingFiles(open));
    describe('discarded contents', () => discarding(open));
    describe('instances', () => instances(open, openShared));
    describe('counting files', () => counting(open));
    describe('closing', () => closing(open));
    if (reopen) describe('sharing', () => sharing(open, reopen));
  });
}

type Open = () => Promise<MetadataStore>;
type OpenShared = () => Promise<SharedStore>;

/** One store, opened several times where the implementation can, so that races are between processes and not only calls. */
class SharedStore {
  readonly stores: readonly MetadataStore[];
  readonly #stack: AsyncDisposableStack;

  private constructor(stores: readonly MetadataStore[], stack: AsyncDisposableStack) {
    this.stores = stores;
    this.#stack = stack;
  }

  static async open(open: Open, reopen: Open | undefined): Promise<SharedStore> {
    await using stack = new AsyncDisposableStack();
    const stores = [stack.use(await open())];
    if (reopen) for (let more = 0; more < 2; more++) stores.push(stack.use(await reopen()));
    return new SharedStore(stores, stack.move());
  }

  /** The opening that the racer with this number uses. */
  of(racer: number): MetadataStore {
    const store = this.stores[racer % this.stores.length];
    assert.ok(store);
    return store;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

export const alice: User = { name: 'alice', uid: 1001, gid: 1001, groups: ['staff'], admin: false };
export const bob: User = { name: 'bob', uid: 1002, gid: 1002, groups: ['guests'], admin: false };
export const admin: User = { name: 'operator', uid: 1, gid: 1, groups: ['operators'], admin: true };

let lastSerial = 0;
/** An id that no other sample has, in this process or another one. */
export function sampleId(kind: string): string {
  return `${kind}-${process.pid}-${++lastSerial}`;
}

export function sampleContent(given: Partial<Content> = {}): Content {
  const contentId = given.contentId ?? sampleId('content');
  return {
    contentId,
    sizeBytes: 5,
    checksum: '3610a686',
    storageKey: null,
    storageStamp: `stamp-${contentId}`,
    ...given,
  };
}

export function sampleFile(name: string, given: Partial<NewFile> = {}): NewFile {
  const file = {
    ...sampleDirectory(name),
    ...sampleContent(),
    id: sampleId('file'),
    mode: 0o644,
    contentType: null,
    ...given,
  };
  return { ...file, etag: given.etag ?? file.contentId, type: 'file' };
}

export function sampleDirectory(name: string, given: Partial<NewDirectory> = {}): NewDirectory {
  return {
    type: 'directory',
    id: sampleId('directory'),
    name,
    mode: 0o755,
    owner: alice.name,
    group: 'staff',
    uid: alice.uid,
    gid: alice.gid,
    mtimeMs: 1_767_225_600_123,
    createdAtMs: 1_767_225_600_001,
    instanceId: 'instance-1',
    backendType: 'localfs',
    ...given,
  };
}

/** The outcome, which must be of this kind. */
function expectKind<O extends { readonly kind: string }, K extends O['kind']>(outcome: O, kind: K) {
  assert.equal(outcome.kind, kind, JSON.stringify(outcome));
  return outcome as Extract<O, { readonly kind: K }>;
}

function expectFile(entry: Entry | undefined): FileEntry {
  assert.ok(entry?.type === 'file', JSON.stringify(entry));
  return entry;
}

async function makeFile(
  store: MetadataStore,
  parentId: string,
  name: string,
  given: Partial<NewFile> = {},
): Promise<FileEntry> {
  const outcome = await store.createEntry({ parentId, missingParents: [], entry: sampleFile(name, given) });
  return expectFile(expectKind(outcome, 'created').entry);
}

async function makeDirectory(
  store: MetadataStore,
  parentId: string,
  name: string,
  given: Partial<NewDirectory> = {},
): Promise<DirectoryEntry> {
  const outcome = await store.createEntry({ parentId, missingParents: [], entry: sampleDirectory(name, given) });
  const { entry } = expectKind(outcome, 'created');
  assert.ok(entry.type === 'directory');
  return entry;
}

/** The entry at a path, or undefined. */
export async function find(store: MetadataStore, ...names: string[]): Promise<Entry | undefined> {
  return (await store.resolve(names))[names.length];
}

/** As a server does it: resolves, creates what is missing, and starts over when the store says that it changed. */
export async function createAt(
  store: MetadataStore,
  parents: readonly string[],
  entry: NewEntry,
): Promise<CreateOutcome> {
  for (;;) {
    const found = await store.resolve(parents);
    const missingParents = parents.slice(found.length - 1).map((name) => sampleDirectory(name));
    const outcome = await store.createEntry({ parentId: found.at(-1)?.id ?? ROOT_ID, missingParents, entry });
    if (outcome.kind !== 'changed') return outcome;
  }
}

function replacementOf(file: FileEntry, given: Partial<ReplaceContent> = {}): ReplaceContent {
  return {
    entryId: file.id,
    expectContentId: file.contentId,
    instanceId: file.instanceId,
    backendType: file.backendType,
    takeOver: false,
    content: sampleContent({ sizeBytes: 6 }),
    contentType: undefined,
    mtimeMs: file.mtimeMs + 1,
    discardPrevious: true,
    ...given,
  };
}

async function discardedBy(store: MetadataStore, instanceId = 'instance-1'): Promise<readonly DiscardedContent[]> {
  return (await store.listOutbox(instanceId, 1000)).filter((row) => row.kind === 'discard');
}

/** What a file's content looks like after a commit made it garbage; the sequence number is the store's own. */
function discardedForm(file: FileEntry, path: string) {
  const { id: entryId, contentId, sizeBytes, checksum, storageKey, storageStamp, instanceId, backendType } = file;
  const content = { contentId, sizeBytes, checksum, storageKey, storageStamp };
  return { kind: 'discard', entryId, ...content, instanceId, backendType, path };
}

function withoutSeq(rows: readonly DiscardedContent[]) {
  return rows.map(({ seq: _, ...row }) => row);
}

const byContentId = (left: { contentId: string }, right: { contentId: string }): number =>
  left.contentId < right.contentId ? -1 : 1;

const namesOfAll = (entries: readonly Entry[]): string[] => entries.map((entry) => entry.name);

async function listAll(store: MetadataStore, directoryId: string, limit: number): Promise<string[]> {
  const names: string[] = [];
  for (;;) {
    const page = namesOfAll(await store.listChildren(directoryId, names.at(-1), limit));
    assert.ok(page.length <= limit);
    names.push(...page);
    if (page.length < limit) return names;
  }
}

const sortedByBytes = (names: readonly string[]): string[] =>
  [...names].sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)));

/** Names that are ordinary for a filesystem and special for something on the way. */
// biome-ignore format: one name a line would hide how they compare
const ODD_NAMES = [
  '_', '%', '*', '?', '[', ']', "'", '"', '`', ';', '--', '*/', '$1', '?1', ':name', '@x', '#', '&', '<>', '|', '~',
  '%2F', '%_', 'a_c', 'abc', 'a%c', ' ', '  ', ' a', 'a ', '.hidden', '...', '-rf', 'NULL', 'null', 'true', '0', '00',
  '1e3', 'A', 'a', 'Z', 'z', 'É', '\u00e9', 'e\u0301', 'ß', 'SS', 'ﬀ', 'ff', '\u200b', '\ufeff', '\ufeffa', '\ufffd',
  '\ue000', '\uff5e', '\uffff', '\u{10000}', '\u{1f600}', '\u{10ffff}', '日本', 'עברית', '\u0085', '\u2028', '\u00a0',
  'x'.repeat(255), '\u{1f600}'.repeat(63),
];

const wellFormedName = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 20 })
  .filter((name) => name.isWellFormed() && !/[\0/]/.test(name));

function resolving(open: Open, openShared: OpenShared): void {
  it('finds the root directory in a new store', async () => {
    await using store = await open();
    const found = await store.resolve([]);
    assert.equal(found.length, 1);
    const { type, id, parentId, name, mode, version } = found[0] ?? {};
    const root = { type: 'directory', id: ROOT_ID, parentId: ROOT_ID, name: '', mode: ROOT_MODE, version: 1 };
    assert.deepEqual({ type, id, parentId, name, mode, version }, root);
  });

  it('gives every entry on the way to a path, from the root down', async () => {
    await using store = await open();
    const docs = await makeDirectory(store, ROOT_ID, 'docs');
    const year = await makeDirectory(store, docs.id, '2026');
    const report = await makeFile(store, year.id, 'report.pdf');
    await makeFile(store, docs.id, 'report.pdf');
    const [root, ...rest] = await store.resolve(['docs', '2026', 'report.pdf']);
    assert.equal(root?.id, ROOT_ID);
    assert.deepEqual(rest, [docs, year, report]);
  });

  it('stops at the deepest entry that exists', async () => {
    await using store = await open();
    const docs = await makeDirectory(store, ROOT_ID, 'docs');
    await makeFile(store, ROOT_ID, 'deeper');
    assert.deepEqual((await store.resolve(['docs', 'missing'])).slice(1), [docs]);
    assert.deepEqual((await store.resolve(['docs', 'missing', 'deeper'])).slice(1), [docs]);
    assert.deepEqual((await store.resolve(['missing', 'docs'])).slice(1), []);
  });

  it('stops at a file in the middle of a path', async () => {
    await using store = await open();
    const file = await makeFile(store, ROOT_ID, 'file');
    assert.deepEqual((await store.resolve(['file', 'below', 'file'])).slice(1), [file]);
  });

  it('gives back every attribute as it was given', async () => {
    await using store = await open();
    const plain = await makeFile(store, ROOT_ID, 'plain');
    const special = await makeFile(store, ROOT_ID, 'special', {
      mode: 0o7777,
      owner: 'Zoë "the owner"',
      group: "o'group",
      uid: 4_294_967_294,
      gid: 0,
      mtimeMs: 8_640_000_000_000_000,
      createdAtMs: 0,
      backendType: 's3',
      contentType: 'text/plain; charset=utf-8',
      checksum: '00000000',
      sizeBytes: 0,
      storageKey: 'prefix/special#1',
      storageStamp: '',
    });
    const folder = await makeDirectory(store, ROOT_ID, 'folder', { mode: 0, mtimeMs: 1, instanceId: 'instance-2' });
    assert.equal(special.parentId, ROOT_ID);
    assert.equal(special.version, 1);
    for (const entry of [plain, special, folder]) assert.deepEqual(await find(store, entry.name), entry);
  });

  it('tells names apart that differ in one byte, and finds odd ones', async () => {
    await using store = await open();
    const made = await Promise.all(ODD_NAMES.map((name) => makeDirectory(store, ROOT_ID, name)));
    const inside = await Promise.all(made.map((folder) => makeFile(store, folder.id, folder.name)));
    for (const file of inside) assert.deepEqual(await find(store, file.name, file.name), file);
    assert.equal(await find(store, 'a__'), undefined);
    assert.equal(await find(store, 'ABC'), undefined);
  });

  it('follows the longest path there can be', async () => {
    await using store = await open();
    for (const depth of [5, 7, 9, 17, 33, 100]) {
      const names = Array.from({ length: depth }, () => `depth-${depth}`);
      const outcome = await createAt(store, names.slice(1), sampleFile(`depth-${depth}`));
      const { entry } = expectKind(outcome, 'created');
      assert.deepEqual((await store.resolve(names)).at(-1), entry);
      assert.equal((await store.resolve([...names, 'below'])).length, depth + 1);
      assert.equal((await store.resolve(['missing', ...names])).length, 1);
    }
    const deepest = Array.from({ length: 2047 }, () => 'a');
    await createAt(store, deepest.slice(1), sampleFile('a'));
    assert.equal((await store.resolve(deepest)).length, 2048);
  });

  it('shows one moment of a path that is removed and made again', async () => {
    await using shared = await openShared();
    const [reader, writer] = [shared.of(0), shared.of(1)];
    let writing = true;
    const rewrite = async (): Promise<void> => {
      for (let round = 0; round < 40; round++) {
        const parents = Array.from({ length: 1 + (round % 3) }, () => 'a');
        await createAt(writer, parents, sampleFile('b'));
        const top = await find(writer, 'a');
        assert.ok(top);
        expectKind(await writer.removeTree(top.id, admin), 'removed');
      }
      writing = false;
    };
    const read = async (): Promise<void> => {
      while (writing) {
        const found = await reader.resolve(['a', 'a', 'a', 'b']);
        const parentIds = found.slice(1).map((entry) => entry.parentId);
        assert.deepEqual(
          parentIds,
          found.slice(0, -1).map((entry) => entry.id),
        );
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    await Promise.all([rewrite(), read()]);
  });
}

function creating(open: Open, openShared: OpenShared): void {
  it('lets exactly one of many racers make a name, and shows the winner to the others', async () => {
    await using shared = await openShared();
    const entries = Array.from({ length: 60 }, (_, racer) =>
      racer % 3 === 0 ? sampleDirectory('same') : sampleFile('same', { instanceId: `instance-${racer}` }),
    );
    const outcomes = await Promise.all(
      entries.map((entry, racer) => shared.of(racer).createEntry({ parentId: ROOT_ID, missingParents: [], entry })),
    );
    const winners = outcomes.filter((outcome) => outcome.kind === 'created');
    assert.equal(winners.length, 1);
    const winner = await find(shared.of(0), 'same');
    for (const outcome of outcomes) {
      assert.ok(outcome.kind !== 'changed');
      assert.deepEqual(outcome.entry, winner);
    }
    assert.equal(entries[outcomes.findIndex((outcome) => outcome.kind === 'created')]?.id, winner?.id);
  });

  it('makes missing parents together with the entry', async () => {
    await using store = await open();
    const missingParents = [sampleDirectory('a', { mode: 0o700 }), sampleDirectory('b')];
    const entry = sampleFile('c');
    const outcome = await store.createEntry({ parentId: ROOT_ID, missingParents, entry });
    const [outer, inner] = missingParents;
    assert.ok(outer && inner);
    const created = { ...entry, parentId: inner.id, version: 1 };
    assert.deepEqual(outcome, { kind: 'created', entry: created });
    assert.deepEqual((await store.resolve(['a', 'b', 'c'])).slice(1), [
      { ...outer, parentId: ROOT_ID, version: 1 },
      { ...inner, parentId: outer.id, version: 1 },
      created,
    ]);
  });

  it('makes no parent when the entry cannot be made', async () => {
    await using store = await open();
    const taken = await makeFile(store, ROOT_ID, 'taken');
    const entry = sampleFile('c', { contentId: taken.contentId });
    const missingParents = [sampleDirectory('a'), sampleDirectory('b')];
    await store.createEntry({ parentId: ROOT_ID, missingParents, entry }).then(
      (outcome) => expectKind(outcome, 'changed'),
      (error: unknown) => assert.ok(error instanceof Error),
    );
    assert.equal(await find(store, 'a'), undefined);
    assert.deepEqual(await find(store, 'taken'), taken);
  });

  it('says that it changed when a parent that was missing is there, and makes nothing', async () => {
    await using store = await open();
    const folder = await makeDirectory(store, ROOT_ID, 'folder');
    const file = await makeFile(store, ROOT_ID, 'file');
    for (const name of ['folder', 'file']) {
      const missingParents = [sampleDirectory(name), sampleDirectory('inner')];
      const outcome = await store.createEntry({ parentId: ROOT_ID, missingParents, entry: sampleFile('c') });
      assert.deepEqual(outcome, { kind: 'changed' });
    }
    assert.deepEqual(await store.listChildren(ROOT_ID, undefined, 10), [file, folder]);
    assert.deepEqual(await store.listChildren(folder.id, undefined, 10), []);
  });

  it('says that it changed when the parent is gone, is a file or never was', async () => {
    await using store = await open();
    const gone = await makeDirectory(store, ROOT_ID, 'gone');
    expectKind(await store.removeEntry({ entryId: gone.id, expectContentId: undefined }), 'removed');
    const file = await makeFile(store, ROOT_ID, 'file');
    for (const parentId of [gone.id, file.id, 'never']) {
      for (const missingParents of [[], [sampleDirectory('a')]]) {
        const outcome = await store.createEntry({ parentId, missingParents, entry: sampleFile('b') });
        assert.deepEqual(outcome, { kind: 'changed' });
      }
    }
    assert.deepEqual((await store.resolve(['gone', 'a', 'b'])).length, 1);
  });

  it('keeps what exists when a create loses to it, whatever the types are', async () => {
    await using store = await open();
    const folder = await makeDirectory(store, ROOT_ID, 'folder');
    const file = await makeFile(store, ROOT_ID, 'file');
    for (const winner of [folder, file]) {
      for (const entry of [sampleFile(winner.name), sampleDirectory(winner.name)]) {
        const outcome = await store.createEntry({ parentId: ROOT_ID, missingParents: [], entry });
        assert.deepEqual(outcome, { kind: 'exists', entry: winner });
      }
    }
    assert.deepEqual(await discardedBy(store), []);
  });

  it('makes the same name in different directories', async () => {
    await using store = await open();
    const folder = await makeDirectory(store, ROOT_ID, 'same');
    const inner = await makeFile(store, folder.id, 'same');
    assert.deepEqual((await store.resolve(['same', 'same'])).slice(1), [folder, inner]);
  });

  it('brings 50 concurrent creates into a directory that does not exist yet', async () => {
    await using shared = await openShared();
    const parents = ['not', 'there', 'yet'];
    const names = Array.from({ length: 50 }, (_, racer) => `file-${racer}`);
    const outcomes = await Promise.all(
      names.map((name, racer) => createAt(shared.of(racer), parents, sampleFile(name))),
    );
    const created = outcomes.map((outcome) => expectKind(outcome, 'created').entry);
    const directory = await find(shared.of(0), ...parents);
    assert.ok(directory);
    assert.deepEqual(new Set(created.map((entry) => entry.parentId)), new Set([directory.id]));
    assert.deepEqual(await listAll(shared.of(1), directory.id, 20), sortedByBytes(names));
    assert.deepEqual(await listAll(shared.of(2), ROOT_ID, 20), ['not']);
  });
}

function replacing(open: Open, openShared: OpenShared): void {
  it('points the file to the new content and counts the version up', async () => {
    await using store = await open();
    const file = await makeFile(store, ROOT_ID, 'file', { contentType: 'text/plain' });
    const content = sampleContent({ sizeBytes: 77, checksum: 'ffffffff', storageKey: 'elsewhere', storageStamp: 's2' });
    const mtimeMs = file.mtimeMs + 1000;
    const outcome = await store.replaceContent(replacementOf(file, { content, mtimeMs }));
    const expected: FileEntry = { ...file, ...content, etag: content.contentId, mtimeMs, version: 2 };
    assert.deepEqual(outcome, { kind: 'replaced', entry: expected });
    assert.deepEqual(await find(store, 'file'), expected);
    const again = expectKind(await store.replaceContent(replacementOf(expected)), 'replaced');
    assert.equal(again.entry.version, 3);
  });

  it('keeps the SHA-256 of a content, and none of the content before', async () => {
    await using store = await open();
    const sha256 = 'ab'.repeat(32);
    const file = await makeFile(store, ROOT_ID, 'file', { sha256 });
    assert.equal(file.sha256, sha256);
    assert.deepEqual(await find(store, 'file'), file);
    const { entry } = expectKind(await store.replaceContent(replacementOf(file)), 'replaced');
    assert.equal(entry.sha256, undefined);
    assert.deepEqual(await find(store, 'file'), entry);
    const content = sampleContent({ sha256 });
    const again = expectKind(await store.replaceContent(replacementOf(entry, { content })), 'replaced');
    assert.equal(again.entry.sha256, sha256);
    assert.deepEqual(await find(store, 'file'), again.entry);
  });

  it('keeps, sets and clears the declared type', async () => {
    await using store = await open();
    let file = await makeFile(store, ROOT_ID, 'file', { contentType: 'text/plain' });
    for (const [contentType, expected] of [
      [undefined, 'text/plain'],
      ['image/png', 'image/png'],
      [null, null],
      [undefined, null],
    ] as const) {
      file = expectKind(await store.replaceContent(replacementOf(file, { contentType })), 'replaced').entry;
      assert.equal(file.contentType, expected);
      assert.deepEqual(await find(store, 'file'), file);
    }
  });

  it('changes nothing when the file has other content than expected', async () => {
    await using store = await open();
    const file = await makeFile(store, ROOT_ID, 'file');
    const { entry } = expectKind(await store.replaceContent(replacementOf(file)), 'replaced');
    assert.deepEqual(await store.replaceContent(replacementOf(file)), { kind: 'changed' });
    assert.deepEqual(await find(store, 'file'), entry);
    assert.equal((await discardedBy(store)).length, 1);
  });

  it('replaces whatever content there is when none is expected', async () => {
    await using store = await open();
    const file = await makeFile(store, ROOT_ID, 'file');
    expectKind(await store.replaceContent(replacementOf(file)), 'replaced');
    const request = replacementOf(file, { expectContentId: undefined });
    assert.equal(expectKind(await store.replaceContent(request), 'replaced').entry.version, 3);
  });

  it("does not touch another instance's file, a directory or a file that is gone", async () => {
    await using store = await open();
    const file = await makeFile(store, ROOT_ID, 'file');
    const folder = await makeDirectory(store, ROOT_ID, 'folder');
    const gone = await makeFile(store, ROOT_ID, 'gone');
    await store.removeEntry({ entryId: gone.id, expectContentId: undefined });
    const expectContentId = undefined;
    for (const request of [
      replacementOf(file, { instanceId: 'instance-2' }),
      replacementOf(file, { entryId: folder.id, expectContentId }),
      replacementOf(gone, { expectContentId }),
    ]) {
      assert.deepEqual(await store.replaceContent(request), { kind: 'changed' });
    }
    assert.deepEqual(await store.listChildren(ROOT_ID, undefined, 10), [file, folder]);
    assert.deepEqual(withoutSeq(await discardedBy(store)), [discardedForm(gone, '/gone')]);
  });

  it('lets exactly one of many racers replace the same content', async () => {
    await using shared = await openShared();
    const file = await makeFile(shared.of(0), ROOT_ID, 'file');
    const outcomes = await Promise.all(
      Array.from({ length: 30 }, (_, racer) => shared.of(racer).replaceContent(replacementOf(file))),
    );
    const [winner, ...more] = outcomes.filter((outcome) => outcome.kind === 'replaced');
    assert.ok(winner);
    assert.deepEqual(more, []);
    assert.deepEqual(await find(shared.of(1), 'file'), winner.entry);
    assert.deepEqual(withoutSeq(await discardedBy(shared.of(2))), [discardedForm(file, '/file')]);
  });

  it('loses no version when many racers replace whatever there is', async () => {
    await using shared = await openShared();
    const file = await makeFile(shared.of(0), ROOT_ID, 'file');
    const request = (): ReplaceContent => replacementOf(file, { expectContentId: undefined });
    const outcomes = await Promise.all(
      Array.from({ length: 30 }, (_, racer) => shared.of(racer).replaceContent(request())),
    );
    const replaced = outcomes.map((outcome) => expectKind(outcome, 'replaced').entry);
    const versions = replaced.map((entry) => entry.version).sort((left, right) => left - right);
    assert.deepEqual(
      versions,
      Array.from({ length: 30 }, (_, index) => index + 2),
    );
    const last = replaced.find((entry) => entry.version === 31);
    assert.deepEqual(await find(shared.of(0), 'file'), last);
    const garbage = [file, ...replaced].map((entry) => entry.contentId).filter((id) => id !== last?.contentId);
    const discarded = (await discardedBy(shared.of(0))).map((row) => row.contentId);
    assert.deepEqual(new Set(discarded), new Set(garbage));
    assert.equal(discarded.length, 30);
  });

  it('hands the old content over with its path and stamp, in the order of the commits', async () => {
    await using store = await open();
    const outer = await makeDirectory(store, ROOT_ID, 'outer');
    const inner = await makeDirectory(store, outer.id, 'inner');
    const deep = await makeFile(store, inner.id, 'deep', {
      storageKey: 'key',
      storageStamp: 'inode 7',
      backendType: 's3',
    });
    const top = await makeFile(store, ROOT_ID, 'top', { sizeBytes: 0 });
    const second = expectKind(await store.replaceContent(replacementOf(deep)), 'replaced').entry;
    expectKind(await store.replaceContent(replacementOf(top)), 'replaced');
    expectKind(await store.replaceContent(replacementOf(second)), 'replaced');
    assert.deepEqual(withoutSeq(await discardedBy(store)), [
      discardedForm(deep, '/outer/inner/deep'),
      discardedForm(top, '/top'),
      discardedForm(second, '/outer/inner/deep'),
    ]);
  });

  it('hands nothing over when the old bytes are already gone', async () => {
    await using store = await open();
    const file = await makeFile(store, ROOT_ID, 'file');
    expectKind(await store.replaceContent(replacementOf(file, { discardPrevious: false })), 'replaced');
    assert.deepEqual(await discardedBy(store), []);
    assert.deepEqual(await store.locateContents([file.contentId]), []);
  });

  it('refuses content that another file has, and neither changes anything nor holds others up', async () => {
    await using store = await open();
    const file = await makeFile(store, ROOT_ID, 'file');
    const other = await makeFile(store, ROOT_ID, 'other');
    const content = sampleContent({ contentId: other.contentId });
    const [before, refused, later] = await Promise.allSettled([
      makeFile(store, ROOT_ID, 'before'),
      store.replaceContent(replacementOf(file, { content })),
      makeFile(store, ROOT_ID, 'later'),
    ]);
    assert.deepEqual([before.status, refused.status, later.status], ['fulfilled', 'rejected', 'fulfilled']);
    assert.deepEqual(namesOfAll(await store.listChildren(ROOT_ID, undefined, 10)), [
      'before',
      'file',
      'later',
      'other',
    ]);
    assert.deepEqual([await find(store, 'file'), await find(store, 'other')], [file, other]);
    assert.deepEqual(await discardedBy(store), []);
  });

  it('restamps the same bytes without making a version', async () => {
    await using store = await open();
    const file = await makeFile(store, ROOT_ID, 'file');
    const other = await makeFile(store, ROOT_ID, 'other');
    await store.restampContent(file.contentId, 'inode 99');
    await store.restampContent('unknown', 'inode 1');
    assert.deepEqual(await find(store, 'file'), { ...file, storageStamp: 'inode 99' });
    assert.deepEqual(await find(store, 'other'), other);
    await store.removeEntry({ entryId: file.id, expectContentId: file.contentId });
    assert.deepEqual(
      (await discardedBy(store)).map((row) => row.storageStamp),
      ['inode 99'],
    );
  });

  it('keeps sizes beyond 32 bits exact', async () => {
    await using store = await open();
    const file = await makeFile(store, ROOT_ID, 'file', { sizeBytes: 2 ** 32 + 1 });
    assert.equal(expectFile(await find(store, 'file')).sizeBytes, 2 ** 32 + 1);
    const content = sampleContent({ sizeBytes: Number.MAX_SAFE_INTEGER });
    const { entry } = expectKind(await store.replaceContent(replacementOf(file, { content })), 'replaced');
    assert.equal(entry.sizeBytes, Number.MAX_SAFE_INTEGER);
    assert.equal(expectFile(await find(store, 'file')).sizeBytes, Number.MAX_SAFE_INTEGER);
    expectKind(await store.replaceContent(replacementOf(entry)), 'replaced');
    const sizes = (await discardedBy(store)).map((row) => row.sizeBytes);
    assert.deepEqual(sizes, [2 ** 32 + 1, Number.MAX_SAFE_INTEGER]);
  });
}

function removing(open: Open, openShared: OpenShared): void {
  const anything = undefined;

  it('removes a file and hands its content over in the same commit', async () => {
    await using store = await open();
    const folder = await makeDirectory(store, ROOT_ID, 'folder');
    const file = await makeFile(store, folder.id, 'file');
    assert.deepEqual(await store.removeEntry({ entryId: file.id, expectContentId: anything }), { kind: 'removed' });
    assert.deepEqual((await store.resolve(['folder', 'file'])).slice(1), [folder]);
    assert.deepEqual(withoutSeq(await discardedBy(store)), [discardedForm(file, '/folder/file')]);
  });

  it('removes an empty directory and hands nothing over', async () => {
    await using store = await open();
    const folder = await makeDirectory(store, ROOT_ID, 'folder');
    assert.deepEqual(await store.removeEntry({ entryId: folder.id, expectContentId: anything }), { kind: 'removed' });
    assert.equal(await find(store, 'folder'), undefined);
    assert.deepEqual(await discardedBy(store), []);
  });

  it('keeps a directory that has a child', async () => {
    await using store = await open();
    const folder = await makeDirectory(store, ROOT_ID, 'folder');
    const child = await makeDirectory(store, folder.id, 'child');
    assert.deepEqual(await store.removeEntry({ entryId: folder.id, expectContentId: anything }), { kind: 'not-empty' });
    assert.deepEqual((await store.resolve(['folder', 'child'])).slice(1), [folder, child]);
  });

  it('removes a file only while it has the expected content', async () => {
    await using store = await open();
    const file = await makeFile(store, ROOT_ID, 'file');
    const { entry } = expectKind(await store.replaceContent(replacementOf(file)), 'replaced');
    const stale = { entryId: file.id, expectContentId: file.contentId };
    assert.deepEqual(await store.removeEntry(stale), { kind: 'changed' });
    assert.deepEqual(await find(store, 'file'), entry);
    assert.equal((await discardedBy(store)).length, 1);
    assert.deepEqual(await store.removeEntry({ ...stale, expectContentId: entry.contentId }), { kind: 'removed' });
    assert.equal((await discardedBy(store)).length, 2);
  });

  it('says that it changed when the entry is gone, or is a directory where content was expected', async () => {
    await using store = await open();
    const file = await makeFile(store, ROOT_ID, 'file');
    const folder = await makeDirectory(store, ROOT_ID, 'folder');
    const request = { entryId: file.id, expectContentId: anything };
    expectKind(await store.removeEntry(request), 'removed');
    assert.deepEqual(await store.removeEntry(request), { kind: 'changed' });
    assert.deepEqual(await store.removeEntry({ entryId: 'never', expectContentId: anything }), { kind: 'changed' });
    assert.deepEqual(await store.removeEntry({ entryId: folder.id, expectContentId: 'x' }), { kind: 'changed' });
    assert.deepEqual(await find(store, 'folder'), folder);
    assert.equal((await discardedBy(store)).length, 1);
  });

  it('never removes the root directory', async () => {
    await using store = await open();
    assert.notEqual((await store.removeEntry({ entryId: ROOT_ID, expectContentId: anything })).kind, 'removed');
    await makeFile(store, ROOT_ID, 'file');
    assert.notEqual((await store.removeTree(ROOT_ID, admin)).kind, 'removed');
    assert.equal((await store.resolve(['file'])).length, 2);
  });

  it('frees the name for a new entry, which is another one', async () => {
    await using store = await open();
    const first = await makeFile(store, ROOT_ID, 'name');
    await store.removeEntry({ entryId: first.id, expectContentId: anything });
    const second = await makeDirectory(store, ROOT_ID, 'name');
    assert.deepEqual(await store.removeEntry({ entryId: first.id, expectContentId: anything }), { kind: 'changed' });
    assert.deepEqual(await find(store, 'name'), second);
  });

  it('lets exactly one of many racers remove a file', async () => {
    await using shared = await openShared();
    const file = await makeFile(shared.of(0), ROOT_ID, 'file');
    const request = { entryId: file.id, expectContentId: file.contentId };
    const outcomes = await Promise.all(Array.from({ length: 12 }, (_, racer) => shared.of(racer).removeEntry(request)));
    assert.equal(outcomes.filter((outcome) => outcome.kind === 'removed').length, 1);
    assert.equal(outcomes.filter((outcome) => outcome.kind === 'changed').length, 11);
    assert.equal((await discardedBy(shared.of(0))).length, 1);
  });

  it('leaves no orphan when creates race the removal of their directory', async () => {
    await using shared = await openShared();
    for (let round = 0; round < 60; round++) {
      const folder = await makeDirectory(shared.of(0), ROOT_ID, `round-${round}`);
      const creates = [0, 1, 2].map((racer) => ({
        parentId: folder.id,
        missingParents: racer === 1 ? [sampleDirectory('between')] : [],
        entry: sampleFile(`file-${racer}`),
      }));
      const removal = { entryId: folder.id, expectContentId: anything };
      const racers = creates.map((create, racer) => () => shared.of(racer + round).createEntry(create));
      const first = round % 2 === 0 ? shared.of(1).removeEntry(removal) : undefined;
      const outcomes = await Promise.all(racers.map((race) => race()));
      const removed = await (first ?? shared.of(2).removeEntry(removal));

      const made = outcomes.filter((outcome) => outcome.kind === 'created');
      const contentIds = creates.map((create) => create.entry.contentId);
      const located = await shared.of(0).locateContents(contentIds);
      assert.equal(located.length, made.length);
      for (const { path } of located) assert.ok(path.startsWith(`/${folder.name}/`));
      assert.equal(removed.kind, made.length > 0 ? 'not-empty' : 'removed');
      assert.equal((await find(shared.of(1), folder.name)) === undefined, made.length === 0);
    }
  });

  it('leaves no orphan when creates race the removal of the whole tree', async () => {
    await using shared = await openShared();
    for (let round = 0; round < 60; round++) {
      const folder = await makeDirectory(shared.of(0), ROOT_ID, 'folder');
      const inner = await makeDirectory(shared.of(0), folder.id, 'inner');
      const entries = [0, 1, 2].map((racer) => sampleFile(`file-${racer}`));
      const create = (entry: NewFile, racer: number): Promise<CreateOutcome> =>
        shared.of(racer + round).createEntry({ parentId: inner.id, missingParents: [], entry });
      const [removed, ...outcomes] = await Promise.all([
        shared.of(round).removeTree(folder.id, admin),
        ...entries.map(create),
      ]);

      const made = outcomes.filter((outcome) => outcome.kind === 'created').length;
      assert.deepEqual(removed, { kind: 'removed', count: 2 + made });
      assert.deepEqual(await shared.of(1).locateContents(entries.map((entry) => entry.contentId)), []);
      const discarded = await discardedBy(shared.of(2));
      assert.equal(discarded.length, made);
      await shared.of(0).forgetOutbox(discarded.map((row) => row.seq));
      assert.deepEqual(await shared.of(2).listChildren(ROOT_ID, undefined, 10), []);
    }
  });
}

function removingTrees(open: Open, openShared: OpenShared): void {
  it('removes a directory with everything below it and counts the entries', async () => {
    await using store = await open();
    const top = await makeDirectory(store, ROOT_ID, 'top');
    const inner = await makeDirectory(store, top.id, 'inner');
    await makeDirectory(store, inner.id, 'empty');
    await makeFile(store, inner.id, 'file');
    await makeFile(store, top.id, 'file');
    const sibling = await makeFile(store, ROOT_ID, 'top2');
    assert.deepEqual(await store.removeTree(top.id, alice), { kind: 'removed', count: 5 });
    assert.deepEqual(await store.listChildren(ROOT_ID, undefined, 10), [sibling]);
    for (const parentId of [top.id, inner.id]) assert.deepEqual(await store.listChildren(parentId, undefined, 10), []);
    assert.deepEqual(await store.removeTree(top.id, alice), { kind: 'changed' });
  });

  it('hands every content to its own instance under the path it had', async () => {
    await using store = await open();
    const outer = await makeDirectory(store, ROOT_ID, 'outer');
    const top = await makeDirectory(store, outer.id, 'top');
    const inner = await makeDirectory(store, top.id, "inner '%'");
    const near = await makeFile(store, top.id, 'near', { storageKey: 'key', storageStamp: 'inode 7' });
    const deep = await makeFile(store, inner.id, 'deep');
    const far = await makeFile(store, inner.id, 'far', { instanceId: 'instance-2', backendType: 's3' });
    assert.deepEqual(await store.removeTree(top.id, admin), { kind: 'removed', count: 5 });
    assert.deepEqual(
      withoutSeq(await discardedBy(store)).sort(byContentId),
      [discardedForm(near, '/outer/top/near'), discardedForm(deep, "/outer/top/inner '%'/deep")].sort(byContentId),
    );
    assert.deepEqual(withoutSeq(await discardedBy(store, 'instance-2')), [
      discardedForm(far, "/outer/top/inner '%'/far"),
    ]);
    assert.deepEqual((await store.resolve(['outer', 'top'])).slice(1), [outer]);
  });

  it('removes an empty directory', async () => {
    await using store = await open();
    const top = await makeDirectory(store, ROOT_ID, 'top', { mode: 0, owner: bob.name });
    assert.deepEqual(await store.removeTree(top.id, alice), { kind: 'removed', count: 1 });
  });

  it('denies a tree with a directory that the user may not empty, and leaves all of it', async () => {
    await using store = await open();
    const top = await makeDirectory(store, ROOT_ID, 'top');
    await makeFile(store, top.id, 'a');
    const inner = await makeDirectory(store, top.id, 'inner');
    const locked = await makeDirectory(store, inner.id, 'locked', { owner: bob.name });
    await makeFile(store, locked.id, 'file');
    assert.deepEqual(await store.removeTree(top.id, alice), { kind: 'denied', path: '/top/inner/locked' });
    assert.equal((await store.resolve(['top', 'inner', 'locked', 'file'])).length, 5);
    assert.equal((await store.resolve(['top', 'a'])).length, 3);
    assert.deepEqual(await discardedBy(store), []);
  });

  it('asks for read, write and search on every directory that has something in it', async () => {
    await using store = await open();
    for (let bits = 0; bits < 8; bits++) {
      const top = await makeDirectory(store, ROOT_ID, `top-${bits}`, { mode: bits << 6 });
      await makeFile(store, top.id, 'file');
      const expected = bits === 7 ? { kind: 'removed', count: 2 } : { kind: 'denied', path: `/top-${bits}` };
      assert.deepEqual(await store.removeTree(top.id, alice), expected);
    }
  });

  it('ignores the modes of files and of directories that are empty', async () => {
    await using store = await open();
    const top = await makeDirectory(store, ROOT_ID, 'top');
    await makeFile(store, top.id, 'file', { owner: bob.name, mode: 0 });
    await makeDirectory(store, top.id, 'empty', { owner: bob.name, mode: 0 });
    assert.deepEqual(await store.removeTree(top.id, alice), { kind: 'removed', count: 3 });
  });

  it("lets the sticky bit protect what others made, but not from the directory's owner", async () => {
    await using store = await open();
    const shared = await makeDirectory(store, ROOT_ID, 'shared', { mode: 0o1777, owner: 'carol' });
    await makeFile(store, shared.id, 'of-alice');
    await makeFile(store, shared.id, 'of-bob', { owner: bob.name });
    assert.deepEqual(await store.removeTree(shared.id, alice), { kind: 'denied', path: '/shared' });
    const carol: User = { ...alice, name: 'carol', groups: [] };
    assert.deepEqual(await store.removeTree(shared.id, carol), { kind: 'removed', count: 3 });

    const own = await makeDirectory(store, ROOT_ID, 'own', { mode: 0o1777, owner: 'carol' });
    await makeFile(store, own.id, 'of-alice');
    assert.deepEqual(await store.removeTree(own.id, alice), { kind: 'removed', count: 2 });
  });

  it('lets an administrator remove what the modes forbid', async () => {
    await using store = await open();
    const top = await makeDirectory(store, ROOT_ID, 'top', { mode: 0o1000, owner: bob.name });
    const inner = await makeDirectory(store, top.id, 'inner', { mode: 0, owner: 'carol' });
    await makeFile(store, inner.id, 'file', { mode: 0 });
    assert.deepEqual(await store.removeTree(top.id, admin), { kind: 'removed', count: 3 });
  });

  it('removes a tree of a thousand entries as one', async () => {
    await using shared = await openShared();
    const store = shared.of(0);
    const top = await makeDirectory(store, ROOT_ID, 'top');
    const folders = await Promise.all(Array.from({ length: 10 }, (_, at) => makeDirectory(store, top.id, `d${at}`)));
    const files = folders.flatMap((folder) =>
      Array.from({ length: 100 }, (_, at) => makeFile(store, folder.id, `f${at}`)),
    );
    const contentIds = (await Promise.all(files)).map((file) => file.contentId);
    let removing = true;
    const removal = store.removeTree(top.id, alice).finally(() => {
      removing = false;
    });
    while (removing) {
      const found = await shared.of(1).resolve(['top', 'd5', 'f50']);
      assert.ok(found.length === 4 || found.length === 1);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual(await removal, { kind: 'removed', count: 1011 });
    const discarded = (await store.listOutbox('instance-1', 2000)).filter((row) => row.kind === 'discard');
    assert.deepEqual(new Set(discarded.map((row) => row.contentId)), new Set(contentIds));
  });
}

function listing(open: Open, openShared: OpenShared): void {
  it('lists nothing in an empty root, in a file and under an unknown id', async () => {
    await using store = await open();
    assert.deepEqual(await store.listChildren(ROOT_ID, undefined, 10), []);
    const file = await makeFile(store, ROOT_ID, 'file');
    assert.deepEqual(await store.listChildren(file.id, undefined, 10), []);
    assert.deepEqual(await store.listChildren('never', undefined, 10), []);
  });

  it('lists files and directories with all their attributes, and only children', async () => {
    await using store = await open();
    const folder = await makeDirectory(store, ROOT_ID, 'b');
    const file = await makeFile(store, ROOT_ID, 'a', { contentType: 'image/png' });
    await makeFile(store, folder.id, 'aa');
    assert.deepEqual(await store.listChildren(ROOT_ID, undefined, 10), [file, folder]);
  });

  it('orders names by their bytes, whatever the characters', async () => {
    await using store = await open();
    const folder = await makeDirectory(store, ROOT_ID, 'folder');
    await Promise.all(ODD_NAMES.map((name) => makeFile(store, folder.id, name)));
    const expected = sortedByBytes(ODD_NAMES);
    assert.ok(expected.indexOf('\uff5e') < expected.indexOf('\u{1f600}'));
    assert.deepEqual(namesOfAll(await store.listChildren(folder.id, undefined, 1000)), expected);
    for (const limit of [1, 2, 7]) assert.deepEqual(await listAll(store, folder.id, limit), expected);
  });

  it('orders any names by their bytes', async () => {
    await using store = await open();
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(wellFormedName, { maxLength: 12 }), wellFormedName, async (names, after) => {
        const folder = await makeDirectory(store, ROOT_ID, sampleId('folder'));
        await Promise.all(names.map((name) => makeDirectory(store, folder.id, name)));
        const expected = sortedByBytes(names);
        assert.deepEqual(await listAll(store, folder.id, 5), expected);
        const behind = expected.filter((name) => Buffer.compare(Buffer.from(name), Buffer.from(after)) > 0);
        assert.deepEqual(namesOfAll(await store.listChildren(folder.id, after, 100)), behind);
      }),
      { numRuns: 25 },
    );
  });

  it('goes on behind a name that is not there', async () => {
    await using store = await open();
    await Promise.all(['a', 'b', 'd'].map((name) => makeFile(store, ROOT_ID, name)));
    assert.deepEqual(namesOfAll(await store.listChildren(ROOT_ID, 'b', 10)), ['d']);
    assert.deepEqual(namesOfAll(await store.listChildren(ROOT_ID, 'aa', 1)), ['b']);
    assert.deepEqual(namesOfAll(await store.listChildren(ROOT_ID, 'd', 10)), []);
  });

  it('shows every name that was there all the time exactly once while others come and go', async () => {
    await using shared = await openShared();
    const [reader, writer] = [shared.of(0), shared.of(1)];
    const lasting = Array.from({ length: 90 }, (_, at) => `file-${String(at).padStart(2, '0')}`);
    await Promise.all(lasting.map((name) => makeFile(writer, ROOT_ID, name)));
    const passing = await Promise.all(lasting.map((name) => makeFile(writer, ROOT_ID, `${name}-passing`)));
    const seen: string[] = [];
    const others: Promise<unknown>[] = [];
    for (let page = 0; ; page++) {
      const names = namesOfAll(await reader.listChildren(ROOT_ID, seen.at(-1), 7));
      seen.push(...names);
      if (names.length < 7) break;
      others.push(makeFile(writer, ROOT_ID, `file-${page}-new`), makeFile(writer, ROOT_ID, `file-8${page}-new`));
      for (const file of passing.splice(0, 2)) {
        others.push(writer.removeEntry({ entryId: file.id, expectContentId: undefined }));
      }
    }
    await Promise.all(others);
    assert.deepEqual(seen, [...new Set(sortedByBytes(seen))]);
    assert.deepEqual(
      seen.filter((name) => lasting.includes(name)),
      lasting,
    );
  });
}

function locating(open: Open): void {
  it('finds where contents stand now, and leaves garbage out', async () => {
    await using store = await open();
    const folder = await makeDirectory(store, ROOT_ID, 'folder');
    const top = await makeFile(store, ROOT_ID, 'top');
    const inner = await makeFile(store, folder.id, 'inner');
    const replaced = expectKind(await store.replaceContent(replacementOf(inner)), 'replaced').entry;
    const contentIds = ['garbage', inner.contentId, replaced.contentId, top.contentId];
    const expected = [
      { contentId: replaced.contentId, path: '/folder/inner' },
      { contentId: top.contentId, path: '/top' },
    ];
    assert.deepEqual([...(await store.locateContents(contentIds))].sort(byContentId), expected.sort(byContentId));
    assert.deepEqual(await store.locateContents(['garbage']), []);
    assert.deepEqual(await store.locateContents([]), []);
  });

  it('finds hundreds of contents at once, at every depth', async () => {
    await using store = await open();
    const names = ['a', 'b', 'c'];
    const expected: { contentId: string; path: string }[] = [];
    for (let at = 0; at < 150; at++) {
      const entry = sampleFile(`file-${at}`);
      const parents = names.slice(0, at % 4);
      expectKind(await createAt(store, parents, entry), 'created');
      expected.push({ contentId: entry.contentId, path: ['', ...parents, entry.name].join('/') });
    }
    const asked = expected.flatMap(({ contentId }) => [contentId, `garbage-${contentId}`]);
    assert.deepEqual([...(await store.locateContents(asked))].sort(byContentId), expected.sort(byContentId));
  });
}

function listingFiles(open: Open): void {
  it('lists every file once with its path and attributes, page by page, and no directories', async () => {
    await using store = await open();
    const expected: { entry: Entry; path: string }[] = [];
    for (let at = 0; at < 25; at++) {
      const parents = ['a', '日本', 'c%_'].slice(0, at % 4);
      const given = { instanceId: `instance-${at % 3}` };
      const { entry } = expectKind(await createAt(store, parents, sampleFile(`file-${at}`, given)), 'created');
      expected.push({ entry, path: ['', ...parents, entry.name].join('/') });
    }
    const listed: LocatedFile[] = [];
    for (;;) {
      const page = await store.listFiles(listed.at(-1)?.entry.id, 10);
      listed.push(...page);
      if (page.length < 10) break;
    }
    assert.deepEqual(
      listed,
      expected.sort((left, right) => Buffer.compare(Buffer.from(left.entry.id), Buffer.from(right.entry.id))),
    );
  });

  it('lists nothing in an empty namespace, and a replaced file under the same id', async () => {
    await using store = await open();
    assert.deepEqual(await store.listFiles(undefined, 10), []);
    const file = await makeFile(store, ROOT_ID, 'file');
    const replaced = expectKind(await store.replaceContent(replacementOf(file)), 'replaced').entry;
    assert.deepEqual(await store.listFiles(undefined, 10), [{ entry: replaced, path: '/file' }]);
    assert.deepEqual(await store.listFiles(file.id, 10), []);
  });
}

function discarding(open: Open): void {
  it('lists what all instances have to remove, in pages', async () => {
    await using store = await open();
    for (const instanceId of ['instance-1', 'instance-2', 'instance-1', 'gone']) {
      const file = await makeFile(store, ROOT_ID, 'file', { instanceId });
      await store.removeEntry({ entryId: file.id, expectContentId: undefined });
    }
    const all = await store.listWholeOutbox(undefined, 10);
    assert.deepEqual(
      all.map((row) => row.instanceId),
      ['instance-1', 'instance-2', 'instance-1', 'gone'],
    );
    assert.deepEqual(await store.listWholeOutbox(undefined, 2), all.slice(0, 2));
    assert.deepEqual(await store.listWholeOutbox(all[1]?.seq, 2), all.slice(2));
    assert.deepEqual(await store.listWholeOutbox(all[3]?.seq, 2), []);
  });

  it('lists the oldest first, no more than asked for, and numbers grow', async () => {
    await using store = await open();
    const files: FileEntry[] = [];
    for (let at = 0; at < 12; at++) files.push(await makeFile(store, ROOT_ID, `file-${at}`));
    for (const file of files) await store.removeEntry({ entryId: file.id, expectContentId: undefined });
    const rows = await discardedBy(store);
    const contentIds = files.map((file) => file.contentId);
    assert.deepEqual(
      rows.map((row) => row.contentId),
      contentIds,
    );
    for (const [at, row] of rows.entries()) assert.ok(row.seq > (rows[at - 1]?.seq ?? -1));
    assert.deepEqual(await store.listOutbox('instance-1', 5), rows.slice(0, 5));
    assert.deepEqual(await store.listOutbox('instance-2', 5), []);
  });

  it('forgets what is named, and only that, however often', async () => {
    await using store = await open();
    for (const name of ['a', 'b', 'c']) {
      const file = await makeFile(store, ROOT_ID, name);
      await store.removeEntry({ entryId: file.id, expectContentId: undefined });
    }
    const [first, second, third] = await discardedBy(store);
    assert.ok(first && second && third);
    await store.forgetOutbox([first.seq, third.seq]);
    await store.forgetOutbox([first.seq, third.seq + 1000, -1]);
    await store.forgetOutbox([]);
    assert.deepEqual(await discardedBy(store), [second]);
  });

  it('gives no number twice, even when the newest was forgotten', async () => {
    await using store = await open();
    const numbers: number[] = [];
    for (let round = 0; round < 4; round++) {
      const file = await makeFile(store, ROOT_ID, 'file');
      await store.removeEntry({ entryId: file.id, expectContentId: undefined });
      const [row] = await discardedBy(store);
      assert.ok(row);
      assert.ok(row.seq > (numbers.at(-1) ?? -1));
      numbers.push(row.seq);
      await store.forgetOutbox([row.seq]);
    }
  });
}

/** Of the instance that the samples register. */
const BEAT = { id: 'instance-1', bootId: 'boot-1', endpoint: 'https://one.example:8443' };

function instances(open: Open, openShared: OpenShared): void {
  const registration = (given: Partial<RegisterInstance> = {}): RegisterInstance => ({
    id: 'instance-1',
    endpoint: 'https://one.example:8443',
    publicUrl: 'https://files.example',
    bootId: 'boot-1',
    version: '1.0.0',
    process: 'process-1',
    nowMs: 1_767_225_600_000,
    replaces: undefined,
    ...given,
  });

  it('registers an instance that was not there', async () => {
    await using store = await open();
    assert.equal(await store.findInstance('instance-1'), undefined);
    assert.deepEqual(await store.listInstances(), []);
    assert.equal(await store.registerInstance(registration()), true);
    const record = await store.findInstance('instance-1');
    assert.ok(record);
    assert.deepEqual(record, {
      id: 'instance-1',
      endpoint: 'https://one.example:8443',
      publicUrl: 'https://files.example',
      bootId: 'boot-1',
      beat: record.beat,
      lastSeenMs: 1_767_225_600_000,
      stopped: false,
      version: '1.0.0',
      process: 'process-1',
      draining: false,
      bucketId: '',
    });
    assert.deepEqual(await store.listInstances(), [record]);
  });

  it('lists every instance', async () => {
    await using store = await open();
    for (const id of ['b', 'a', 'c']) await store.registerInstance(registration({ id }));
    const ids = (await store.listInstances()).map((record) => record.id).sort();
    assert.deepEqual(ids, ['a', 'b', 'c']);
  });

  it('does not register an id that somebody has when none was seen, or replace one that is not there', async () => {
    await using store = await open();
    const replaces = { bootId: 'boot-0', beat: 1 };
    assert.equal(await store.registerInstance(registration({ replaces })), false);
    assert.equal(await store.findInstance('instance-1'), undefined);
    await store.registerInstance(registration());
    const before = await store.findInstance('instance-1');
    assert.equal(await store.registerInstance(registration({ bootId: 'boot-2' })), false);
    assert.deepEqual(await store.findInstance('instance-1'), before);
  });

  it('hands an id over only from the very boot and beat that were judged dead', async () => {
    await using store = await open();
    await store.registerInstance(registration());
    const seen = await store.findInstance('instance-1');
    assert.ok(seen);
    assert.equal(await store.heartbeat({ ...BEAT, nowMs: seen.lastSeenMs + 10 }), 'alive');
    const takeover = registration({
      bootId: 'boot-2',
      endpoint: 'https://two',
      publicUrl: '',
      version: '2.0.0',
      nowMs: 5,
      replaces: seen,
    });
    assert.equal(await store.registerInstance(takeover), false);
    const otherBoot = { bootId: 'boot-0', beat: seen.beat + 1 };
    assert.equal(await store.registerInstance({ ...takeover, replaces: otherBoot }), false);
    const alive = await store.findInstance('instance-1');
    assert.ok(alive);
    assert.equal(await store.registerInstance({ ...takeover, replaces: alive }), true);
    const taken = await store.findInstance('instance-1');
    assert.deepEqual(taken, {
      id: 'instance-1',
      endpoint: 'https://two',
      publicUrl: '',
      bootId: 'boot-2',
      beat: taken?.beat,
      lastSeenMs: 5,
      stopped: false,
      version: '2.0.0',
      process: 'process-1',
      draining: false,
      bucketId: '',
    });
    assert.equal(await store.registerInstance({ ...takeover, bootId: 'boot-3', replaces: alive }), false);
  });

  it('lets exactly one of two racers take an id over, and exactly one of many register it', async () => {
    await using shared = await openShared();
    for (let round = 0; round < 20; round++) {
      const id = `instance-${round}`;
      const race = (replaces: RegisterInstance['replaces']) =>
        Promise.all(
          [0, 1, 2].map((racer) =>
            shared
              .of(racer)
              .registerInstance(registration({ id, bootId: `boot-${replaces?.beat}-${racer}`, replaces })),
          ),
        );
      assert.equal((await race(undefined)).filter((won) => won).length, 1);
      const seen = await shared.of(round).findInstance(id);
      const outcomes = await race(seen);
      assert.equal(outcomes.filter((won) => won).length, 1);
      const taken = await shared.of(0).findInstance(id);
      assert.equal(taken?.bootId, `boot-${seen?.beat}-${outcomes.indexOf(true)}`);
    }
  });

  it('counts heartbeats up and notes the time', async () => {
    await using store = await open();
    await store.registerInstance(registration());
    await store.registerInstance(registration({ id: 'instance-2' }));
    const before = await store.findInstance('instance-1');
    const other = await store.findInstance('instance-2');
    assert.ok(before);
    assert.equal(await store.heartbeat({ ...BEAT, nowMs: before.lastSeenMs + 1000 }), 'alive');
    const after = await store.findInstance('instance-1');
    assert.deepEqual(after, { ...before, beat: before.beat + 1, lastSeenMs: before.lastSeenMs + 1000 });
    assert.deepEqual(await store.findInstance('instance-2'), other);
  });

  it('learns a new address with a heartbeat', async () => {
    await using store = await open();
    await store.registerInstance(registration({ endpoint: '' }));
    assert.equal(await store.heartbeat({ ...BEAT, endpoint: 'https://two.example', nowMs: 1 }), 'alive');
    assert.equal((await store.findInstance('instance-1'))?.endpoint, 'https://two.example');
  });

  it('makes the first instance the one that made the root, and no later one', async () => {
    await using store = await open();
    await store.registerInstance(registration({ nowMs: 5000 }));
    await store.registerInstance(registration({ id: 'instance-2', nowMs: 6000 }));
    const [root] = await store.resolve([]);
    assert.equal(root?.instanceId, 'instance-1');
    assert.equal(root?.mtimeMs, 5000);
    assert.equal(root?.createdAtMs, 5000);
  });

  it('tells an instance that was replaced or never registered to stop', async () => {
    await using store = await open();
    assert.equal(await store.heartbeat({ ...BEAT, nowMs: 1 }), 'replaced');
    await store.registerInstance(registration());
    const replaces = await store.findInstance('instance-1');
    assert.equal(await store.registerInstance(registration({ bootId: 'boot-2', replaces })), true);
    const taken = await store.findInstance('instance-1');
    assert.equal(await store.heartbeat({ ...BEAT, nowMs: 99 }), 'replaced');
    assert.deepEqual(await store.findInstance('instance-1'), taken);
  });

  it('marks a clean stop, but not for another boot, and a new start takes the mark away', async () => {
    await using store = await open();
    await store.registerInstance(registration());
    await store.markStopped('instance-1', 'boot-0');
    await store.markStopped('never', 'boot-1');
    assert.equal((await store.findInstance('instance-1'))?.stopped, false);
    await store.markStopped('instance-1', 'boot-1');
    const stopped = await store.findInstance('instance-1');
    assert.equal(stopped?.stopped, true);
    await store.registerInstance(registration({ bootId: 'boot-2', replaces: stopped }));
    assert.equal((await store.findInstance('instance-1'))?.stopped, false);
  });
}

function counting(open: Open): void {
  it('counts files and bytes per instance, exactly, and no directories', async () => {
    await using store = await open();
    assert.deepEqual(await store.countFiles(), []);
    const folder = await makeDirectory(store, ROOT_ID, 'folder', { instanceId: 'instance-3' });
    await makeFile(store, ROOT_ID, 'a', { sizeBytes: 2 ** 40 + 1 });
    const second = await makeFile(store, folder.id, 'b', { sizeBytes: 2 ** 32 + 1 });
    await makeFile(store, folder.id, 'c', { sizeBytes: 0, instanceId: 'instance-2' });
    const counts = async () => [...(await store.countFiles())].sort((a, b) => (a.instanceId < b.instanceId ? -1 : 1));
    assert.deepEqual(await counts(), [
      { instanceId: 'instance-1', files: 2, sizeBytes: 2 ** 40 + 2 ** 32 + 2 },
      { instanceId: 'instance-2', files: 1, sizeBytes: 0 },
    ]);
    await store.removeEntry({ entryId: second.id, expectContentId: undefined });
    assert.deepEqual((await counts())[0], { instanceId: 'instance-1', files: 1, sizeBytes: 2 ** 40 + 1 });
  });
}

function closing(open: Open): void {
  it('finishes what was asked for before it closes', async () => {
    const store = await open();
    const creates = Array.from({ length: 300 }, (_, at) => makeFile(store, ROOT_ID, `file-${at}`));
    await store[Symbol.asyncDispose]();
    assert.equal((await Promise.all(creates)).length, 300);
  });

  it('may be closed twice', async () => {
    await using store = await open();
    await Promise.all([store[Symbol.asyncDispose](), store[Symbol.asyncDispose]()]);
    await store[Symbol.asyncDispose]();
  });

  it('rejects with METADATA_UNAVAILABLE after it was closed', async () => {
    const store = await open();
    const file = await makeFile(store, ROOT_ID, 'file');
    await store[Symbol.asyncDispose]();
    const calls: Promise<unknown>[] = [
      store.resolve([]),
      store.createEntry({ parentId: ROOT_ID, missingParents: [], entry: sampleFile('late') }),
      store.replaceContent(replacementOf(file)),
      store.restampContent(file.contentId, 'late'),
      store.relocateContent({ contentId: file.contentId, fromKey: null, toKey: 'late', storageStamp: 'late' }),
      store.takeOverEntry({ entryId: file.id, from: 'instance-1', to: 'instance-2' }),
      store.removeEntry({ entryId: file.id, expectContentId: undefined }),
      store.removeTree(file.id, admin),
      store.listChildren(ROOT_ID, undefined, 1),
      store.locateContents([file.contentId]),
      store.listFiles(undefined, 1),
      store.listOutbox('instance-1', 1),
      store.listWholeOutbox(undefined, 1),
      store.forgetOutbox([1]),
      store.findInstance('instance-1'),
      store.listInstances(),
      store.heartbeat({ ...BEAT, nowMs: 1 }),
      store.markStopped('instance-1', 'boot-1'),
      store.countFiles(),
    ];
    for (const result of await Promise.allSettled(calls)) {
      assert.ok(result.status === 'rejected');
      assert.ok(result.reason instanceof CallFSError);
      assert.equal(result.reason.code, 'METADATA_UNAVAILABLE');
    }
  });
}

function sharing(open: Open, reopen: Open): void {
  it('shows an acknowledged commit at once to everybody who has it open', async () => {
    await using one = await open();
    await using other = await reopen();
    for (let round = 0; round < 30; round++) {
      const [writer, reader] = round % 2 === 0 ? [one, other] : [other, one];
      const file = await makeFile(writer, ROOT_ID, `file-${round}`);
      assert.deepEqual(await find(reader, file.name), file);
      const { entry } = expectKind(await writer.replaceContent(replacementOf(file)), 'replaced');
      assert.deepEqual(await find(reader, file.name), entry);
      expectKind(await writer.removeEntry({ entryId: file.id, expectContentId: entry.contentId }), 'removed');
      assert.equal(await find(reader, file.name), undefined);
    }
  });

  it('has everything again after it was closed and opened', async () => {
    const first = await open();
    const folder = await makeDirectory(first, ROOT_ID, 'folder');
    const file = await makeFile(first, folder.id, 'file');
    const { entry } = expectKind(await first.replaceContent(replacementOf(file)), 'replaced');
    const start = {
      id: 'instance-1',
      endpoint: 'https://one',
      publicUrl: '',
      bootId: 'boot-1',
      version: '1',
      process: 'process-1',
      nowMs: 7,
    };
    await first.registerInstance({ ...start, replaces: undefined });
    const record = await first.findInstance('instance-1');
    await first[Symbol.asyncDispose]();

    await using second = await reopen();
    assert.deepEqual((await second.resolve(['folder', 'file'])).slice(1), [folder, entry]);
    const rows = await discardedBy(second);
    assert.deepEqual(withoutSeq(rows), [discardedForm(file, '/folder/file')]);
    assert.deepEqual(await second.findInstance('instance-1'), record);
    await second.forgetOutbox(rows.map((row) => row.seq));
    expectKind(await second.removeEntry({ entryId: file.id, expectContentId: undefined }), 'removed');
    const [later] = await discardedBy(second);
    assert.ok(later && later.seq > (rows[0]?.seq ?? -1));
  });
}
