/** The tests of clusters once more, on PostgreSQL: what holds on one store holds on the other. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
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
  'cluster-consistency',
  'cluster-clock',
  'cluster-status',
  'http-permissions',
  'http-listings',
  'http-contract',
  'http-move',
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
  'move-uploads': 'is about how long transfers between instances may take, in which the store has no part',
  'move-large': 'is about the size of a tree, which the contract suite has for every store',
  'move-hostile': 'is about what requests say',
  'http-paths': 'is about the parsing of paths',
  'http-ranges': 'is about bytes',
};

/** Few: they measure times, too. */
const AT_ONCE = 2;
const SHOWN_CHARACTERS = 20_000;

interface Ended {
  readonly exitCode: number | null;
  readonly output: string;
}

async function runOnPostgres(name: string, signal: AbortSignal): Promise<Ended> {
  const { NODE_TEST_CONTEXT: _ofThisProcess, ...env } = process.env;
  const child = spawn(process.execPath, ['--test-reporter=spec', `${FOLDER}${name}.test.ts`], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...env, CALLFS_TEST_STORE: 'postgres' },
    signal,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (text) => {
      output += text;
    });
  }
  await once(child, 'close');
  return { exitCode: child.exitCode, output };
}

suite('on PostgreSQL', { concurrency: AT_ONCE, skip: STORE_TYPE === 'postgres' && 'everything runs on it' }, () => {
  for (const name of FILES) {
    test(`test/${name}.test.ts passes`, { timeout: 600_000 }, async (t) => {
      const { exitCode, output } = await runOnPostgres(name, t.signal);
      assert.equal(exitCode, 0, output.slice(-SHOWN_CHARACTERS));
      const passed = /^ℹ pass (\d+)$/m.exec(output)?.[1];
      assert(Number(passed) > 0, `nothing ran:\n${output}`);
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
