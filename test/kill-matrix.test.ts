/**
 * The kill matrix: during every kind of change one instance dies, at every point of its part in it (fault-point.ts). After
 * its restart what was acknowledged is there, what was not happened wholly or not at all, and nothing is left over.
 * All cells run with CALLFS_LONG_TESTS=1; otherwise some, chosen by CALLFS_TEST_SEED.
 */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { FAULT_POINTS } from '../src/core/fault-point.ts';
import { call } from './support/client.ts';
import { type LogLine, startCluster } from './support/cluster.ts';
import { type Cell, CrashLane, KILL, killTwice, type Strike } from './support/crash-cell.ts';
import { ALL_CELLS, findCells, runMatrix } from './support/kill-matrix.ts';
import { waitFor } from './support/wait-for.ts';

const RECOVERY = FAULT_POINTS.filter((point) => point.startsWith('settle:'));

/** Every third victim dies again while it recovers. */
function strikeFor(_cell: Cell, number: number): Strike {
  const point = RECOVERY[Math.floor(number / 3) % RECOVERY.length];
  return number % 3 === 0 && point !== undefined ? killTwice(point) : KILL;
}

suite('an instance is killed', { timeout: ALL_CELLS ? 3_600_000 : 300_000 }, () => {
  const openLane = (): Promise<CrashLane> => CrashLane.open();
  let cells: readonly Cell[] = [];

  test('every fault point is passed by some change', async (t) => {
    cells = await findCells(openLane);
    t.diagnostic(`${cells.length} cells`);
    const passed = new Set(cells.map(({ place }) => place.point));
    assert.deepEqual(
      FAULT_POINTS.filter((point) => !passed.has(point)),
      [],
    );
  });

  test('whoever dies wherever, acknowledged changes are there, others happened wholly or not at all', async (t) => {
    await runMatrix(t, { cells, sampleSize: 40, strikeFor, openLane, lanes: 2 });
  });
});

test('an instance with a fault point warns, and dies there; with anything else it does not start', async () => {
  await using cluster = await startCluster({ instances: 1 });
  const instance = cluster.at(0);
  const isWarning = ({ msg }: LogLine): boolean => String(msg).includes('CALLFS_FAULT_POINT');
  assert(!instance.log.some(isWarning));
  await instance.stop();
  await assert.rejects(instance.start({ CALLFS_FAULT_POINT: 'stage:nowhere' }), /"stage:nowhere" is no fault point/);
  await instance.start({ CALLFS_FAULT_POINT: 'stage:synced:2' });
  await waitFor('the warning', () => instance.log.some(isWarning));
  assert.equal((await call('PUT', instance.url, '/v1/files/first', { body: 'first' })).status, 201);
  await assert.rejects(call('PUT', instance.url, '/v1/files/second', { body: 'second' }));
  await waitFor('the instance to be dead', () => !instance.isRunning);
  await instance.start();
  assert.equal((await call('GET', instance.url, '/v1/files/first')).text, 'first');
  assert.equal((await call('GET', instance.url, '/v1/files/second')).status, 404);
});
