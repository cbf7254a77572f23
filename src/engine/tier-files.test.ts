/** Tiering over an instance with two backends in memory. */
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { MemoryBackend } from '../backends/memory/memory-backend.ts';
import type { BackendType, FileEntry } from '../core/entry.ts';
import { parsePathPattern } from '../core/path-pattern.ts';
import { toVirtualPath, type VirtualPath } from '../core/virtual-path.ts';
import { MemoryMetadataStore } from '../metadata/memory/memory-metadata-store.ts';
import { contentLedger } from './content-ledger.ts';
import type { EngineContext } from './engine-context.ts';
import type { FileMove } from './move-files.ts';
import { moveToBackend } from './move-to-backend.ts';
import { planTiering } from './plan-tiering.ts';
import { readFile } from './read-file.ts';
import { type TierContext, type TierRequest, tierFiles } from './tier-files.ts';
import type { TierRule } from './tier-rules.ts';
import { writeFile } from './write-file.ts';

const ROOT = { name: 'root', uid: 0, gid: 0, groups: [], admin: true };
const DAY_MS = 86_400_000;
const WRITTEN_AT_MS = 1_700_000_000_000;
const NO_CONDITIONS = {
  ifMatch: undefined,
  ifNoneMatch: undefined,
  ifModifiedSince: undefined,
  ifUnmodifiedSince: undefined,
};

/** A disk that goes by the clock of the test. */
class ClockedBackend extends MemoryBackend {
  override async stage(...args: Parameters<MemoryBackend['stage']>) {
    return { ...(await super.stage(...args)), mtimeMs: nowMs };
  }
}

/** The bucket, which may be down or refuse contents. */
class FragileBackend extends MemoryBackend {
  isDown = false;
  refused: string | undefined;
  stages = 0;

  override async check(): Promise<void> {
    if (this.isDown) throw new Error('the bucket is down');
  }

  override async stage(...[contentId, bytes, options]: Parameters<MemoryBackend['stage']>) {
    this.stages += 1;
    if (this.isDown) throw new Error('the bucket is down');
    const staged = await super.stage(contentId, bytes, options);
    const text = (await (await staged.open()).readAll()).toString();
    if (this.refused !== undefined && text.includes(this.refused)) throw new Error('the bucket refuses it');
    return staged;
  }
}

let context: EngineContext;
let bucket: FragileBackend;
let nowMs: number;
let lastId = 0;

beforeEach(() => {
  const store = new MemoryMetadataStore();
  const instanceId = 'own';
  nowMs = WRITTEN_AT_MS;
  bucket = new FragileBackend({ instanceId, ledger: contentLedger(instanceId, store, 's3'), type: 's3' });
  const local = new ClockedBackend({ instanceId, ledger: contentLedger(instanceId, store, 'localfs') });
  context = {
    instanceId,
    store,
    backends: new Map<BackendType, MemoryBackend>([
      ['localfs', local],
      ['s3', bucket],
    ]),
    defaultBackend: 'localfs',
    clock: { now: () => nowMs },
    ids: { next: () => `id-${String(++lastId).padStart(9, '0')}`, nextRequest: () => 'request' },
    maxUploadBytes: undefined,
    fetchContent: () => assert.fail('nothing is fetched'),
    isDraining: () => false,
    findTaker: async () => undefined,
    onAdopted() {},
  };
});

const at = (path: string): VirtualPath => toVirtualPath(path.split('/').slice(1));

async function put(path: string, body: string): Promise<void> {
  const upload = {
    declaredBytes: undefined,
    async *open() {
      yield Buffer.from(body);
    },
  };
  const request = { user: ROOT, path: at(path), namesDirectory: false, preconditions: NO_CONDITIONS, upload };
  const defaults = { contentType: null, mode: undefined, backendType: undefined, forwarded: false };
  const outcome = await writeFile(context, { ...request, ...defaults });
  assert.notEqual(outcome.kind, 'elsewhere');
}

async function entryAt(path: string): Promise<FileEntry> {
  const names = path.split('/').slice(1);
  const entry = (await context.store.resolve(names))[names.length];
  assert(entry?.type === 'file', `${path} should be a file`);
  return entry;
}

