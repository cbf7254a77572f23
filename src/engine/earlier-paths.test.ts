/** Tracing a path back over moves that a disk has not followed yet. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { VirtualPath } from '../core/virtual-path.ts';
import type { MovedPath, OutboxItem } from '../metadata/metadata-store.ts';
import { concerns, earlierPaths } from './earlier-paths.ts';

const move = (path: string, to: string, seq = 1): MovedPath => ({
  ...{ kind: 'move', seq, instanceId: 'here', backendType: 'localfs', entryId: 'entry', content: undefined },
  ...{ path: path as VirtualPath, to: to as VirtualPath },
});

const traced = (path: string, moves: readonly OutboxItem[]) => [...earlierPaths(path as VirtualPath, moves)];

test('a path goes back over every move, the oldest first', () => {
  assert.deepEqual(traced('/c/f', [move('/a', '/b'), move('/b', '/c')]), ['/a/f', '/b/f']);
  assert.deepEqual(traced('/c/f', [move('/b', '/c'), move('/a', '/b')]), ['/b/f']);
  assert.deepEqual(traced('/x/y/f', [move('/p', '/x/y/f'), move('/x', '/elsewhere')]), ['/p']);
});

test('directories that changed places are told apart', () => {
  const swap = [move('/one', '/spare'), move('/two', '/one'), move('/spare', '/two')];
  assert.deepEqual(traced('/two/f', swap), ['/one/f', '/spare/f']);
  assert.deepEqual(traced('/one/f', swap), ['/two/f']);
});

test('what did not move has no other path, also beside names that begin alike', () => {
  assert.deepEqual(traced('/ab/f', [move('/x', '/a'), move('/y', '/ab/fg')]), []);
  assert.deepEqual(traced('/a', []), []);
});

test('a move concerns what is at, above and below both its paths', () => {
  for (const path of ['/', '/a', '/a/b', '/a/b/c', '/x', '/x/y', '/x/y/z']) {
    assert(concerns(move('/a/b', '/x/y'), path as VirtualPath), path);
  }
  for (const path of ['/ab', '/a/bc', '/a/c', '/x/yy'])
    assert(!concerns(move('/a/b', '/x/y'), path as VirtualPath), path);
});
