/** The tests of clusters once more, on PostgreSQL: what holds on one store holds on the other. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { assertTestFilePasses } from './support/test-file.ts';
import { STORE_TYPE } from './support/test-store.ts';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));

/** The slowest first, so that none of them is left over in the end. */
const FILES = [
  'kill-matrix',
  'cluster-races',
  'node-drain',
  'node-leave',
  'streaming-forward',
  'fault-frozen-owner',
  'fault-owner-death',
  'move-races',
  'move-relocation',
  'links',
  'cluster-consistency',
  'cluster-clock',
  'cluster-status',
  'http-permissions',
  'http-listings',
  'http-contract',
  'http-move',
  'http-copy',
  'cluster-restart',
  'fault-disk',
  'cluster-basics',
];

/** Tests with clusters that are not repeated here, and why. */
const NOT_REPEATED: Readonly<Record<string, string>> = {
  adopt: 'what it asks of a store is in the contract suite',
  'adopt-watch': 'what it asks of a store is in the contract suite',
  'fault-data-root': 'is about disks',
  rebuild: 'loses an SQLite file; has a test on PostgreSQL of its own',
  'fault-start': 'is about SQLite files, among others',
  fsck: 'has a test on PostgreSQL of its own',
  's3-fsck': 'is about a bucket; tampers with an SQLite file',
  's3-adopt-rebuild': 'is about a bucket; loses an SQLite file',
  's3-faults': 'is about buckets',
  's3-large': 'is about buckets',
  's3-moves': 'is about buckets; how a file moves is in the contract suite',
  's3-failover': 'is about a bucket; how a file changes its owner is in the contract suite',
  'move-uploads': 'is about how long transfers between instances may take, in which the store has no part',
  'move-large': 'is about the size of a tree, which the contract suite has for every store',
  jobs: 'what it asks of a store is in the contract suite',
  tiering: 'what it asks of a store, the listing of files and the move, is in the contract suite',
  'move-hostile': 'is about what requests say',
  'http-paths': 'is about the parsing of paths',
  'http-ranges': 'is about bytes',
  websocket: 'is about bytes and connections; the use cases are those of GET and PUT',
  'http-semantics': 'is about HTTP',
  'http-digests': 'is about bytes; what is kept of them is in the contract suite',
  'http-hygiene': 'is about HTTP',
  'http-cors': 'is about HTTP',
  'http-early-answers': 'is about HTTP',
  tls: 'is about connections',
  uploads: 'is about bytes and a protocol; what it asks of a store is in the contract suite',
  'uploads-cuts': 'is about connections and disks; what it asks of a store is in the contract suite',
  openapi: 'is about HTTP',
  'docs-page': 'is about a page',
  'real-clients': 'is about clients',
  'two-backends': 'is about disks and buckets; what it asks of a store is in the contract suite',
};

/** Few: they measure times, too. */
const AT_ONCE = 2;

suite('on PostgreSQL', { concurrency: AT_ONCE, skip: STORE_TYPE === 'postgres' && 'everything runs on it' }, () => {
  for (const name of FILES) {
    test(`test/${name}.test.ts passes`, { timeout: 600_000 }, async (t) => {
      await assertTestFilePasses(name, { CALLFS_TEST_STORE: 'postgres' }, t.signal);
    });
  }
});

test('every test with a cluster is repeated on PostgreSQL, or it is said why not', () => {
  const decided = new Set([...FILES, ...Object.keys(NOT_REPEATED)]);
  const undecided = readdirSync(FOLDER)
    .filter((file) => file.endsWith('.test.ts') && !file.startsWith('postgres-'))
    .filter((file) => /\bstart(Static)?Cluster\b/.test(readFileSync(FOLDER + file, 'utf8')))
    .filter((file) => !decided.has(file.replace('.test.ts', '')));
  assert.deepEqual(undecided, []);
});
