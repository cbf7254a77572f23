/** The store in memory is the model: any sequence of commands has the same outcomes on it and on SQLite. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, it } from 'node:test';
import fc from 'fast-check';
import { type Entry, ROOT_ID } from '../../core/entry.ts';
import type { User } from '../../core/permissions.ts';
import { MemoryMetadataStore } from '../memory/memory-metadata-store.ts';
import { admin, alice, bob, sampleContent, sampleDirectory, sampleFile } from '../metadata-store.contract.ts';
import type { MetadataStore, NewEntry, OutboxItem } from '../metadata-store.ts';
import { SqlMetadataStore } from './sql-metadata-store.ts';
import { openSqlite } from './sqlite-database.ts';

const folder = mkdtempSync(join(tmpdir(), 'callfs-model-'));
after(() => rmSync(folder, { recursive: true }));

/** Commands name entries by path, and contents by when they were made, so that most of them hit something. */
type Command =
  | { readonly do: 'create'; readonly path: readonly string[]; readonly entry: NewEntry; readonly staleDepth: boolean }
  | {
      readonly do: 'replace';
      readonly path: readonly string[];
      readonly contentId: string;
      readonly instanceId: string;
      readonly contentType: string | null | undefined;
      readonly expectsOther: boolean;
      readonly discardPrevious: boolean;
    }
  | {
      readonly do: 'move';
      readonly path: readonly string[];
      readonly to: readonly string[];
      readonly expects: 'any' | 'current' | 'other';
      readonly replaces: boolean;
      readonly relocatedTo: string | undefined;
      readonly serial: string;
    }
  | { readonly do: 'attributes'; readonly path: readonly string[]; readonly mode: number; readonly owner: string }
  | { readonly do: 'restamp'; readonly path: readonly string[]; readonly stamp: string }
  | { readonly do: 'remove'; readonly path: readonly string[]; readonly expects: 'any' | 'current' | 'other' }
  | { readonly do: 'remove-tree'; readonly path: readonly string[]; readonly user: User }
  | {
      readonly do: 'list';
      readonly path: readonly string[];
      readonly after: string | undefined;
      readonly limit: number;
    }
  | { readonly do: 'forget'; readonly instanceId: string; readonly count: number };

const NAMES = ['a', 'A', '_', '%', '\uff5e', '\u{1f600}'];
const path = fc.array(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 4 });
const instanceId = fc.constantFrom('instance-1', 'instance-2');
const owner = fc.constantFrom(alice.name, bob.name);
const mode = fc.constantFrom(0o755, 0o700, 0o777, 0o1777, 0o555);

// The serial makes ids unlike; it is the place of the command in its sequence.
const commandAt = (serial: string): fc.Arbitrary<Command> =>
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant('create' as const),
        path,
        staleDepth: fc.boolean().map((stale) => stale && serial.endsWith('3')),
        entry: fc
          .record({ file: fc.boolean(), instanceId, owner, mode })
          .map(({ file, ...given }) =>
            file
              ? sampleFile('', { ...given, ...sampleContent({ contentId: `content-${serial}` }), id: `file-${serial}` })
              : sampleDirectory('', { ...given, id: `directory-${serial}` }),
          ),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('replace' as const),
        path,
        contentId: fc.constant(`content-${serial}`),
        instanceId,
        contentType: fc.constantFrom(undefined, null, 'text/plain'),
        expectsOther: fc.boolean(),
        discardPrevious: fc.boolean(),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('move' as const),
        path,
        to: path,
        expects: fc.constantFrom('any' as const, 'any' as const, 'current' as const, 'other' as const),
        replaces: fc.boolean(),
        relocatedTo: fc.constantFrom(undefined, undefined, 'instance-1', 'instance-2'),
        serial: fc.constant(serial),
      }),
    },
    fc.record({ do: fc.constant('attributes' as const), path, mode, owner }),
    fc.record({ do: fc.constant('restamp' as const), path, stamp: fc.constant(`stamp-${serial}`) }),
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('remove' as const),
        path,
        expects: fc.constantFrom('any' as const, 'current' as const, 'other' as const),
      }),
    },
    fc.record({ do: fc.constant('remove-tree' as const), path, user: fc.constantFrom(alice, bob, admin) }),
    fc.record({
      do: fc.constant('list' as const),
      path,
      after: fc.option(fc.constantFrom(...NAMES), { nil: undefined }),
      limit: fc.integer({ min: 1, max: 4 }),
    }),
    fc.record({ do: fc.constant('forget' as const), instanceId, count: fc.integer({ min: 1, max: 3 }) }),
  );

