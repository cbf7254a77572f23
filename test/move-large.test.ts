/** A directory of many files of all instances gets another name. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { filesOnDisk } from './support/at-rest.ts';
import { call } from './support/client.ts';
import { startCluster } from './support/cluster.ts';
import { run } from './support/command.ts';
import { timedCall } from './support/timing.ts';
import { waitFor } from './support/wait-for.ts';

const FILES = process.env.CALLFS_LONG_TESTS === '1' ? 100_000 : 3000;

test(`a directory of ${FILES} files over three instances is renamed in one short step, and the disks follow`, async (t) => {
  await using cluster = await startCluster();
  for (const [at, instance] of cluster.instances.entries()) {
    const folder = join(instance.dataRoot, 'big', `of-${at}`);
    for (let number = 0; number * 3 < FILES; number++) {
      if (number % 500 === 0) mkdirSync(join(folder, `${number / 500}`), { recursive: true });
      writeFileSync(join(folder, `${Math.floor(number / 500)}`, `file-${number}`), `${at} ${number}`);
      if (number % 5000 === 4999 || (number + 1) * 3 >= FILES) await adopt(instance.configFile);
    }
  }
  const read = (at: number, path: string) => call('GET', cluster.at(at).url, `/v1/files${path}`);
  assert.equal((await read(0, '/big/of-1/0/file-7')).text, '1 7');
  let [from, to] = ['big', 'renamed'];
  for (let round = 0; round < 4; round++) {
    const body = JSON.stringify({ destination: `/${to}` });
    const renamed = await timedCall('PATCH', cluster.at(round).url, `/v1/files/${from}`, { body });
    assert.equal(renamed.status, 200, renamed.text);
    const startedAt = performance.now();
    for (const at of [0, 1, 2]) {
      assert.equal((await read(at + 1, `/${to}/of-${at}/0/file-7`)).text, `${at} 7`);
      assert.equal((await read(at + 2, `/${from}/of-${at}/0/file-7`)).status, 404);
    }
    for (const instance of cluster.instances) {
      await waitFor(
        'the disk to follow',
        () => filesOnDisk(instance).every((path) => path.startsWith(`/${to}/`)),
        60_000,
      );
    }
    t.diagnostic(
      `renamed in ${Math.round(renamed.ms)} ms, on all disks after ${Math.round(performance.now() - startedAt)} ms`,
    );
    assert(renamed.ms < 2000, `${renamed.ms} ms`);
    [from, to] = [to, `${to}-again`];
  }
  assert.equal(cluster.instances.flatMap((instance) => filesOnDisk(instance)).length, 3 * Math.ceil(FILES / 3));
});

async function adopt(configFile: string): Promise<void> {
  const { exitCode, stdout, stderr } = await run(['adopt', '--config', configFile, '--owner', 'alice']);
  assert.equal(exitCode, 0, stdout + stderr);
}
