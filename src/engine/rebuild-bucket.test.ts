/** Files in a bucket come back with what their bucket still has of them, and those that wait for a move are moved. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PlacedHoldings, RecallingHoldings } from '../backends/backend.ts';
import { type FileEntry, ROOT_ID } from '../core/entry.ts';
import type { LocatedEntry } from '../core/located-entry.ts';
import { pathOfNames } from '../core/virtual-path.ts';
import { MemoryMetadataStore } from '../metadata/memory/memory-metadata-store.ts';
import { sampleFile } from '../metadata/metadata-store.contract.ts';
import { InstanceRebuild } from './rebuild-instance.ts';

function located(name: string, storageKey: string): LocatedEntry & { readonly entry: FileEntry } {
  const sample = { ...sampleFile(name), id: name, contentId: `content of ${name}`, storageStamp: name };
  const entry: FileEntry = { ...sample, parentId: ROOT_ID, version: 1, backendType: 's3', storageKey };
  return { entry, path: pathOfNames([name]), above: [] };
}

/** A disk that holds nothing but a catalog of these. */
function homeWith(entries: readonly LocatedEntry[]): RecallingHoldings {
  const nothing = async function* (): AsyncGenerator<never> {};
  const home: Partial<RecallingHoldings> = {
    ...{ type: 'localfs', root: '/root', claimed: true },
    ...{ assertPresent: async () => {}, files: nothing, stagedFiles: nothing },
    recall: async () => ({ entries, isMissing: false, damagedLines: 0 }),
  };
  return home as RecallingHoldings;
}

test('files in a bucket come back as its objects are', async () => {
  const entries = [
    ...[located('sound', 'sound'), located('waiting', 'old/waiting'), located('brought', '.callfs/staging/x')],
    ...[located('edited', 'edited'), located('gone', 'gone')],
  ];
  const bucket: Partial<PlacedHoldings> = {
    type: 's3',
    async find({ storageKey, storageStamp }) {
      if (storageKey === 'sound' || storageKey === 'old/waiting') return { storageKey, storageStamp };
      return storageKey === '.callfs/staging/x' ? { storageKey: 'brought', storageStamp: 'there' } : undefined;
    },
    async observeInstead(content, _path, contentId) {
      if (content.storageKey !== 'edited') return undefined;
      return { content: { ...content, contentId, sizeBytes: 99, storageStamp: 'other' }, mtimeMs: 5 };
    },
    isMisplaced: ({ storageKey }, path) => storageKey !== path.slice(1),
  };
  await using store = new MemoryMetadataStore();
  let lastId = 0;
  const next = (): string => `id-${++lastId}`;
  const { instanceId } = located('any', 'any').entry;
  const context = { instanceId, store, holdings: homeWith(entries), bucket: bucket as PlacedHoldings };
  const rebuild = new InstanceRebuild(
    { ...context, clock: { now: () => 0 }, ids: { next, nextRequest: next } },
    { keepMissing: false, dryRun: false, onProgress() {} },
  );
  await rebuild.restore();
  const { restored, moves, findings } = await rebuild.finish();
  assert.deepEqual([restored.files, moves], [4, 1]);
  assert.deepEqual(
    findings.map(({ kind, path }) => `${kind} ${path}`),
    ['changed-file /edited', 'missing-bytes /gone'],
  );
  const back = await store.describeEntries(entries.map(({ entry }) => entry.id));
  const placeOf = ({ entry }: LocatedEntry): unknown =>
    entry.type === 'file' && [entry.name, entry.storageKey, entry.storageStamp, entry.version];
  assert.deepEqual(back.map(placeOf).sort(), [
    ['brought', 'brought', 'there', 1],
    ['edited', 'edited', 'other', 2],
    ['sound', 'sound', 'sound', 1],
    ['waiting', 'old/waiting', 'waiting', 1],
  ]);
  const rows = await store.listOutbox(instanceId, 10, 's3');
  assert.deepEqual(
    rows.map((row) => row.kind === 'move' && [row.entryId, row.to]),
    [['waiting', '/waiting']],
  );
});