const commands = fc.tuple(...Array.from({ length: 30 }, (_, at) => commandAt(`${at}`)));

/** Both stores serve all runs, each in a directory of its own. */
let lastRun = 0;

function obey(store: MetadataStore, run: string, command: Command): Promise<unknown> {
  return command.do === 'forget' ? forget(store, command) : apply(store, run, command);
}

async function forget(store: MetadataStore, { instanceId, count }: Extract<Command, { readonly do: 'forget' }>) {
  const rows = await store.listOutbox(instanceId, count);
  await store.forgetOutbox(rows.map((row) => row.seq));
  return withoutSeq(rows);
}

type NamespaceCommand = Exclude<Command, { readonly do: 'forget' }>;

async function apply(store: MetadataStore, run: string, command: NamespaceCommand): Promise<unknown> {
  const names = [run, ...command.path];
  const found = await store.resolve(names);
  const deepest = found.at(-1);
  assert.ok(deepest);
  const contentId = deepest.type === 'file' ? deepest.contentId : undefined;
  switch (command.do) {
    case 'create': {
      const depth = Math.min(found.length, names.length);
      const from = command.staleDepth ? 1 : depth;
      const missingParents = names
        .slice(from - 1, -1)
        .map((name, at) => sampleDirectory(name, { id: `${run}-${command.entry.id}-${at}`, mode: command.entry.mode }));
      const entry = inRun(run, { ...command.entry, name: names.at(-1) ?? '' });
      return store.createEntry({ parentId: found[from - 1]?.id ?? ROOT_ID, missingParents, entry });
    }
    case 'replace':
      return store.replaceContent({
        entryId: deepest.id,
        expectContentId: command.expectsOther ? 'other' : contentId,
        instanceId: command.instanceId,
        content: sampleContent({ contentId: `${run}-${command.contentId}`, sizeBytes: 2 ** 33 }),
        contentType: command.contentType,
        mtimeMs: deepest.mtimeMs + 1,
        backendType: 'localfs',
        takeOver: false,
        discardPrevious: command.discardPrevious,
      });
    case 'move':
      return move(store, run, deepest, command);
    case 'attributes': {
      const owner = { name: command.owner, uid: 77 };
      const { id: entryId, version: expectVersion } = deepest;
      return entryId === ROOT_ID
        ? undefined
        : store.changeAttributes({ entryId, expectVersion, mode: command.mode, owner, group: undefined });
    }
    case 'restamp':
      return store.restampContent(contentId ?? 'none', command.stamp);
    case 'remove': {
      const expectContentId = { any: undefined, current: contentId, other: 'other' }[command.expects];
      return store.removeEntry({ entryId: deepest.id, expectContentId });
    }
    case 'remove-tree':
      return store.removeTree(deepest.id, command.user);
    case 'list':
      return store.listChildren(deepest.id, command.after, command.limit);
  }
}

async function move(
  store: MetadataStore,
  run: string,
  entry: Entry,
  command: Extract<Command, { readonly do: 'move' }>,
): Promise<unknown> {
  const { serial, expects, relocatedTo } = command;
  const names = [run, ...command.to];
  const found = await store.resolve(names);
  const depth = Math.min(found.length, names.length);
  const missingParents = names
    .slice(depth, -1)
    .map((name, at) => sampleDirectory(name, { id: `${run}-move-${serial}-${at}` }));
  const contentId = entry.type === 'file' ? entry.contentId : undefined;
  const content = sampleContent({ contentId: `${run}-content-moved-${serial}` });
  return store.moveEntry({
    entryId: entry.id,
    from: { parentId: entry.parentId, name: entry.name },
    expectContentId: { any: undefined, current: contentId, other: 'other' }[expects],
    to: { parentId: found[depth - 1]?.id ?? ROOT_ID, missingParents, name: names.at(-1) ?? '' },
    replacesId: command.replaces ? found[names.length]?.id : undefined,
    relocated:
      relocatedTo === undefined || contentId === undefined
        ? undefined
        : { content, instanceId: relocatedTo, backendType: 'localfs' },
  });
}

