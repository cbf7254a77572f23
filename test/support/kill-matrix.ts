/** The cells of the kill matrix: which there are, which of them run, and how they are gone through side by side. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { FaultPoint } from '../../src/core/fault-point.ts';
import { listTree } from './at-rest.ts';
import { run } from './command.ts';
import {
  assertSound,
  type Cell,
  type CellOutcome,
  type CrashLane,
  describeCell,
  type Place,
  runCell,
  type Strike,
  tell,
  waitForPeers,
} from './crash-cell.ts';
import { OPERATIONS, ROLES } from './crash-operations.ts';

export const ALL_CELLS = process.env.CALLFS_LONG_TESTS === '1';
const SEED = Number(process.env.CALLFS_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
/** A point that is passed often, in a loop or for each of several entries, is tried so many times. */
const MAX_OCCURRENCES = 3;
/** An operation and a victim with fewer cells than this get others at moments spread over the work. */
const MIN_CELLS = 20;
/** A cell whose point is not passed is gone through again. */
const MAX_ATTEMPTS = 4;
/** How often all instances are stopped for a check from outside. */
const CELLS_BETWEEN_STOPS = 20;

export interface Matrix {
  readonly cells: readonly Cell[];
  /** How many of them run unless all do. */
  readonly sampleSize: number;
  readonly strikeFor: (cell: Cell, number: number) => Strike;
  readonly openLane: () => Promise<CrashLane>;
  /** Clusters at work side by side: while one waits for a restart another goes on. */
  readonly lanes: number;
}

interface Result {
  readonly cell: Cell;
  readonly outcome: CellOutcome | undefined;
  readonly failure: string | undefined;
}

/** Does every change once, undisturbed, and looks which instance passes which points how often. */
export async function findCells(openLane: Matrix['openLane']): Promise<Cell[]> {
  await using lane = await openLane();
  const { cluster } = lane;
  const cells: Cell[] = [];
  for (const [number, operation] of OPERATIONS.entries()) {
    const home = `/undisturbed-${number}/`;
    await lane.makeFolder(home);
    const { send } = await operation.prepare(cluster, home);
    await lane.waitForRest();
    for (const instance of cluster.instances) await tell(instance, { count: true });
    const startedAt = performance.now();
    const { status, text } = await send();
    assert(status < 300, text);
    await lane.waitForRest();
    const durationMs = performance.now() - startedAt;
    for (const [position, victim] of ROLES.entries()) {
      const counts = await tell(cluster.at(position), { count: true });
      const places: Place[] = [];
      for (const [point, count] of Object.entries(counts) as [FaultPoint, number][]) {
        for (let occurrence = 1; occurrence <= Math.min(count, MAX_OCCURRENCES); occurrence++) {
          places.push({ point, occurrence });
        }
      }
      const missing = places.length === 0 ? 0 : Math.max(0, MIN_CELLS - places.length);
      for (let moment = 0; moment < missing; moment++) {
        places.push({ point: undefined, afterMs: (durationMs * moment) / missing });
      }
      cells.push(...places.map((place) => ({ operation, victim, place })));
    }
  }
  await assertSound(cluster);
  return cells;
}

/** Some cells, of every operation and victim at least one; the same for the same seed. */
function sample(cells: readonly Cell[], size: number): Cell[] {
  const shuffled = shuffle(cells);
  const groups = [...Map.groupBy(shuffled, ({ operation, victim }) => `${operation.name} ${victim}`).values()];
  const chosen: Cell[] = [];
  for (let round = 0; chosen.length < Math.min(size, cells.length); round++) {
    for (const group of groups) chosen.push(...group.slice(round, round + 1));
  }
  return chosen.slice(0, size);
}

function shuffle<T>(items: readonly T[]): T[] {
  let state = SEED >>> 0;
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  return items
    .map((item) => ({ item, at: random() }))
    .sort((left, right) => left.at - right.at)
    .map(({ item }) => item);
}

