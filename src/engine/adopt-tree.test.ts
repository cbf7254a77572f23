/** What is adopted, over the memory store and a folder on disk. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { ImportSource } from '../backends/import-source.ts';
import { openLocalImport } from '../backends/local/import-open.ts';
import { ROOT_PATH, toVirtualPath } from '../core/virtual-path.ts';
import { MemoryMetadataStore } from '../metadata/memory/memory-metadata-store.ts';
import { adoptTree } from './adopt-tree.ts';
import type { EngineContext } from './engine-context.ts';

const OWNER = { name: 'alice', uid: 1, gid: 2, groups: ['staff'], admin: false };
const NOTHING = { adopted: 0, directories: 0, skipped: 0, conflicts: [], refused: [] };

let root: string;
let context: EngineContext;
let lastId = 0;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'callfs-adopt-'));
  context = {
    instanceId: 'own',
    store: new MemoryMetadataStore(),
    backends: new Map(),
    defaultBackend: 'localfs',
    clock: { now: () => 1_700_000_000_000 },
    ids: { next: () => `id-${++lastId}`, nextRequest: () => 'request' },
    maxUploadBytes: undefined,
    fetchContent: () => assert.fail('nothing is fetched'),
    isDraining: () => false,
    findTaker: async () => undefined,
    onAdopted() {},
  };
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function leave(name: string, body: string): string {
  const file = join(root, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, body);
  return file;
}

function open(): Promise<ImportSource> {
  const excluded = [join(root, 'excluded')];
  const options = { instanceId: 'own', folder: undefined, copy: false, durable: false, readOnly: false, excluded };
  return openLocalImport({ root, holdsFiles: async () => false, ...options });
}

async function adopt(source?: ImportSource) {
  const request = { owner: OWNER, into: ROOT_PATH, dryRun: false, onDone() {} };
  return adoptTree(context, source ?? (await open()), request);
}

async function entryAt(path: string) {
  const names = path.split('/').slice(1);
  return (await context.store.resolve(names))[names.length];
}

test('a folder of more files than one batch is adopted whole, once', async () => {
  for (let number = 0; number < 600; number++) leave(`many/${number}`, `${number}`);
  leave('excluded', 'not a file of the namespace');
  assert.deepEqual(await adopt(), { ...NOTHING, adopted: 600, directories: 1 });
  assert.deepEqual(await adopt(), { ...NOTHING, skipped: 600 });
});

test('a removal that is pending does not come back, a newer file at its path does', async () => {
  const file = leave('gone', 'old');
  await adopt();
  const entry = await entryAt('/gone');
  assert(entry);
  await context.store.removeEntry({ entryId: entry.id, expectContentId: undefined });
  assert.deepEqual(
    (await adopt()).refused.map(({ path }) => path),
    ['/gone'],
  );
  utimesSync(file, 1, 1);
  assert.deepEqual(await adopt(), { ...NOTHING, adopted: 1 });
});

test('a directory removed after it was opened is made again for its files', async () => {
  leave('folder/file', 'x');
  const { store } = context;
  const createEntry = store.createEntry.bind(store);
  let removals = 0;
  store.createEntry = async (request) => {
    if (request.entry.type === 'file' && removals++ === 0) {
      const folder = await entryAt('/folder');
      assert(folder);
      await store.removeEntry({ entryId: folder.id, expectContentId: undefined });
    }
    return createEntry(request);
  };
  const report = await adopt();
  assert.deepEqual(report, { ...NOTHING, adopted: 1, directories: 2 });
  assert.equal((await entryAt('/folder/file'))?.owner, 'alice');
});

test('what CallFS put there and removed while it was read is not adopted', async () => {
  const file = leave('brief', 'x');
  const source = await open();
  const removing: ImportSource = {
    walk: (problem) => source.walk(problem),
    check: (names, path) => source.check(names, path),
    look: (names) => source.look(names),
    isInPlace: (path, content) => source.isInPlace(path, content),
    isImported: (names, path, entry) => source.isImported(names, path, entry),
    async take(names, path, contentId) {
      const taken = await source.take(names, path, contentId);
      rmSync(file);
      return taken;
    },
  };
  assert.deepEqual(await adopt(removing), NOTHING);
  assert.equal(await entryAt('/brief'), undefined);
});

test('folders that a removal or a move is about to take away do not come back', async () => {
  leave('doomed/below/file', 'x');
  leave('before/below/file', 'x');
  await adopt();
  const doomed = await entryAt('/doomed');
  assert(doomed);
  await context.store.removeTree(doomed.id, { ...OWNER, admin: true });
  const instance = { id: 'own', endpoint: '', publicUrl: '', bootId: '1', version: '', process: '', nowMs: 0 };
  await context.store.registerInstance({ ...instance, replaces: undefined });
  const before = await entryAt('/before');
  assert(before);
  const to = { parentId: before.parentId, missingParents: [], name: 'after' };
  const from = { parentId: before.parentId, name: 'before' };
  const move = {
    entryId: before.id,
    from,
    to,
    expectContentId: undefined,
    replacesId: undefined,
    relocated: undefined,
  };
  assert.equal((await context.store.moveEntry(move)).kind, 'moved');
  const { adopted, directories, refused } = await adopt();
  assert.deepEqual([adopted, directories], [0, 0]);
  assert.deepEqual(
    refused.map(({ path }) => path),
    ['/before/below/file', '/doomed/below/file'],
  );
  assert.equal(await entryAt('/doomed'), undefined);
  assert.equal(await entryAt('/before'), undefined);
});

test('who creates a path while its file is read keeps it', async () => {
  leave('raced', 'x');
  const source = await open();
  const racing: ImportSource = {
    walk: (problem) => source.walk(problem),
    check: (names, path) => source.check(names, path),
    look: (names) => source.look(names),
    isInPlace: (path, content) => source.isInPlace(path, content),
    isImported: (names, path, entry) => source.isImported(names, path, entry),
    async take(names, path, contentId) {
      const other: EngineContext = { ...context, instanceId: 'other' };
      const report = await adoptTree(other, source, { owner: OWNER, into: ROOT_PATH, dryRun: false, onDone() {} });
      assert.equal(report.adopted, 1);
      return source.take(names, path, contentId);
    },
  };
  assert.deepEqual(await adopt(racing), { ...NOTHING, conflicts: [{ path: '/raced', instanceId: 'other' }] });
});

test('a directory above that the namespace lacks gets the default mode, the top of the source its own', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'callfs-adopt-'));
  try {
    utimesSync(folder, 86_400, 86_400);
    const options = { instanceId: 'own', folder, copy: false, durable: true, readOnly: false, excluded: [] };
    const source = await openLocalImport({ root, holdsFiles: async () => false, ...options });
    const into = toVirtualPath(['above', 'top']);
    const report = await adoptTree(context, source, { owner: OWNER, into, dryRun: false, onDone() {} });
    assert.deepEqual(report, { ...NOTHING, directories: 2 });
    assert.equal((await entryAt('/above'))?.mode, 0o755);
    const top = await entryAt('/above/top');
    assert.deepEqual([top?.mode, top?.mtimeMs], [0o700, 86_400_000]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
