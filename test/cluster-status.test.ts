/** The cluster as an administrator sees it, by HTTP, by metrics and by the command line, while instances come and go. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, suite, test } from 'node:test';
import { call } from './support/client.ts';
import { ADMIN_KEY, startCluster, type TestCluster, type TestInstance } from './support/cluster.ts';
import { run } from './support/command.ts';
import { freePorts, listenAnywhere, newMember, startStaticCluster } from './support/member.ts';
import { waitFor } from './support/wait-for.ts';

interface Row {
  readonly id: string;
  readonly endpoint: string | null;
  readonly public_url: string | null;
  readonly state: string;
  readonly since: string | null;
  readonly last_seen: string | null;
  readonly version: string | null;
  readonly files: number;
  readonly bytes: number;
  readonly free_bytes: number | null;
  readonly backends: readonly string[];
}

async function rowsOf({ url }: TestInstance): Promise<Row[]> {
  const answer = await call('GET', url, '/v1/cluster', { key: ADMIN_KEY });
  assert.equal(answer.status, 200, answer.text);
  return answer.json().instances as Row[];
}

async function rowOf(witness: TestInstance, id: string): Promise<Row> {
  const row = (await rowsOf(witness)).find((instance) => instance.id === id);
  assert(row, `${witness.id} does not list ${id}`);
  return row;
}

/** Waits until every witness says so; resolves to what the last one said. */
async function waitForState(witnesses: readonly TestInstance[], id: string, state: string): Promise<Row> {
  let row: Row | undefined;
  for (const witness of witnesses) {
    await waitFor(`${witness.id} to see ${id} ${state}`, async () => {
      row = await rowOf(witness, id);
      return row.state === state;
    });
  }
  assert(row);
  return row;
}

/** The gauge `callfs_peer_up` by instance id, as one instance tells it. */
async function peersUp({ url }: TestInstance): Promise<Record<string, number>> {
  const { text } = await call('GET', url, '/metrics');
  const samples = text.matchAll(/^callfs_peer_up\{instance_id="([^"]+)"\} (\d)$/gm);
  return Object.fromEntries([...samples].map(([, id = '', value]) => [id, Number(value)]));
}

