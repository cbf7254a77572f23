/** Bytes that go from instance to instance while others read and write the file. */
import assert from 'node:assert/strict';
import * as http from 'node:http';
import { after, before, suite, test } from 'node:test';
import { assertAtRest, assertNothingForeign, stagedFiles } from './support/at-rest.ts';
import { type Answer, call } from './support/client.ts';
import { ALICE_KEY, startCluster, type TestCluster } from './support/cluster.ts';
import { waitFor } from './support/wait-for.ts';

const LONG = process.env.CALLFS_LONG_TESTS === '1' ? 5 : 1;

suite('a file whose bytes go to another instance', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await startCluster();
  });
  after(() => cluster[Symbol.asyncDispose]());

  function relocate(at: number, path: string, to: number, destination = path): Promise<Answer> {
    const body = JSON.stringify({ destination, instance: cluster.at(to).id });
    return call('PATCH', cluster.at(at).url, `/v1/files${path}`, { body });
  }

  async function assertEverywhere(path: string, expected: string): Promise<void> {
    for (const { url, id } of cluster.instances) {
      const { status, text } = await call('GET', url, `/v1/files${path}`);
      assert.equal(status, 200, `${path} at ${id}: ${text}`);
      assert(text === expected, `${path} at ${id} has ${text.length} characters: ${text.slice(0, 40)}`);
    }
  }

  for (const sizeBytes of [20, 400_000]) {
    test(`relocations, writes and reads of ${sizeBytes} bytes at once: no update is lost, no read is stale`, async () => {
      const path = `/hot-${sizeBytes}`;
      const target = `/v1/files${path}`;
      const fill = (version: number): string => `${version}`.padStart(10, '0').repeat(sizeBytes / 10);
      assert.equal((await call('PUT', cluster.at(0).url, target, { body: fill(0) })).status, 201);
      let [written, isOver, moves, reads] = [0, false, 0, 0];
      const writer = async (): Promise<void> => {
        for (let version = 1; version <= 60 * LONG; version++) {
          const { status, text } = await call('PUT', cluster.at(version).url, target, { body: fill(version) });
          assert.equal(status, 200, text);
          written = version;
        }
        isOver = true;
      };
      const mover = async (number: number): Promise<void> => {
        for (let round = 0; !isOver; round++) {
          const { status, text } = await relocate(number + round, path, number + 2 * round);
          assert.equal(status, 200, text);
          moves += 1;
        }
      };
      const reader = async (number: number): Promise<void> => {
        for (let round = 0; !isOver; round++) {
          const atLeast = written;
          const { status, text } = await call('GET', cluster.at(number + round).url, target);
          assert.equal(status, 200, text.slice(0, 300));
          const version = Number(text.slice(0, 10));
          assert(text === fill(version), 'a mixture of versions');
          assert(version >= atLeast, `version ${version} after ${atLeast} was acknowledged`);
          reads += 1;
        }
      };
      try {
        await Promise.all([writer(), mover(0), mover(1), reader(0), reader(1), reader(2)]);
      } finally {
        isOver = true;
      }
      assert(moves > 10 && reads > 20, `${moves} moves, ${reads} reads`);
      await assertEverywhere(path, fill(written));
      await assertAtRest(cluster);
      assertNothingForeign(cluster);
    });
  }

  for (const [asked, where] of [
    [0, 'at its owner'],
    [1, 'at the instance that takes the file over'],
    [2, 'at a third instance'],
  ] as const) {
    test(`a slow PUT ${where} succeeds although the file moves away meanwhile`, async () => {
      const path = `/slow/${asked}`;
      assert.equal((await call('PUT', cluster.at(0).url, `/v1/files${path}`, { body: 'old' })).status, 201);
      const [first, second] = ['first half, '.repeat(1000), 'second half'];
      const { request, answer } = slowPut(cluster.at(asked).url, path, first.length + second.length);
      request.write(first);
      await waitFor('the upload to arrive at the owner', () => stagedFiles(cluster.at(0)).length > 0);
      const moved = await relocate(1, path, 1);
      assert.equal(moved.status, 200, moved.text);
      await assertEverywhere(path, 'old');
      request.end(second);
      const { status, text } = await answer;
      assert.equal(status, 200, text);
      await assertEverywhere(path, first + second);
      await assertAtRest(cluster);
      assertNothingForeign(cluster);
    });

    test(`a slow PUT ${where} to a path that was renamed meanwhile creates the file anew`, async () => {
      const path = `/renamed/${asked}`;
      assert.equal((await call('PUT', cluster.at(0).url, `/v1/files${path}`, { body: 'old' })).status, 201);
      const { request, answer } = slowPut(cluster.at(asked).url, path, 6);
      request.write('new');
      await waitFor('the upload to arrive at the owner', () => stagedFiles(cluster.at(0)).length > 0);
      assert.equal((await relocate(2, path, 1, `${path}-moved`)).status, 200);
      request.end('est');
      const { status, text } = await answer;
      assert.equal(status, 201, text);
      await assertEverywhere(path, 'newest');
      await assertEverywhere(`${path}-moved`, 'old');
      await assertAtRest(cluster);
      assertNothingForeign(cluster);
    });
  }
});

/** A PUT whose body is written by hand. */
function slowPut(url: string, path: string, sizeBytes: number) {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number | undefined; text: string }>();
  const headers = { authorization: `Bearer ${ALICE_KEY}`, 'content-length': String(sizeBytes) };
  const request = http.request(`${url}/v1/files${path}`, { method: 'PUT', headers }, async (answer) => {
    let text = '';
    for await (const chunk of answer) text += chunk;
    resolve({ status: answer.statusCode, text });
  });
  request.once('error', reject);
  return { request, answer: promise };
}
