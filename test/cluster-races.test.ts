/** Concurrent requests for the same names, on three real instances. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { assertAtRest, assertNoOrphans, assertNothingForeign, listTree } from './support/at-rest.ts';
import { type Answer, call } from './support/client.ts';
import { startCluster, type TestCluster } from './support/cluster.ts';

const RACERS = 8;
const [ROUNDS, INCREMENTS] = process.env.CALLFS_LONG_TESTS === '1' ? [500, 100] : [60, 25];

suite('requests that race each other over three instances', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await startCluster();
  });
  after(() => cluster[Symbol.asyncDispose]());

  /** The same request sent at once by every racer, spread over the instances. */
  function race(round: number, send: (url: string, racer: number) => Promise<Answer>): Promise<Answer[]> {
    return Promise.all(Array.from({ length: RACERS }, (_, racer) => send(cluster.at(round + racer).url, racer)));
  }

  async function assertContentEverywhere(target: string, body: string, etag: unknown): Promise<void> {
    for (const { url, id } of cluster.instances) {
      const got = await call('GET', url, target);
      assert.equal(got.status, 200, `${target} at ${id}`);
      assert.equal(got.text, body, `${target} at ${id}`);
      assert.equal(got.headers['content-length'], String(Buffer.byteLength(body)));
      assert.equal(got.headers.etag, etag, `${target} at ${id}`);
    }
  }

  test('of eight simultaneous POSTs of a new path one wins and the others name the winner', async () => {
    for (let round = 0; round < 200; round++) {
      const target = `/v1/files/posts/round-${round}.txt`;
      const bodies = Array.from({ length: RACERS }, (_, racer) => bodyOf(round, racer));
      const answers = await race(round, (url, racer) => call('POST', url, target, { body: bodies[racer] ?? '' }));
      const winners = answers.filter(({ status }) => status === 201);
      assert.equal(winners.length, 1, `round ${round}: ${statuses(answers)}`);
      const [winner] = winners;
      assert(winner);
      const owner = winner.headers['x-callfs-instance-id'];
      for (const loser of answers) {
        if (loser === winner) continue;
        assert.equal(loser.status, 409, `round ${round}: ${statuses(answers)}`);
        const { instance_id, code, existing_path } = loser.json();
        assert.deepEqual(
          { instance_id, code, existing_path },
          { instance_id: owner, code: 'FILE_ALREADY_EXISTS', existing_path: `/posts/round-${round}.txt` },
        );
      }
      const body = bodies[answers.indexOf(winner)] ?? '';
      await assertContentEverywhere(target, body, winner.headers.etag);
    }
  });

  test('of eight simultaneous PUTs of a new path one creates, all succeed, and one content is left everywhere', async () => {
    for (let round = 0; round < 200; round++) {
      const target = `/v1/files/puts/round-${round}.txt`;
      const bodies = Array.from({ length: RACERS }, (_, racer) => bodyOf(round, racer));
      const answers = await race(round, (url, racer) => call('PUT', url, target, { body: bodies[racer] ?? '' }));
      const created = answers.filter(({ status }) => status === 201).length;
      const replaced = answers.filter(({ status }) => status === 200).length;
      assert.deepEqual(
        { created, replaced },
        { created: 1, replaced: RACERS - 1 },
        `round ${round}: ${statuses(answers)}`,
      );
      const { etag } = (await call('HEAD', cluster.at(round).url, target)).headers;
      const last = answers.findIndex(({ headers }) => headers.etag === etag);
      assert.notEqual(last, -1, `round ${round}: the ETag is none of those that were answered`);
      await assertContentEverywhere(target, bodies[last] ?? '', etag);
    }
  });

  test('fifty files are created at once in directories that do not exist yet', async () => {
    for (let round = 0; round < 8; round++) {
      const directory = `/deep-${round}/a/b/c/d`;
      const names = Array.from({ length: 50 }, (_, number) => `file-${number}`);
      const answers = await Promise.all(
        names.map((name, number) =>
          call('POST', cluster.at(number).url, `/v1/files${directory}/${name}`, { body: name }),
        ),
      );
      assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([201]), statuses(answers));
      const wanted = names.map((name) => `${directory}/${name}`).sort();
      for (const instance of cluster.instances) {
        const listed = await listTree(instance, `/deep-${round}`);
        assert.deepEqual(
          listed.filter(({ type }) => type === 'file').map(({ path }) => path),
          wanted,
        );
        assert.equal(listed.filter(({ type }) => type === 'directory').length, 4);
      }
    }
    await assertNoOrphans(cluster);
  });

  test('a directory is not removed under a file that is being created in it', async () => {
    const outcomes = new Set<number>();
    for (let round = 0; round < 100; round++) {
      const directory = `/v1/files/removed-${round}`;
      assert.equal((await call('POST', cluster.at(round).url, `${directory}/`)).status, 201);
      const removing = call('DELETE', cluster.at(round + 1).url, directory);
      const creating = [0, 1, 2].map((number) =>
        call('POST', cluster.at(number).url, `${directory}/file-${number}`, { body: `${round}-${number}` }),
      );
      const { status, text } = await removing;
      outcomes.add(status);
      assert(status === 204 || (status === 409 && text.includes('DIRECTORY_NOT_EMPTY')), `${status} ${text}`);
      for (const [number, created] of (await Promise.all(creating)).entries()) {
        assert.equal(created.status, 201, created.text);
        await assertContentEverywhere(`${directory}/file-${number}`, `${round}-${number}`, created.headers.etag);
      }
    }
    await assertNoOrphans(cluster);
    assert(outcomes.has(204) || outcomes.has(409));
  });

  test('a created file is lost only to a recursive removal that came after it', async () => {
    for (let round = 0; round < 60; round++) {
      const directory = `/v1/files/tree-${round}`;
      assert.equal((await call('POST', cluster.at(round).url, `${directory}/sub/before`, { body: 'x' })).status, 201);
      let removedAt = Number.POSITIVE_INFINITY;
      const removing = call('DELETE', cluster.at(round + 1).url, `${directory}?recursive=true`).then((answer) => {
        removedAt = performance.now();
        assert.equal(answer.status, 204, answer.text);
      });
      const writers = [0, 1, 2].map(async (writer) => {
        const written: { name: string; body: string; startedAt: number; etag: unknown }[] = [];
        for (let number = 0; number < 4; number++) {
          const [name, body, startedAt] = [
            `sub/w${writer}-${number}`,
            `${round}-${writer}-${number}`,
            performance.now(),
          ];
          const created = await call('POST', cluster.at(writer).url, `${directory}/${name}`, { body });
          assert.equal(created.status, 201, created.text);
          written.push({ name, body, startedAt, etag: created.headers.etag });
        }
        return written;
      });
      const [written] = await Promise.all([Promise.all(writers), removing]);
      for (const { name, body, startedAt, etag } of written.flat()) {
        const target = `${directory}/${name}`;
        const { status } = await call('HEAD', cluster.at(round).url, target);
        if (status === 200) {
          await assertContentEverywhere(target, body, etag);
          continue;
        }
        assert(startedAt < removedAt, `${target} was created after the removal and is gone`);
        for (const { url } of cluster.instances) assert.equal((await call('GET', url, target)).status, 404);
      }
    }
    await assertNoOrphans(cluster);
  });

  test('of eight PUTs with If-None-Match: * one creates and seven fail their condition', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const target = `/v1/files/once/round-${round}`;
      const headers = { 'if-none-match': '*' };
      const answers = await race(round, (url, racer) =>
        call('PUT', url, target, { headers, body: bodyOf(round, racer) }),
      );
      const winner = answers.findIndex(({ status }) => status === 201);
      const failed = answers.filter(({ status }) => status === 412);
      assert.equal(failed.length, RACERS - 1, `round ${round}: ${statuses(answers)}`);
      assert.deepEqual(new Set(failed.map((answer) => answer.json().code)), new Set(['PRECONDITION_FAILED']));
      await assertContentEverywhere(target, bodyOf(round, winner), answers[winner]?.headers.etag);
    }
  });

  test('of eight PUTs with If-Match that have read the same content one replaces it and seven fail', async () => {
    const target = '/v1/files/read-modify-write';
    let { headers } = await call('PUT', cluster.at(0).url, target, { body: 'first' });
    for (let round = 0; round < ROUNDS; round++) {
      const condition = { 'if-match': String(headers.etag) };
      const answers = await race(round, (url, racer) =>
        call('PUT', url, target, { headers: condition, body: bodyOf(round, racer) }),
      );
      const winner = answers.findIndex(({ status }) => status === 200);
      const failed = answers.filter(({ status }) => status === 412);
      assert.equal(failed.length, RACERS - 1, `round ${round}: ${statuses(answers)}`);
      headers = answers[winner]?.headers ?? {};
      await assertContentEverywhere(target, bodyOf(round, winner), headers.etag);
    }
  });

  test('a counter kept with If-Match loses no increment of eight writers', async () => {
    const target = '/v1/files/counter';
    assert.equal((await call('PUT', cluster.at(1).url, target, { body: '0' })).status, 201);
    await Promise.all(
      Array.from({ length: 8 }, async (_, writer) => {
        for (let number = 0; number < INCREMENTS; number++) await increment(cluster.at(writer).url, target);
      }),
    );
    for (const { url } of cluster.instances)
      assert.equal((await call('GET', url, target)).text, String(8 * INCREMENTS));
  });

  for (const sizeBytes of [16, 300_000]) {
    test(`contents of ${sizeBytes} bytes that replace each other quickly are never mixed`, async () => {
      const target = `/v1/files/replaced-${sizeBytes}`;
      const fill = (tag: string): string => tag.repeat(sizeBytes / tag.length);
      const first = await call('PUT', cluster.at(0).url, target, { body: fill('0000') });
      const bodies = new Map([[first.headers.etag, fill('0000')]]);
      const seen: { etag: unknown; text: string; length: unknown }[] = [];
      let writing = true;
      const readers = cluster.instances.map(async ({ url }) => {
        while (writing) {
          const { status, headers, text } = await call('GET', url, target);
          assert.equal(status, 200, text.slice(0, 200));
          seen.push({ etag: headers.etag, text, length: headers['content-length'] });
        }
      });
      const writers = cluster.instances.map(async ({ url }, writer) => {
        for (let number = 1; number <= 40; number++) {
          const body = fill(String(1000 * (writer + 1) + number));
          const { status, headers } = await call('PUT', url, target, { body });
          assert.equal(status, 200);
          bodies.set(headers.etag, body);
        }
      });
      await Promise.all(writers).finally(() => {
        writing = false;
      });
      await Promise.all(readers);
      assert.equal(bodies.size, 121, 'every content has an ETag of its own');
      for (const { etag, text, length } of seen) {
        assert.equal(length, String(sizeBytes));
        assert(bodies.get(etag as string) === text, `the body under ETag ${etag} is not the one written with it`);
      }
    });
  }

  test('in the end the disks hold what the namespace says, and nothing was taken for foreign', async () => {
    await assertAtRest(cluster);
    await assertNoOrphans(cluster);
    assertNothingForeign(cluster);
  });
});

/** In even rounds all racers' bodies have the same length. */
function bodyOf(round: number, racer: number): string {
  return round % 2 === 0 ? `round ${round} racer ${racer}` : `racer ${racer} `.repeat(racer + 1);
}

function statuses(answers: readonly Answer[]): string {
  return answers.map(({ status }) => status).join(' ');
}

async function increment(url: string, target: string): Promise<void> {
  for (;;) {
    const { text, headers } = await call('GET', url, target);
    const condition = { 'if-match': String(headers.etag) };
    const { status } = await call('PUT', url, target, { headers: condition, body: String(Number(text) + 1) });
    if (status === 200) return;
    assert.equal(status, 412);
  }
}
