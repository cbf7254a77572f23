/** One cell of the kill matrix: one change, during which one instance dies at one point, and all that must hold afterwards. */
import assert from 'node:assert/strict';
import type { FaultAnswer, FaultCommand } from '../../src/cli/fault-injection.ts';
import { openCheck } from '../../src/compose/offline.ts';
import { openStore } from '../../src/compose/store.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { FaultAction, FaultPoint } from '../../src/core/fault-point.ts';
import { checkInstance } from '../../src/engine/check-instance.ts';
import type { MetadataStore } from '../../src/metadata/metadata-store.ts';
import { assertAtRest, assertNothingForeign, type Listed, listTree, stagedFiles } from './at-rest.ts';
import { type Answer, call } from './client.ts';
import { ADMIN_KEY, type TestCluster, type TestInstance } from './cluster.ts';
import { type ExpectedTree, type Operation, ROLES, type Role } from './crash-operations.ts';
import { startStaticCluster } from './member.ts';
import { waitFor } from './wait-for.ts';

/** A fault point, or any moment of the work: so many milliseconds after the request was sent. */
export type Place =
  | { readonly point: FaultPoint; readonly occurrence: number }
  | { readonly point: undefined; readonly afterMs: number };

export interface Cell {
  readonly operation: Operation;
  readonly victim: Role;
  readonly place: Place;
}

/** How something is made to crash when the victim comes to the point. */
export interface Strike {
  readonly action: FaultAction;
  readonly hasHit: (victim: TestInstance) => boolean;
  /** Resolves when everything runs again. */
  readonly recover: (cluster: TestCluster, victim: TestInstance) => Promise<void>;
}

/** The victim itself dies. */
export const KILL: Strike = {
  action: 'kill',
  hasHit: (victim) => !victim.isRunning,
  async recover(cluster, victim) {
    await victim.start();
    await waitForPeers(cluster);
  },
};

/** The victim dies, and once more at a point of its recovery, or when it has recovered if it does not come to the point. */
export function killTwice(point: FaultPoint): Strike {
  return {
    ...KILL,
    async recover(cluster, victim) {
      await victim.start({ CALLFS_FAULT_POINT: point }).catch(() => {});
      await victim.kill();
      await KILL.recover(cluster, victim);
    },
  };
}

/** A cluster for one cell after the other, and its store as the test sees it. */
export class CrashLane implements AsyncDisposable {
  readonly cluster: TestCluster;
  readonly store: MetadataStore;

  private constructor(cluster: TestCluster, store: MetadataStore) {
    this.cluster = cluster;
    this.store = store;
  }