function inRun(run: string, entry: NewEntry): NewEntry {
  const id = `${run}-${entry.id}`;
  return entry.type === 'file' ? { ...entry, id, contentId: `${run}-${entry.contentId}` } : { ...entry, id };
}

/** Everything that a store holds of a run, from the top down. */
async function contentsOf(store: MetadataStore, directoryId: string): Promise<Entry[]> {
  const all: Entry[] = [];
  for (const child of await store.listChildren(directoryId, undefined, 100)) {
    all.push(child, ...(await contentsOf(store, child.id)));
  }
  return all;
}

/** Without the numbers, which need not start or grow alike. */
function withoutSeq(rows: readonly OutboxItem[]) {
  return rows
    .map(({ seq: _, ...row }) => row)
    .sort((left, right) => (JSON.stringify(left) < JSON.stringify(right) ? -1 : 1));
}

/** Ids of what was noted for an instance since the last call, in any order. */
async function takeNotes(store: MetadataStore, id: string): Promise<string[]> {
  const notes = await store.listNotes(id, 1000);
  await store.forgetNotes(notes.map(({ seq }) => seq));
  return notes.map(({ entryId }) => entryId).sort();
}

it('gives equal outcomes on SQLite and in memory for any sequence of commands', async () => {
  await using memory = new MemoryMetadataStore();
  await using sqlite = new SqlMetadataStore(
    await openSqlite({ path: join(folder, 'model.sqlite3'), durability: 'relaxed' }),
  );
  for (const id of ['instance-1', 'instance-2']) {
    const made = {
      endpoint: '',
      publicUrl: '',
      bootId: 'boot',
      version: '',
      process: '',
      nowMs: 0,
      replaces: undefined,
    };
    for (const store of [memory, sqlite]) await store.registerInstance({ id, ...made });
  }
  const kinds = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(commands, async (sequence) => {
      const run = `run-${++lastRun}`;
      const top = sampleDirectory(run, { id: run, mode: 0o777 });
      for (const store of [memory, sqlite]) {
        await store.createEntry({ parentId: ROOT_ID, missingParents: [], entry: top });
      }
      for (const command of sequence) {
        const [expected, outcome] = [await obey(memory, run, command), await obey(sqlite, run, command)];
        assert.deepEqual(outcome, expected, `The outcomes of ${JSON.stringify(command)} differ.`);
        const kind = `${command.do} ${outcomeKind(outcome)}`;
        kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
      }
      const left = await contentsOf(memory, run);
      assert.deepEqual(await contentsOf(sqlite, run), left);
      assert.deepEqual(await sqlite.countFiles(), await memory.countFiles());
      for (const id of ['instance-1', 'instance-2']) {
        const rows = await sqlite.listOutbox(id, 1000);
        assert.deepEqual(withoutSeq(rows), withoutSeq(await memory.listOutbox(id, 1000)));
        assert.deepEqual(await takeNotes(sqlite, id), await takeNotes(memory, id));
      }
    }),
    // A failure prints the seed and the path to its smallest case; another seed looks elsewhere.
    { numRuns: 100, seed: Number(process.env.CALLFS_TEST_SEED ?? 20_260_101) },
  );
  // The commands are only worth something while they reach every outcome.
  for (const kind of ['create created', 'create exists', 'create changed', 'replace replaced', 'remove removed']) {
    assert.ok(kinds.has(kind), `No run had the outcome ${kind}.`);
  }
  for (const kind of ['move moved', 'move exists', 'move not-empty', 'move cycle', 'move changed']) {
    assert.ok(kinds.has(kind), `No run had the outcome ${kind}.`);
  }
  for (const kind of ['remove not-empty', 'remove changed', 'remove-tree removed', 'remove-tree denied']) {
    assert.ok(kinds.has(kind), `No run had the outcome ${kind}.`);
  }
});

function outcomeKind(outcome: unknown): string {
  return typeof outcome === 'object' && outcome !== null && 'kind' in outcome ? String(outcome.kind) : '';
}
