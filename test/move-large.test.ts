/** A directory of many files of all instances gets another name, while readers walk through it. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { filesOnDisk } from './support/at-rest.ts';
import { call } from './support/client.ts';
import { startCluster, type TestCluster } from './support/cluster.ts';
import { run } from './support/command.ts';
import { median, timedCall } from './support/timing.ts';
import { waitFor } from './support/wait-for.ts';

const LONG = process.env.CALLFS_LONG_TESTS === '1';
const FILES = LONG ? 100_000 : 3000;
const ROUNDS = 5;
/** Until every instance serves the new path; with time to spare on a machine that runs other tests. */
const VISIBLE_WITHIN_MS = LONG ? 100 : 2000;
const PAGE = LONG ? 10_000 : 500;

suite(`a directory of ${FILES} files over three instances`, () => {
  let cluster: TestCluster;
  let name = 'big';
  before(async () => {
    cluster = await startCluster();
    for (const [at, instance] of cluster.instances.entries()) {
      const folder = join(instance.dataRoot, 'top', name, `of-${at}`);
      for (let number = 0; number * 3 < FILES; number++) {
        if (number % 500 === 0) mkdirSync(join(folder, `${number / 500}`), { recursive: true });
        writeFileSync(join(folder, `${Math.floor(number / 500)}`, `file-${number}`), `${at} ${number}`);
      }
      await adopt(instance.configFile);
    }
  });
  after(() => cluster[Symbol.asyncDispose]());

  const read = (at: number, path: string) => call('GET', cluster.at(at).url, `/v1/files/top/${path}`);
  const rename = async (at: number, to: string): Promise<number> => {
    const body = JSON.stringify({ name: to });
    const { status, text, ms } = await timedCall('PATCH', cluster.at(at).url, `/v1/files/top/${name}`, { body });
    assert.equal(status, 200, text);
    name = to;
    return ms;
  };

  test('is renamed in one short step, and the disks follow', async (t) => {
    assert.equal((await read(0, `${name}/of-1/0/file-7`)).text, '1 7');
    const times: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const [from, startedAt] = [name, performance.now()];
      const renamedMs = await rename(round, `renamed-${round}`);
      const answers = await Promise.all([0, 1, 2].map((at) => read(at, `${name}/of-${(at + 1) % 3}/0/file-7`)));
      times.push(performance.now() - startedAt);
      for (const [at, { text }] of answers.entries()) assert.equal(text, `${(at + 1) % 3} 7`);
      for (const at of [0, 1, 2]) assert.equal((await read(at, `${from}/of-${at}/0/file-7`)).status, 404);
      for (const instance of cluster.instances) {
        const isThere = (path: string) => path.startsWith(`/top/${name}/`);
        await waitFor('the disk to follow', () => filesOnDisk(instance).every(isThere), 60_000);
      }
      const onDisksMs = Math.round(performance.now() - startedAt);
      t.diagnostic(
        `renamed in ${Math.round(renamedMs)} ms, served by all after ${Math.round(times.at(-1) ?? 0)} ms, on all disks after ${onDisksMs} ms`,
      );
    }
    assert(median(times) < VISIBLE_WITHIN_MS, `${times.map(Math.round)} ms`);
    assert.equal(cluster.instances.flatMap((instance) => filesOnDisk(instance)).length, 3 * Math.ceil(FILES / 3));
  });

  test('is seen by eight readers under its old name or under its new one, with all it has', async (t) => {
    let isOver = false;
    let [walks, repeated] = [0, 0];
    const streamed = async (at: number): Promise<string[]> => {
      const headers = { accept: 'application/x-ndjson' };
      const target = '/v1/directories/top?recursive=true';
      const { status, text } = await call('GET', cluster.at(at).url, target, { headers });
      assert.equal(status, 200, text.slice(0, 300));
      // Parsing each line would take the client so long that the server gives its connection up.
      return Array.from(text.matchAll(/"path":"([^"]*)"/g), ([, path = '']) => path);
    };
    /** Begins again when an entry has got another path between two pages. */
    const paged = async (at: number): Promise<string[]> => {
      for (; ; repeated++) {
        const paths: string[] = [];
        let cursor = '';
        let version: unknown;
        do {
          const target = `/v1/directories/top?recursive=true&limit=${PAGE}&cursor=${cursor}`;
          const answer = await call('GET', cluster.at(at).url, target);
          assert.equal(answer.status, 200, answer.text.slice(0, 300));
          const seen = answer.headers['x-callfs-paths-version'];
          version ??= seen;
          if (seen !== version) break;
          const { items, next_cursor: next } = answer.json() as {
            items: { path: string }[];
            next_cursor: string | null;
          };
          paths.push(...items.map(({ path }) => path));
          if (next === null) return paths;
          cursor = next;
        } while (!isOver);
        if (isOver) return [];
      }
    };
    const directories = 1 + 3 * (1 + Math.ceil(FILES / 3 / 500));
    const reader = async (number: number): Promise<void> => {
      while (!isOver) {
        const paths = await (number % 2 === 0 ? streamed : paged)(number);
        if (paths.length === 0 && isOver) return;
        const names = new Set(paths.map((path) => path.split('/')[2]));
        assert.equal(names.size, 1, `names ${[...names]}`);
        assert.equal(paths.length, 3 * Math.ceil(FILES / 3) + directories);
        assert.equal(new Set(paths).size, paths.length);
        walks += 1;
      }
    };
    const readers = Array.from({ length: 8 }, (_, number) => reader(number));
    try {
      for (let round = 0; round < ROUNDS; round++) {
        for (const step of ['a', 'z', 'm']) await rename(round, `${step}-${round}`);
        const enough = walks + 8;
        await Promise.race([waitFor('the readers to walk on', () => isOver || walks >= enough, 300_000), ...readers]);
      }
    } finally {
      isOver = true;
      await Promise.all(readers);
    }
    t.diagnostic(`${walks} whole walks, ${repeated} begun again between two pages`);
  });
});

async function adopt(configFile: string): Promise<void> {
  const { exitCode, stdout, stderr } = await run(['adopt', '--config', configFile, '--owner', 'alice'], {
    patienceMs: 600_000,
  });
  assert.equal(exitCode, 0, stdout + stderr);
}