async function contentAt(path: string): Promise<string> {
  const found = await readFile(context, { user: ROOT, path: at(path), namesDirectory: false });
  assert(found.kind === 'file');
  await using reader = found.reader;
  return (await reader.readAll()).toString();
}

async function backendsOf(...paths: readonly string[]): Promise<readonly BackendType[]> {
  return await Promise.all(paths.map(async (path) => (await entryAt(path)).backendType));
}

function rule(match: string, to: BackendType, more: Partial<TierRule> = {}): TierRule {
  return { matches: parsePathPattern(match), olderThanMs: 0, largerThanBytes: undefined, to, ...more };
}

function run(rules: readonly TierRule[], over: Partial<TierContext & TierRequest> = {}) {
  const signal = over.signal ?? new AbortController().signal;
  const findObstacle = async () => (bucket.isDown ? 'the bucket is down' : undefined);
  const move: TierContext['move'] = (file, to) => moveToBackend(context, file, to, signal);
  const request = { rules, parallel: 1, bytesPerSecond: undefined, signal, onMoved() {}, ...over };
  return tierFiles({ ...context, findObstacle, move, ...over }, request);
}

test('files that a rule says are old enough go to the other backend, with their ETags, times and bytes', async () => {
  for (const path of ['/logs/a', '/logs/deep/er/.b', '/docs/c']) await put(path, `bytes of ${path}`);
  nowMs += 31 * DAY_MS;
  await put('/logs/young', 'young');
  const before = await Promise.all(['/logs/a', '/logs/deep/er/.b'].map(entryAt));
  const moved: string[] = [];
  const report = await run([rule('/logs/**', 's3', { olderThanMs: 30 * DAY_MS })], {
    onMoved: ({ path }, to) => moved.push(`${path} ${to}`),
  });
  assert.deepEqual(report.moved, { files: 2, sizeBytes: 41 });
  assert.deepEqual([report.left, report.failed, report.obstacle], [0, 0, undefined]);
  assert.deepEqual(moved.toSorted(), ['/logs/a s3', '/logs/deep/er/.b s3']);
  const paths = ['/logs/a', '/logs/deep/er/.b', '/docs/c', '/logs/young'];
  assert.deepEqual(await backendsOf(...paths), ['s3', 's3', 'localfs', 'localfs']);
  for (const entry of before) {
    const now = await entryAt(entry.name === 'a' ? '/logs/a' : '/logs/deep/er/.b');
    assert.deepEqual([now.etag, now.mtimeMs, now.sizeBytes], [entry.etag, entry.mtimeMs, entry.sizeBytes]);
  }
  assert.equal(await contentAt('/logs/deep/er/.b'), 'bytes of /logs/deep/er/.b');
  await context.backends.get('localfs')?.settled();
  assert.deepEqual(await context.store.listOutbox('own', 10), [], 'the old bytes are removed');
  assert.equal(await context.backends.get('localfs')?.probe(before[0] ?? assert.fail(), at('/logs/a')), 'missing');
  assert.deepEqual((await run([rule('/logs/**', 's3')])).moved.files, 1, 'only what is not there yet');
  assert.deepEqual((await run([rule('/**', 'localfs')])).moved.files, 3, 'and back');
  assert.equal(await contentAt('/logs/a'), 'bytes of /logs/a');
});

test('the first rule whose pattern fits decides, also when it says to leave a file alone', async () => {
  for (const path of ['/logs/keep/a', '/logs/b', '/logs/small', '/other']) await put(path, path.repeat(10));
  const rules = [
    rule('/logs/keep/**', 'localfs'),
    rule('/logs/small', 's3', { largerThanBytes: 110 }),
    rule('/**', 's3', { largerThanBytes: 50 }),
  ];
  const plan = await planTiering(context, rules);
  assert.deepEqual(
    plan.map(({ due, waiting, there }) => [due.files, waiting.files, there.files]),
    [
      [0, 0, 1],
      [0, 1, 0],
      [2, 0, 0],
    ],
  );
  assert.deepEqual(
    plan[2]?.largest.map(({ path }) => path),
    ['/logs/b', '/other'],
  );
  assert.deepEqual(plan[2]?.due, { files: 2, sizeBytes: 130 });
  await run(rules);
  const paths = ['/logs/keep/a', '/logs/b', '/logs/small', '/other'];
  assert.deepEqual(await backendsOf(...paths), ['localfs', 's3', 'localfs', 's3']);
});

