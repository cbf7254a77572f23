/** Renames and moves that race readers, writers and each other, on three real instances. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { assertAtRest, assertNoOrphans, assertNothingForeign, listTree } from './support/at-rest.ts';
import { type Answer, type CallOptions, call } from './support/client.ts';
import { startCluster, type TestCluster } from './support/cluster.ts';
import { clusterFiles } from './support/cluster-files.ts';
import { run } from './support/command.ts';
import { timedCall } from './support/timing.ts';

const LONG = process.env.CALLFS_LONG_TESTS === '1' ? 5 : 1;

suite('moves that race over three instances', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await startCluster();
  });
  after(() => cluster[Symbol.asyncDispose]());
  const { put, patch } = clusterFiles(() => cluster);

  function get(at: number, path: string): Promise<Answer> {
    return call('GET', cluster.at(at).url, `/v1/files${path}`);
  }

  /** As long as `work` goes on, every one of `others` is done again and again. */
  async function during(work: Promise<unknown>, others: readonly (() => Promise<void>)[]): Promise<void> {
    let isOver = false;
    const repeat = async (other: () => Promise<void>): Promise<void> => {
      while (!isOver) await other();
    };
    const over = work.finally(() => {
      isOver = true;
    });
    await Promise.all([over, ...others.map(repeat)]);
  }

  test('readers of directories that are renamed to and fro see them whole, here or there, and the right bytes', async () => {
    const FILES = 12;
    const [tree, names] = ['/readers', ['one', 'two']] as const;
    for (const name of names) {
      for (let file = 0; file < FILES; file++)
        await put(file, `${tree}/${name}/deep/${file % 4}/f${file}`, `${name} ${file}`);
    }
    let [reads, found, slowestMs] = [0, 0, 0];
    const listing = (at: number) => async (): Promise<void> => {
      const listed = await listTree(cluster.at(at), tree);
      const tops = new Map<string, string[]>();
      for (const { path, type } of listed) {
        const [, , top = '', ...below] = path.split('/');
        if (type === 'file') tops.set(top, [...(tops.get(top) ?? []), below.join('/')]);
      }
      for (const [top, files] of tops) {
        assert.equal(files.length, FILES, `${top} of ${[...tops.keys()]} at ${cluster.at(at).id}`);
      }
    };
    const reading = (reader: number) => async (): Promise<void> => {
      for (const top of ['one', 'two', 'spare']) {
        const file = (reader * 5 + reads) % FILES;
        const { status, text, ms } = await timedCall(
          'GET',
          cluster.at(reader).url,
          `/v1/files${tree}/${top}/deep/${file % 4}/f${file}`,
        );
        reads += 1;
        slowestMs = Math.max(slowestMs, ms);
        assert(status === 200 || status === 404, `${status} ${text}`);
        if (status === 404) continue;
        found += 1;
        assert(text === `one ${file}` || text === `two ${file}`, `/${top}: ${text} in place of file ${file}`);
      }
    };
    const renaming = async (): Promise<void> => {
      for (let round = 0; round < 60 * LONG; round++) {
        // Two directories change places over a third name, each step at another instance.
        for (const [step, [from, to]] of Object.entries([
          ['one', 'spare'],
          ['two', 'one'],
          ['spare', 'two'],
        ])) {
          const { status, text } = await patch(round + Number(step), `${tree}/${from}`, { name: to });
          assert.equal(status, 200, text);
        }
      }
    };
    const readers = [0, 1, 2, 3, 4].map(reading);
    await during(renaming(), [...readers, listing(0), listing(1), listing(2)]);
    // Of the three names two are there at any moment, but readers and renames may fall into step.
    assert(found > reads / 10, `${found} of ${reads} reads found a file`);
    assert(slowestMs < 5000, `a read took ${slowestMs} ms`);
    for (const name of names) {
      for (let file = 0; file < FILES; file++) {
        assert.equal((await get(file, `${tree}/${name}/deep/${file % 4}/f${file}`)).text, `${name} ${file}`);
      }
    }
    await assertAtRest(cluster);
    assertNothingForeign(cluster);
  });

  test('writers of all kinds under directories that move lose nothing that was acknowledged', async () => {
    const DIRECTORIES = ['a', 'b', 'c'];
    const unexpected: string[] = [];
    let operations = 0;
    const send = async (
      method: string,
      at: number,
      path: string,
      options: CallOptions,
      expected: readonly number[],
    ) => {
      const answer = await call(method, cluster.at(at).url, `/v1/files/load/${path}`, options);
      operations += 1;
      if (!expected.includes(answer.status)) unexpected.push(`${method} ${path}: ${answer.status} ${answer.text}`);
      return answer;
    };
    /** The file that only this writer touches: its last acknowledged bytes, in whichever directory it is now. */
    const last = new Map<string, string>();
    const writer = async (number: number): Promise<void> => {
      for (let round = 0; round < 60 * LONG; round++) {
        const at = number + round;
        const [name, body] = [`w${number}`, `${number} of ${round} `.repeat(1 + (round % 3) * 400)];
        const directory = DIRECTORIES[(number + round) % 3] ?? '';
        if (round % 7 === 6) {
          // A name that others want, too.
          await send('POST', at, `${directory}/shared-${round}`, { body }, [201, 409]);
          await send('DELETE', at + 1, `${directory}/shared-${round}`, {}, [204, 404]);
          await send(
            'PATCH',
            at + 2,
            `${directory}/shared-${round}`,
            { body: '{"name":"other","overwrite":true}' },
            [200, 404, 409],
          );
          continue;
        }
        await writeOwn(at, name, body);
      }
    };
    /** Replaces the writer's file where it is, or creates it in its own place. */
    const writeOwn = async (at: number, name: string, body: string): Promise<void> => {
      const { status } = await send('PUT', at, `own/${name}`, { body }, [200, 201]);
      if (status < 300) last.set(name, body);
      const options = { body: JSON.stringify({ destination: `/load/own/moving-${name}` }) };
      const moved = await send('PATCH', at + 1, `own/${name}`, options, [200]);
      if (moved.status !== 200) return;
      const again = await send('PUT', at + 2, `own/moving-${name}`, { body: `${body}!` }, [200]);
      if (again.status === 200) last.set(name, `${body}!`);
      const instance = cluster.at(at).id;
      const back = { body: JSON.stringify({ destination: `/load/own/${name}`, instance }) };
      await send('PATCH', at, `own/moving-${name}`, back, [200]);
    };
    const mover = async (number: number): Promise<void> => {
      for (let round = 0; round < 40 * LONG; round++) {
        const [from = '', to = ''] = [DIRECTORIES[(number + round) % 3], DIRECTORIES[(number + round + 1) % 3]];
        await send(
          'PATCH',
          number + round,
          from,
          { body: JSON.stringify({ name: `${to}-moved-${number}` }) },
          [200, 404, 409],
        );
        await send(
          'PATCH',
          number + round + 1,
          `${to}-moved-${number}`,
          { body: JSON.stringify({ name: from }) },
          [200, 404, 409],
        );
      }
    };
    await Promise.all([...[0, 1, 2, 3, 4, 5].map(writer), mover(0), mover(1)]);
    assert.deepEqual(unexpected.slice(0, 5), [], `${unexpected.length} of ${operations}`);
    for (const [name, body] of last) {
      for (const { url, id } of cluster.instances) {
        assert.equal((await call('GET', url, `/v1/files/load/own/${name}`)).text, body, `${name} at ${id}`);
      }
    }
    await assertAtRest(cluster);
    assertNothingForeign(cluster);
    await assertNoOrphans(cluster);
    for (const { configFile } of cluster.instances) {
      const { exitCode, stdout, stderr } = await run(['fsck', '--config', configFile]);
      assert.equal(exitCode, 0, stdout + stderr);
    }
  });

  test('directories that are moved into each other at once never vanish in a circle', async () => {
    for (let round = 0; round < 30 * LONG; round++) {
      const top = `/circles/${round}`;
      for (const name of ['a', 'b', 'c']) await put(round, `${top}/${name}/file`, name);
      const steps: readonly [string, string][] = [
        ['a', 'b/a'],
        ['b', 'c/b'],
        ['c', 'a/c'],
      ];
      const answers = await Promise.all(
        steps.map(([from, to], at) => patch(round + at, `${top}/${from}`, { destination: `${top}/${to}` })),
      );
      for (const { status, text } of answers) assert([200, 400, 404].includes(status), `${status} ${text}`);
      const files = (await listTree(cluster.at(round), top)).filter(({ type }) => type === 'file');
      assert.equal(files.length, 3, answers.map(({ status }) => status).join(' '));
    }
    await assertAtRest(cluster);
    assertNothingForeign(cluster);
  });

  test('of many files that are renamed to one name at once exactly one gets it', async () => {
    for (let round = 0; round < 30 * LONG; round++) {
      const racers = Array.from({ length: 6 }, (_, racer) => racer);
      await Promise.all(racers.map((racer) => put(racer, `/names/${round}/r${racer}`, `racer ${racer}`)));
      const answers = await Promise.all(
        racers.map((racer) => patch(racer + round, `/names/${round}/r${racer}`, { name: 'wanted' })),
      );
      const winners = racers.filter((racer) => answers[racer]?.status === 200);
      assert.equal(winners.length, 1, answers.map(({ status }) => status).join(' '));
      for (const { status, text } of answers) assert(status === 200 || status === 409, text);
      assert.equal((await get(round, `/names/${round}/wanted`)).text, `racer ${winners[0]}`);
      for (const racer of racers) {
        assert.equal((await get(round, `/names/${round}/r${racer}`)).status, racer === winners[0] ? 404 : 200);
      }
    }
    await assertAtRest(cluster);
  });
});
