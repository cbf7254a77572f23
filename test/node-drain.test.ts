/** An instance is drained while clients do everything at all instances, and while commands and instances are killed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertAtRest, assertNothingForeign } from './support/at-rest.ts';
import { call } from './support/client.ts';
import { ADMIN_KEY, startCluster, type TestCluster, type TestInstance } from './support/cluster.ts';
import { run } from './support/command.ts';
import { heldBy, RunningDrain } from './support/drain.ts';
import { MixedLoad } from './support/mixed-load.ts';
import { waitFor } from './support/wait-for.ts';

const IS_LONG = process.env.CALLFS_LONG_TESTS === '1';
const FILES = IS_LONG ? 5000 : 300;
const PATIENCE_MS = IS_LONG ? 600_000 : 60_000;

async function startLoaded(seed: number): Promise<{ cluster: TestCluster; load: MixedLoad }> {
  const cluster = await startCluster();
  const load = new MixedLoad(cluster, { perSecond: 50, seed });
  await load.populate(cluster.at(2), 'loaded', FILES);
  load.start();
  return { cluster, load };
}

/** What every drain must leave behind: all bytes, on the disks where they belong, and nothing at the drained instance. */
async function assertDrained(cluster: TestCluster, load: MixedLoad): Promise<void> {
  await load.stop();
  await load.verify();
  assert.deepEqual(load.complaints, []);
  assert.deepEqual(await heldBy(cluster, cluster.at(2)), { files: 0, directories: 0 });
  await assertAtRest(cluster);
  assertNothingForeign(cluster);
  for (const { id, configFile } of cluster.instances) {
    const { exitCode, stdout, stderr } = await run(['fsck', '--config', configFile]);
    assert.equal(exitCode, 0, `fsck of ${id}: ${stdout}${stderr}`);
  }
}

async function waitForFilesLeft(cluster: TestCluster, atMost: number): Promise<void> {
  const isReached = async () => (await heldBy(cluster, cluster.at(2))).files <= atMost;
  await waitFor(`only ${atMost} files to be left`, isReached, PATIENCE_MS);
}

/** Kills an instance and starts it again; requests that need it may fail until all others see it up. */
async function restart(cluster: TestCluster, load: MixedLoad, instance: TestInstance): Promise<void> {
  load.outages.add(instance);
  await instance.kill();
  await instance.start();
  for (const witness of cluster.instances) {
    await waitFor(`${witness.id} to see ${instance.id}`, async () => {
      const answer = await call('GET', witness.url, '/v1/cluster', { key: ADMIN_KEY });
      const rows = answer.json().instances as { id: string; state: string; endpoint: string }[];
      return rows.some(({ id, state, endpoint }) => {
        return id === instance.id && endpoint === instance.url && (state === 'up' || state === 'draining');
      });
    });
  }
  load.outages.delete(instance);
}

test('under load no request fails, no answer is stale, and in the end the instance holds nothing', async () => {
  const { cluster, load } = await startLoaded(1);
  await using _cluster = cluster;
  await using drain = new RunningDrain(cluster.at(2), cluster.at(0));
  const ended = await drain.ended;
  assert.deepEqual([ended.exitCode, ended.stderr], [0, ''], ended.stdout);
  assert.match(ended.stdout, /callfs-3 holds nothing any more/);
  const before = load.done;
  await waitFor('requests after the drain', () => load.done > before + 50);
  await assertDrained(cluster, load);
});

test('a killed command, target and drained instance lose nothing, and the drain goes on', async () => {
  const { cluster, load } = await startLoaded(2);
  await using _cluster = cluster;
  {
    await using killed = new RunningDrain(cluster.at(2), cluster.at(0));
    await waitForFilesLeft(cluster, FILES * 0.85);
    await killed.end('SIGKILL');
  }
  await using drain = new RunningDrain(cluster.at(2), cluster.at(2), ['--parallel', '2']);
  await waitForFilesLeft(cluster, FILES * 0.6);
  await restart(cluster, load, cluster.at(1));
  await waitForFilesLeft(cluster, FILES * 0.3);
  await restart(cluster, load, cluster.at(2));
  const ended = await drain.ended;
  // It goes on when the instances are back soon enough; otherwise it says how to.
  if (ended.exitCode !== 0) {
    assert.equal(ended.exitCode, 3, ended.stderr);
    assert.match(ended.stdout, /Go on: callfs node drain callfs-3/);
    await using again = new RunningDrain(cluster.at(2), cluster.at(0));
    const { exitCode, stdout, stderr } = await again.ended;
    assert.equal(exitCode, 0, stdout + stderr);
  }
  await assertDrained(cluster, load);
});