/** Takes cells from `rest` until none is left; a cluster in which something failed is not used again. */
async function runLane(t: TestContext, matrix: Matrix, rest: Iterator<[number, Cell]>): Promise<Result[]> {
  const results: Result[] = [];
  let lane = await matrix.openLane();
  let done = 0;
  try {
    for (let next = rest.next(); !next.done; next = rest.next()) {
      const [number, cell] = next.value;
      try {
        const outcome = await runUntilReached(lane, `/cell-${number}`, cell, matrix.strikeFor(cell, number));
        if (++done % CELLS_BETWEEN_STOPS === 0) await checkStopped(lane);
        results.push({ cell, outcome, failure: undefined });
      } catch (error) {
        const failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
        t.diagnostic(`FAILED ${describeCell(cell)}: ${failure.slice(0, 2000)}`);
        results.push({ cell, outcome: undefined, failure });
        await lane[Symbol.asyncDispose]();
        lane = await matrix.openLane();
        done = 0;
      }
    }
    await checkStopped(lane);
    return results;
  } finally {
    await lane[Symbol.asyncDispose]();
  }
}

/** Some points are passed or not by chance: whoever batches faster or slower this time passes others. */
async function runUntilReached(lane: CrashLane, home: string, cell: Cell, strike: Strike): Promise<CellOutcome> {
  for (let attempt = 1; ; attempt++) {
    const outcome = await runCell(lane, `${home}-${attempt}/`, cell, strike);
    if (outcome.reached || attempt === MAX_ATTEMPTS) return outcome;
  }
}

/** `callfs fsck` of every instance while none runs; and all there was is there afterwards. */
async function checkStopped({ cluster }: CrashLane): Promise<void> {
  const before = await listTree(cluster.at(0));
  for (const instance of cluster.instances) assert.equal(await instance.stop(), 0, instance.stderr);
  for (const { configFile } of cluster.instances) {
    const { exitCode, stdout, stderr } = await run(['fsck', '--config', configFile, '--deep', '--json']);
    assert.equal(exitCode, 0, stdout + stderr);
  }
  await Promise.all(cluster.instances.map((instance) => instance.start()));
  await waitForPeers(cluster);
  assert.deepEqual(await listTree(cluster.at(1)), before);
}

function report(t: TestContext, results: readonly Result[]): void {
  const groups = Map.groupBy(results, ({ cell }) => `${cell.operation.name}, ${cell.victim}`);
  for (const [name, group] of groups) {
    const reached = group.filter(({ outcome }) => outcome?.reached);
    const answered = reached.filter(({ outcome }) => outcome?.status !== undefined && outcome.status < 300);
    const happened = reached.filter(({ outcome }) => outcome?.happened);
    const failed = group.filter(({ failure }) => failure !== undefined);
    t.diagnostic(
      `${name}: ${group.length} cells, ${reached.length} killed, ${answered.length} acknowledged, ` +
        `${happened.length} happened, ${failed.length} failed`,
    );
  }
}

/** Runs the cells, or a sample of them; only those whose description has the text of CALLFS_TEST_CELLS in it, if that is set. */
export async function runMatrix(t: TestContext, matrix: Matrix): Promise<void> {
  t.diagnostic(`CALLFS_TEST_SEED=${SEED}`);
  const only = process.env.CALLFS_TEST_CELLS;
  const wanted = matrix.cells.filter((cell) => only === undefined || describeCell(cell).includes(only));
  const chosen = ALL_CELLS ? shuffle(wanted) : sample(wanted, matrix.sampleSize);
  assert(chosen.length > 0, 'no cells');
  const rest = chosen.entries();
  const lanes = Array.from({ length: matrix.lanes }, () => runLane(t, matrix, rest));
  const results = (await Promise.all(lanes)).flat();
  report(t, results);
  const failures = results.filter(({ failure }) => failure !== undefined);
  assert.deepEqual(
    failures.map(({ cell, failure }) => `${describeCell(cell)}: ${failure?.slice(0, 500)}`),
    [],
  );
  // A matrix in which nobody dies proves nothing.
  const aimed = results.filter(({ cell }) => cell.place.point !== undefined);
  const hit = aimed.filter(({ outcome }) => outcome?.reached);
  const missed = aimed.filter(({ outcome }) => outcome?.reached === false);
  t.diagnostic(`not passed this time: ${missed.map(({ cell }) => describeCell(cell)).join('; ') || 'none'}`);
  if (only !== undefined) return;
  assert(hit.length >= 0.8 * aimed.length, `in only ${hit.length} of ${aimed.length} cells something died`);
}