/** Whole seconds, so a moment may seem up to a second earlier than it was. */
function assertBetween(moment: string | null, fromMs: number, toMs: number): void {
  assert.match(moment ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  const atMs = Date.parse(moment ?? '');
  assert(atMs >= fromMs - 1000 && atMs <= toMs, `${moment} is not between ${new Date(fromMs)} and ${new Date(toMs)}`);
}

suite('GET /v1/cluster', { timeout: 120_000 }, () => {
  const startedAtMs = Date.now();
  let cluster: TestCluster;
  before(async () => {
    cluster = await startCluster();
  });
  after(() => cluster[Symbol.asyncDispose]());

  test('is for administrators: others get 403, and without a key 401', async () => {
    const { url } = cluster.at(0);
    const denied = await call('GET', url, '/v1/cluster');
    assert.equal(denied.status, 403);
    assert.equal(denied.json().code, 'PERMISSION_DENIED');
    assert.equal((await call('GET', url, '/v1/cluster', { key: null })).status, 401);
    assert.equal((await call('POST', url, '/v1/cluster', { key: ADMIN_KEY })).headers.allow, 'GET, HEAD, OPTIONS');
  });

  test('lists all instances with what they hold, at each of them', async () => {
    for (const [index, { url }] of cluster.instances.entries()) {
      const answer = await call('PUT', url, `/v1/files/of-${index}.txt`, { body: 'x'.repeat(10 * (index + 1)) });
      assert.equal(answer.status, 201);
    }
    for (const instance of cluster.instances) {
      const answer = await call('GET', instance.url, '/v1/cluster', { key: ADMIN_KEY });
      const { instance_id, version, store } = answer.json();
      assert.equal(instance_id, instance.id);
      assert.deepEqual(store, { type: process.env.CALLFS_TEST_STORE ?? 'sqlite' });
      for (const [index, row] of (answer.json().instances as Row[]).entries()) {
        const { since, last_seen, free_bytes, ...rest } = row;
        const { id, url: endpoint } = cluster.at(index);
        const held = { files: 1, bytes: 10 * (index + 1), backends: ['localfs'] };
        assert.deepEqual(rest, { id, endpoint, public_url: null, state: 'up', version, ...held });
        if (id === instance.id) assert.ok(typeof free_bytes === 'number' && free_bytes > 0);
        else assert.equal(free_bytes, null, 'only the instance itself knows');
        assertBetween(since, startedAtMs, Date.now());
        assertBetween(last_seen, startedAtMs, Date.now());
      }
    }
  });

  test('a killed instance is down since then and up after its restart; one that was stopped is stopped', async () => {
    const [a, b, c] = [cluster.at(0), cluster.at(1), cluster.at(2)];
    const killedAtMs = Date.now();
    await b.kill();
    const down = await waitForState([c, a], b.id, 'down');
    assertBetween(down.since, killedAtMs, Date.now());
    assert.deepEqual(
      (await rowsOf(a)).map(({ state }) => state),
      ['up', 'down', 'up'],
    );
    assert.deepEqual(await peersUp(a), { [b.id]: 0, [c.id]: 1 });
    assert.deepEqual((await rowOf(a, b.id)).since, down.since, 'stays the same while it is down');

    const restartedAtMs = Date.now();
    await b.start();
    const up = await waitForState([c, a], b.id, 'up');
    assertBetween(up.since, restartedAtMs, Date.now());
    assert.equal(up.endpoint, b.url);
    for (const witness of [a, c]) {
      await waitFor(`the metrics of ${witness.id}`, async () => (await peersUp(witness))[b.id] === 1);
    }
    assert.equal((await call('GET', a.url, '/v1/files/of-1.txt')).status, 200);

    const stoppedAtMs = Date.now();
    assert.equal(await b.stop(), 0);
    const stopped = await waitForState([c, a], b.id, 'stopped');
    // It may have beaten last a second before.
    assertBetween(stopped.since, stoppedAtMs - 2000, Date.now());
    await waitFor('the metrics', async () => (await peersUp(a))[b.id] === 0);
    await b.start();
    await waitForState([a, c], b.id, 'up');
  });

  test('an instance that starts while another is down says so at once, since its last heartbeat', async () => {
    const [a, b] = [cluster.at(0), cluster.at(1)];
    const { last_seen } = await rowOf(a, b.id);
    assert(last_seen);
    await b.kill();
    const newcomer = newMember(cluster, 'callfs-new');
    await using _running = newcomer;
    await newcomer.start();
    const row = await rowOf(newcomer, b.id);
    assert.equal(row.state, 'down');
    assert.equal(row.since, row.last_seen);
    assert(String(row.last_seen) >= last_seen);
    await newcomer.stop();
    await b.start();
    await waitForState([a], b.id, 'up');
  });
});

suite('callfs cluster status', { timeout: 60_000 }, () => {
  test('prints a table, or what the instance answers as JSON', async () => {
    await using cluster = await startStaticCluster(2);
    const [a, b] = [cluster.at(0), cluster.at(1)];
    assert.equal((await call('PUT', a.url, '/v1/files/a.txt', { body: 'hello' })).status, 201);
    await b.kill();
    await waitForState([a], b.id, 'down');
    const shown = await run(['cluster', 'status', '--config', a.configFile]);
    assert.deepEqual([shown.exitCode, shown.stderr], [0, '']);
    const lines = shown.stdout.split('\n');
    assert.match(lines[0] ?? '', /^INSTANCE +STATE +SINCE +LAST SEEN +VERSION +FILES +BYTES +ENDPOINT$/);
    assert.match(lines[1] ?? '', /^callfs-1 +up +\S+Z +\S+Z +\S+ +1 +5 +http:\/\/127\.0\.0\.1:\d+$/);
    assert.match(lines[2] ?? '', /^callfs-2 +down +\S+Z +\S+Z +\S+ +0 +0 +http:\/\/127\.0\.0\.1:\d+$/);
    assert.match(lines[4] ?? '', /^Seen by callfs-1 \(.*\): 1 up, 1 down\.$/);
    const { exitCode, stdout } = await run(['cluster', 'status', '--json', '--config', a.configFile]);
    assert.equal(exitCode, 0);
    const answer = JSON.parse(stdout) as { readonly instance_id: string; readonly instances: readonly Row[] };
    assert.equal(answer.instance_id, a.id);
    assert.deepEqual(
      answer.instances.map(({ id, state }) => [id, state]),
      [
        ['callfs-1', 'up'],
        ['callfs-2', 'down'],
      ],
    );
  });

  test('says on one line why it cannot tell', async () => {
    await using cluster = await startCluster({ instances: 1 });
    const refusal = async (config: Readonly<Record<string, object>>, reason: RegExp): Promise<void> => {
      const { configFile } = newMember(cluster, `callfs-${reason.source.length}`, config);
      const { exitCode, stdout, stderr } = await run(['cluster', 'status', '-c', configFile]);
      assert.deepEqual([exitCode, stdout], [1, '']);
      assert.match(stderr, reason);
      assert.match(stderr, /^callfs: [^\n]+\n$/, 'one line');
      assert(!stderr.includes(ADMIN_KEY));
    };
    const [free] = await freePorts(1);
    const at = (port: number | undefined) => ({ server: { listen_addr: `127.0.0.1:${port}` } });
    const { port } = new URL(cluster.at(0).url);
    await refusal({}, /listen_addr has port 0/);
    await refusal(at(free), new RegExp(`No instance answers at http://127\\.0\\.0\\.1:${free} \\(ECONNREFUSED\\)`));
    await refusal({ ...at(Number(port)), auth: { users: {} } }, /auth\.api_key_users has no key of a user with admin/);
    const auth = { api_key_users: { admin: 'another-key-of-the-admin' } };
    await refusal({ ...at(Number(port)), auth }, /does not accept the key/);
    const stranger = createServer((_request, response) => response.end('hello'));
    const strangersPort = await listenAnywhere(stranger);
    try {
      await refusal(at(strangersPort), /is not a CallFS instance/);
    } finally {
      stranger.close();
      stranger.closeAllConnections();
    }
  });
});