  static async open(config: Readonly<Record<string, object>> = {}): Promise<CrashLane> {
    const cluster = await startStaticCluster(3, config, { commanded: true });
    try {
      await waitForPeers(cluster);
      const { config: read } = loadConfig({ file: cluster.at(0).configFile, env: {} });
      return new CrashLane(cluster, await openStore(read));
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  instance(role: Role): TestInstance {
    return instanceOf(this.cluster, role);
  }

  /** Nothing is staged, and no disk has to follow anything. */
  async isAtRest(): Promise<boolean> {
    if (this.cluster.instances.some((instance) => stagedFiles(instance).length > 0)) return false;
    return (await this.store.listWholeOutbox(undefined, 1)).length === 0;
  }

  waitForRest(): Promise<unknown> {
    return waitFor('the disks to have followed the namespace', () => this.isAtRest(), 30_000);
  }

  async makeFolder(home: string): Promise<void> {
    const { status, text } = await call('POST', this.cluster.at(0).url, `/v1/files${home}`);
    assert.equal(status, 201, text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store[Symbol.asyncDispose]();
    await this.cluster[Symbol.asyncDispose]();
  }
}

export interface CellOutcome {
  /** Whether the victim came to the point. */
  readonly reached: boolean;
  /** The status that the client got; undefined: the connection broke. */
  readonly status: number | undefined;
  /** Whether the change is there in the end. */
  readonly happened: boolean;
}

export function describeCell({ operation, victim, place }: Cell): string {
  const where = place.point ? `at ${place.point} (${place.occurrence})` : `after ${place.afterMs.toFixed(2)} ms`;
  return `${operation.name}, ${victim} ${where}`;
}

const instanceOf = (cluster: TestCluster, role: Role): TestInstance => cluster.at(ROLES.indexOf(role));

export async function tell(instance: TestInstance, command: FaultCommand): Promise<FaultAnswer['counts']> {
  return ((await instance.command(command)) as FaultAnswer).counts;
}

/** An answer that says that it was done; anything else leaves open what became of it. */
function acknowledged(answer: Answer | undefined): boolean {
  return answer !== undefined && answer.status < 300;
}

export async function runCell(lane: CrashLane, home: string, cell: Cell, strike: Strike): Promise<CellOutcome> {
  const { cluster } = lane;
  const victim = lane.instance(cell.victim);
  await lane.makeFolder(home);
  const change = await cell.operation.prepare(cluster, home);
  await lane.waitForRest();
  const takeBack = await takeAim(victim, cell.place, strike);
  let answered = false;
  const sent = change
    .send()
    .catch(() => undefined)
    .finally(() => {
      answered = true;
    });
  const isOver = async (): Promise<boolean> => strike.hasHit(victim) || (answered && (await lane.isAtRest()));
  await waitFor('the victim to come to the point, or the end of its work', isOver);
  const reached = await hasHitAfterAll(victim, strike, takeBack);
  if (reached) await strike.recover(cluster, victim);
  const answer = await sent;
  assert(!answer || answer.status < 300 || answer.status >= 500, `${answer?.status} ${answer?.text}`);
  assert(reached || acknowledged(answer), `nothing happened, and the answer is ${answer?.status} ${answer?.text}`);
  const happened = await assertWhollyOrNot(cluster, home, change, answer);
  await lane.waitForRest();
  assert.equal(await assertWhollyOrNot(cluster, home, change, answer), happened, 'it changed its mind');
  await assertSound(cluster);
  return { reached, status: answer?.status, happened };
}

/** @returns what takes it back as far as nothing has happened yet */
async function takeAim(victim: TestInstance, place: Place, { action }: Strike): Promise<() => Promise<unknown>> {
  if (place.point !== undefined) {
    await tell(victim, { arm: { point: place.point, occurrence: place.occurrence, action } });
    return () => tell(victim, { arm: null });
  }
  const timer = setTimeout(() => victim.signal(action === 'kill' ? 'SIGKILL' : 'SIGSTOP'), place.afterMs);
  return () => {
    clearTimeout(timer);
    return tell(victim, { arm: null });
  };
}

/** Whether it came to the point at the last moment; afterwards it will not. */
async function hasHitAfterAll(victim: TestInstance, { hasHit }: Strike, takeBack: () => Promise<unknown>) {
  let safe = false;
  if (!hasHit(victim)) {
    takeBack().then(
      () => {
        safe = true;
      },
      () => {},
    );
  }
  await waitFor('the victim to be safe or hit', () => safe || hasHit(victim));
  return hasHit(victim);
}

/** Every instance answers every other one's questions again. */
export async function waitForPeers(cluster: TestCluster): Promise<void> {
  for (const { id, url } of cluster.instances) {
    const seesAll = async (): Promise<boolean> => {
      const { status, text } = await call('GET', url, '/v1/cluster', { key: ADMIN_KEY });
      if (status !== 200) return false;
      const { instances } = JSON.parse(text) as { instances: { state: string }[] };
      return instances.every(({ state }) => state === 'up');
    };
    await waitFor(`${id} to see all others`, seesAll);
  }
}

export interface Judged {
  readonly before: ExpectedTree;
  readonly after: ExpectedTree;
}

/** Every instance shows the same, and that is all of the state before or all of the state after. @returns whether it is the latter */
export async function assertWhollyOrNot(
  cluster: TestCluster,
  home: string,
  { before, after }: Judged,
  answer: Answer | undefined,
): Promise<boolean> {
  let happened: boolean | undefined;
  for (const reader of cluster.instances) {
    const found = await listTree(reader, home);
    const isAfter = hasShape(cluster, home, found, after);
    assert(isAfter || hasShape(cluster, home, found, before), `neither before nor after: ${JSON.stringify(found)}`);
    happened ??= isAfter && (await hasBytes(reader, home, after));
    if (acknowledged(answer)) assert(happened, `it was acknowledged and did not happen: ${JSON.stringify(found)}`);
    const expected = happened ? after : before;
    assert(hasShape(cluster, home, found, expected), `${reader.id} shows another state than the others`);
    await assertBytes(reader, home, expected, found, answer);
  }
  return happened === true;
}

function hasShape(cluster: TestCluster, home: string, found: readonly Listed[], expected: ExpectedTree): boolean {
  if (found.length !== Object.keys(expected).length) return false;
  return found.every(({ path, type, etag, instance_id }) => {
    const entry = expected[path.slice(home.length)];
    if (!entry || (entry.body === undefined) !== (type === 'directory')) return false;
    if (entry.etag !== undefined && entry.etag !== etag) return false;
    return entry.holder === undefined || instanceOf(cluster, entry.holder).id === instance_id;
  });
}

/** Tells a file that was replaced from one that was not: they have the same place. */
async function hasBytes({ url }: TestInstance, home: string, expected: ExpectedTree): Promise<boolean> {
  for (const [path, { body }] of Object.entries(expected)) {
    if (body !== undefined && (await call('GET', url, `/v1/files${home}${path}`)).text !== body) return false;
  }
  return true;
}

async function assertBytes(
  reader: TestInstance,
  home: string,
  expected: ExpectedTree,
  found: readonly Listed[],
  answer: Answer | undefined,
): Promise<void> {
  for (const [path, { body, etag }] of Object.entries(expected)) {
    if (body === undefined) continue;
    const got = await call('GET', reader.url, `/v1/files${home}${path}`);
    assert.equal(got.status, 200, `${path} at ${reader.id}: ${got.text.slice(0, 200)}`);
    assert(got.text === body, `wrong bytes in ${path} at ${reader.id}`);
    const listed = found.find((entry) => entry.path === home + path);
    assert.equal(got.headers.etag, listed?.etag, `${path} at ${reader.id}`);
    const told = etag ?? (acknowledged(answer) ? answer?.json().etag : undefined);
    // An answer about a directory tells no tag.
    if (typeof told === 'string') assert.equal(got.headers.etag, told, `${path} at ${reader.id}`);
  }
}

/** Disks equal the namespace, nothing is lost or found, and `fsck` has nothing to say. */
export async function assertSound(cluster: TestCluster): Promise<void> {
  await assertAtRest(cluster);
  assertNothingForeign(cluster);
  for (const { configFile } of cluster.instances) {
    const { config } = loadConfig({ file: configFile, env: {} });
    await using opened = await openCheck(config, { claim: false, excluded: [] });
    for (const context of opened.contexts) {
      const { findings, served } = await checkInstance(context, { under: undefined, deep: true, onProgress() {} });
      assert.deepEqual(findings, []);
      assert(served);
    }
  }
}
