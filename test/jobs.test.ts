/** Work that goes on after its client was answered: told, cancelled, lost with its instance, ended by a stop. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { assertAtRest, assertNothingForeign, listTree } from './support/at-rest.ts';
import { type Answer, call } from './support/client.ts';
import { ADMIN_KEY, BOB_KEY, startCluster, type TestCluster } from './support/cluster.ts';
import { assertNothingUnseen, unseenEntries } from './support/unseen.ts';
import { waitFor } from './support/wait-for.ts';

const ASYNC = { prefer: 'respond-async' };
/** Enough that copying them takes a moment. */
const FILES = 400;

suite('jobs', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await startCluster();
    const files = Array.from({ length: FILES }, (_, file) => file).values();
    const lane = async (): Promise<void> => {
      for (const file of files) await put(file, `/many/${file % 7}/f${file}`, `bytes of ${file}`);
    };
    await Promise.all([lane(), lane(), lane(), lane(), lane(), lane()]);
  });
  after(() => cluster[Symbol.asyncDispose]());

  async function put(at: number, path: string, body: string): Promise<void> {
    const answer = await call('PUT', cluster.at(at).url, `/v1/files${path}`, { body });
    assert.equal(answer.status, 201, answer.text);
  }

  function begin(at: number, path: string, change: object, key?: string): Promise<Answer> {
    const options = { body: JSON.stringify(change), headers: ASYNC };
    return call('PATCH', cluster.at(at).url, `/v1/files${path}`, key === undefined ? options : { ...options, key });
  }

  function look(at: number, job: string, key?: string): Promise<Answer> {
    return call('GET', cluster.at(at).url, job, key === undefined ? {} : { key });
  }

  async function ended(at: number, job: string): Promise<Record<string, unknown>> {
    return waitFor(
      'the job to end',
      async () => {
        const answer = await look(at, job);
        assert.equal(answer.status, 200, answer.text);
        return answer.json().state === 'running' ? undefined : answer.json();
      },
      60_000,
    );
  }

  function locationOf(accepted: Answer): string {
    assert.equal(accepted.status, 202, accepted.text);
    assert.equal(accepted.headers['preference-applied'], 'respond-async');
    const location = String(accepted.headers.location);
    assert.equal(location, `/v1/jobs/${accepted.json().id}`);
    return location;
  }

  const filesBelow = async (path: string) =>
    (await listTree(cluster.at(1), path)).filter(({ type }) => type === 'file');

  test('copy a directory while its client looks from any instance, and tell the entry in the end', async () => {
    const accepted = await begin(1, '/many', { destination: '/copy', copy: true });
    const job = locationOf(accepted);
    const { kind, state, path, progress, started_at, finished_at } = accepted.json();
    assert.deepEqual([kind, state, path, finished_at], ['copy', 'running', '/many', null]);
    assert.deepEqual(progress, { files_done: 0, files_total: 0, bytes_done: 0, bytes_total: 0 });
    assert.match(String(started_at), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    const done = await ended(2, job);
    assert.equal(done.state, 'done', JSON.stringify(done));
    const counts = done.progress as Record<string, number>;
    assert.deepEqual([counts.files_done, counts.files_total], [FILES, FILES]);
    assert(counts.bytes_done === counts.bytes_total && (counts.bytes_done ?? 0) > FILES * 10);
    const result = done.result as Record<string, unknown>;
    assert.deepEqual([result.path, result.type], ['/copy', 'directory']);
    assert.equal((await filesBelow('/copy')).length, FILES);
    assert.notEqual(done.finished_at, null);
  });

  test('are shown to their owner and admins only, listed for their owner, and forgotten on request', async () => {
    const job = locationOf(await begin(0, '/copy', { destination: '/copy-2' }));
    const done = await ended(1, job);
    assert.equal((done.result as { path: string }).path, '/copy-2');
    assert.equal((await look(2, job, BOB_KEY)).status, 403);
    assert.equal((await look(2, job, ADMIN_KEY)).status, 200);
    assert.equal((await call('DELETE', cluster.at(2).url, job, { key: BOB_KEY })).status, 403);
    const list = (await look(2, '/v1/jobs')).json().jobs as { id: string }[];
    assert.equal(`/v1/jobs/${list[0]?.id}`, job);
    assert.equal(list.length, 2);
    assert.deepEqual((await look(1, '/v1/jobs', BOB_KEY)).json(), { jobs: [] });
    assert.equal((await call('DELETE', cluster.at(2).url, job)).status, 204);
    assert.equal((await look(0, job)).status, 404);
    assert.equal((await look(0, '/v1/jobs/none')).json().code, 'NOT_FOUND');
    assert.equal((await call('GET', cluster.at(0).url, '/v1/jobs', { key: null })).status, 401);
  });

  test('remove a tree, and a file goes through its owner', async () => {
    await put(2, '/single', 'x');
    const url = cluster.at(0).url;
    const tree = await call('DELETE', url, '/v1/files/copy-2?recursive=true', { headers: ASYNC });
    const done = await ended(2, locationOf(tree));
    assert.equal(done.state, 'done');
    assert((done.result as { removed: number }).removed >= FILES);
    const copied = await begin(0, '/single', { destination: '/single-copy', copy: true, instance: 'callfs-2' });
    assert.equal(((await ended(0, locationOf(copied))).result as { instance_id: string }).instance_id, 'callfs-2');
    const plain = await call('DELETE', url, '/v1/files/single-copy', { headers: ASYNC });
    assert.equal(plain.status, 204);
    await assertAtRest(cluster);
  });

  test('are not begun when they would be refused at once; what turns up later is told as a failure', async () => {
    assert.equal((await begin(0, '/none', { destination: '/x', copy: true })).status, 404);
    assert.equal((await begin(0, '/many', { destination: '/many/below', copy: true })).status, 400);
    assert.equal((await begin(1, '/single', { destination: '/many', copy: true })).status, 409);
    assert.equal((await begin(1, '/many', { mode: '0755' })).status, 200);
    await put(1, '/many/closed', 'x');
    await call('PATCH', cluster.at(1).url, '/v1/files/many/closed', { body: '{"mode":"0600"}' });
    const job = locationOf(await begin(1, '/many', { destination: '/of-bob', copy: true }, BOB_KEY));
    const failed = await waitFor('the job to end', async () => {
      const answer = (await look(2, job, BOB_KEY)).json();
      return answer.state === 'running' ? undefined : answer;
    });
    assert.equal(failed.state, 'failed');
    assert.equal((failed.error as { code: string }).code, 'PERMISSION_DENIED');
    await call('DELETE', cluster.at(1).url, '/v1/files/many/closed');
    await assertNothingUnseen(cluster);
  });

  test('end when they are cancelled at another instance, and leave nothing half', async () => {
    const job = locationOf(await begin(0, '/many', { destination: '/cancelled', copy: true }));
    await waitFor('the copy to begin', async () => (await unseenEntries(cluster)).length > 3);
    const cancelled = await call('DELETE', cluster.at(2).url, job);
    assert([202, 204].includes(cancelled.status), cancelled.text);
    assert.equal(cancelled.json().cancelling, true);
    const end = await ended(1, job);
    assert.equal(end.state, 'cancelled');
    assert.equal((await call('GET', cluster.at(1).url, '/v1/files/cancelled')).status, 404);
    await assertNothingUnseen(cluster);
    await assertAtRest(cluster);
    assertNothingForeign(cluster);
  });

  test('move the bytes of a directory; cancelled, what was moved stays moved, and the same request goes on', async () => {
    const before = await filesBelow('/many');
    const job = locationOf(await begin(2, '/many', { instance: 'callfs-1' }));
    await waitFor('some to be moved', async () => {
      const { progress } = (await look(1, job)).json();
      return (progress as { files_done: number }).files_done > 0;
    });
    await call('DELETE', cluster.at(0).url, job);
    const end = await ended(1, job);
    assert(['cancelled', 'done'].includes(String(end.state)));
    assert.equal((await filesBelow('/many')).length, before.length);
    const again = await ended(0, locationOf(await begin(1, '/many', { instance: 'callfs-1' })));
    assert.equal(again.state, 'done', JSON.stringify(again));
    const moved = await filesBelow('/many');
    assert(moved.every(({ instance_id }) => instance_id === 'callfs-1'));
    assert.deepEqual(
      moved.map(({ path, etag }) => [path, etag]),
      before.map(({ path, etag }) => [path, etag]),
    );
    await assertAtRest(cluster);
    assertNothingForeign(cluster);
  });

  test('whose instance is killed have failed, everywhere, and nothing of them stays', async () => {
    const job = locationOf(await begin(1, '/many', { destination: '/killed', copy: true }));
    await waitFor('the copy to begin', async () => (await unseenEntries(cluster)).length > 3);
    await cluster.at(1).kill();
    const lost = await ended(2, job);
    assert.equal(lost.state, 'failed');
    assert.match(String((lost.error as { message: string }).message), /instance that ran it stopped; repeat/);
    assert.equal((await call('GET', cluster.at(2).url, '/v1/files/killed')).status, 404);
    await cluster.at(1).start();
    assert.equal((await ended(1, job)).state, 'failed');
    await assertNothingUnseen(cluster);
    await assertAtRest(cluster);
    assertNothingForeign(cluster);
    const again = await ended(0, locationOf(await begin(1, '/many', { destination: '/killed', copy: true })));
    assert.equal(again.state, 'done');
    assert.equal((await filesBelow('/killed')).length, FILES);
  });

  test('end soon when their instance is stopped, and say so', async () => {
    const job = locationOf(await begin(1, '/many', { destination: '/stopped', copy: true }));
    await waitFor('the copy to begin', async () => (await unseenEntries(cluster)).length > 3);
    const startedAt = performance.now();
    assert.equal(await cluster.at(1).stop(), 0);
    assert(performance.now() - startedAt < 30_000);
    const end = await ended(2, job);
    assert.equal(end.state, 'failed');
    assert.match(String((end.error as { message: string }).message), /stopped; repeat the request/);
    await assertNothingUnseen(cluster);
    await cluster.at(1).start();
    await assertAtRest(cluster);
    assertNothingForeign(cluster);
  });
});
