/**
 * The kill matrix for PostgreSQL itself: at every point of an instance's part in a change all processes of the server are
 * killed. All cells run with CALLFS_LONG_TESTS=1; otherwise some, chosen by CALLFS_TEST_SEED.
 */
import { readFileSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import type { TestInstance } from './support/cluster.ts';
import { type Cell, CrashLane, type Strike, waitForPeers } from './support/crash-cell.ts';
import { ALL_CELLS, findCells, runMatrix } from './support/kill-matrix.ts';
import { TestPostgres } from './support/postgres.ts';
import { PostgresProxy } from './support/postgres-proxy.ts';
import { waitFor } from './support/wait-for.ts';

/** The kernel has stopped it, and it has not been told to go on. */
function isStopped(instance: TestInstance): boolean {
  if (!instance.isRunning) return false;
  const [state] = readFileSync(`/proc/${instance.pid}/stat`, 'utf8').split(') ')[1] ?? '';
  return state === 'T';
}

suite('PostgreSQL is killed', { timeout: ALL_CELLS ? 3_600_000 : 300_000 }, () => {
  let server: TestPostgres;
  let proxy: PostgresProxy;
  before(async () => {
    server = await TestPostgres.start();
    proxy = await PostgresProxy.start(server.port);
  });
  after(async () => {
    await proxy[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  const openLane = async (): Promise<CrashLane> => {
    const dsn = proxy.through(await server.createDatabase());
    return CrashLane.open({ metadata_store: { type: 'postgres', dsn } });
  };

  /** Its processes may be gone a moment after the first of them; until then the next server refuses to start. */
  const restart = (): Promise<boolean> =>
    waitFor('PostgreSQL to start again', () =>
      server.startProcess().then(
        () => true,
        () => false,
      ),
    );

  const strike = (recover: Strike['recover']): Strike => ({ action: 'stop', hasHit: isStopped, recover });

  const strikes: readonly Strike[] = [
    // The victim finds no server, and then finds it again or gives up.
    strike(async (cluster, victim) => {
      await server.killAll();
      victim.signal('SIGCONT');
      await restart();
      await waitForPeers(cluster);
    }),
    // When the victim goes on its connections are gone, but the server is there.
    strike(async (cluster, victim) => {
      await server.killAll();
      await restart();
      victim.signal('SIGCONT');
      await waitForPeers(cluster);
    }),
    // The server dies when it reads the next COMMIT: before, while or after it does it.
    strike(async (cluster, victim) => {
      const died = new Promise<void>((resolve) => {
        proxy.onCommit = () => void server.killAll().then(resolve);
      });
      victim.signal('SIGCONT');
      await died;
      await restart();
      await waitForPeers(cluster);
    }),
  ];

  test('acknowledged changes are there, others happened wholly or not at all', async (t) => {
    const cells: readonly Cell[] = await findCells(openLane);
    t.diagnostic(`${cells.length} cells`);
    const strikeFor = (_cell: Cell, number: number): Strike => strikes[number % strikes.length] as Strike;
    await runMatrix(t, { cells, sampleSize: 12, strikeFor, openLane, lanes: 1 });
  });
});