test('a file that changes, is renamed or removed meanwhile is left as it is', async () => {
  for (const path of ['/changed', '/renamed', '/removed']) await put(path, 'old');
  const disturb: Record<string, () => Promise<unknown>> = {
    '/changed': () => put('/changed', 'new'),
    '/renamed': async () => {
      const { id, parentId, name } = await entryAt('/renamed');
      const to = { parentId, missingParents: [], name: 'elsewhere' };
      const nothing = { expectContentId: undefined, replacesId: undefined, relocated: undefined };
      return context.store.moveEntry({ entryId: id, from: { parentId, name }, to, ...nothing });
    },
    '/removed': async () =>
      context.store.removeEntry({ entryId: (await entryAt('/removed')).id, expectContentId: undefined }),
  };
  const stage = bucket.stage.bind(bucket);
  const report = await run([rule('/**', 's3')], {
    async move(file, to) {
      // Between the reading of the bytes and the commit.
      bucket.stage = async (...args) => {
        const staged = await stage(...args);
        await disturb[file.path]?.();
        return staged;
      };
      return await moveToBackend(context, file, to, new AbortController().signal);
    },
  });
  assert.deepEqual([report.moved.files, report.left, report.failed], [0, 3, 0]);
  assert.equal(await contentAt('/changed'), 'new');
  assert.equal(await contentAt('/elsewhere'), 'old');
  assert.deepEqual(await backendsOf('/changed', '/elsewhere'), ['localfs', 'localfs']);
});

test('files that cannot be moved hold no others up', async () => {
  for (let number = 0; number < 8; number++) await put(`/bad-${number}`, 'bad');
  for (let number = 0; number < 8; number++) await put(`/good-${number}`, 'good');
  bucket.refused = 'bad';
  const report = await run([rule('/**', 's3')], { parallel: 2 });
  assert.deepEqual([report.moved.files, report.failed, report.obstacle], [8, 8, undefined]);
  assert.equal(report.failures.get(at('/bad-0')), 'the bucket refuses it');
});

test('a bucket that is down, or goes down, ends the round after a few attempts', async () => {
  for (let number = 0; number < 50; number++) await put(`/${number}`, 'bytes');
  bucket.isDown = true;
  const none = await run([rule('/**', 's3')]);
  assert.deepEqual([none.obstacle, none.failed, bucket.stages], ['the bucket is down', 0, 0]);
  bucket.isDown = false;
  const some = await run([rule('/**', 's3')], {
    parallel: 4,
    onMoved() {
      bucket.isDown = true;
    },
  });
  assert.equal(some.obstacle, 'the bucket is down');
  assert.ok(some.moved.files >= 1 && some.failed < 20, `${some.moved.files} moved, ${some.failed} failed`);
});

test('a round that is stopped begins nothing more, and keeps to its rate and its number of files at a time', async () => {
  for (let number = 0; number < 20; number++) await put(`/${number}`, '0123456789');
  const stop = new AbortController();
  let running = 0;
  let most = 0;
  let done = 0;
  const startedAt = performance.now();
  const report = await run([rule('/**', 's3')], {
    parallel: 3,
    bytesPerSecond: 1000,
    signal: stop.signal,
    async move(): Promise<FileMove> {
      most = Math.max(most, ++running);
      await new Promise(setImmediate);
      running -= 1;
      if (++done === 10) stop.abort();
      return { kind: 'moved' };
    },
  });
  assert.ok(report.moved.files >= 10 && report.moved.files <= 12, `${report.moved.files} files`);
  assert.ok(most >= 1 && most <= 3, `${most} at a time`);
  assert.ok(performance.now() - startedAt >= 85, 'ten files of ten bytes at a thousand bytes per second');
});
