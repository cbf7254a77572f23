/** Wall clocks that go back and forth by hours: nobody dies of it, nothing is lost, and refusals say what is wrong. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { assertAtRest, assertNothingForeign } from './support/at-rest.ts';
import { call } from './support/client.ts';
import { ADMIN_KEY, startCluster, type TestCluster, type TestInstance } from './support/cluster.ts';
import { run } from './support/command.ts';
import { newMember } from './support/member.ts';
import { waitFor } from './support/wait-for.ts';

const HOUR_MS = 3_600_000;
const SKEWED = 'failed to proxy request to owning server: the clocks of the two instances differ by more than 60 s';

/** The wall clock of an instance that is started with `env`. */
class JumpingClock {
  readonly #file: string;

  constructor(cluster: TestCluster) {
    this.#file = join(cluster.folder, 'clock');
    this.set(0);
  }

  get env(): NodeJS.ProcessEnv {
    const module = new URL('support/jumping-clock.ts', import.meta.url).href;
    return { NODE_OPTIONS: `--import=${module}`, JUMPING_CLOCK: this.#file };
  }

  /** For the next start. */
  set(offsetMs: number): void {
    writeFileSync(this.#file, String(offsetMs));
  }

  /** Now, in the running instance; resolves when its heartbeat shows the new time. */
  async jump(instance: TestInstance, offsetMs: number, witness: TestInstance): Promise<void> {
    this.set(offsetMs);
    instance.signal('SIGUSR2');
    const isSeen = async (): Promise<boolean> => {
      const lastSeenMs = Date.parse(String((await rowOf(witness, instance.id)).last_seen));
      return Math.abs(lastSeenMs - (Date.now() + offsetMs)) < 30_000;
    };
    await waitFor(`the heartbeat of ${instance.id} after the jump`, isSeen);
  }
}

async function rowOf({ url }: TestInstance, id: string): Promise<Record<string, unknown>> {
  const answer = await call('GET', url, '/v1/cluster', { key: ADMIN_KEY });
  const rows = answer.json().instances as Record<string, unknown>[];
  return rows.find((row) => row.id === id) ?? {};
}

suite('a clock that jumps', { timeout: 120_000 }, () => {
  let cluster: TestCluster;
  let steady: TestInstance;
  let jumping: TestInstance;
  let clock: JumpingClock;
  before(async () => {
    cluster = await startCluster({ instances: 2 });
    [steady, jumping] = [cluster.at(0), cluster.at(1)];
    clock = new JumpingClock(cluster);
    await jumping.stop();
    await jumping.start(clock.env);
    for (const { id, url } of cluster.instances) {
      assert.equal((await call('PUT', url, `/v1/files/of-${id}.txt`, { body: 'first' })).status, 201);
    }
  });
  after(() => cluster[Symbol.asyncDispose]());

  for (const [direction, offsetMs] of [
    ['forth', 5 * HOUR_MS],
    ['back', -5 * HOUR_MS],
  ] as const) {
    test(`${direction}: each goes on with its own files, between them 502 names the clocks, and right again all is well`, async () => {
      await clock.jump(jumping, offsetMs, steady);
      for (const instance of cluster.instances) {
        const own = `/v1/files/of-${instance.id}.txt`;
        const put = await call('PUT', instance.url, own, { body: direction });
        assert.equal(put.status, 200, put.text);
        assert.equal((await call('GET', instance.url, own)).text, direction);
        const modified = { 'if-unmodified-since': new Date(Date.now() + 24 * HOUR_MS).toUTCString() };
        assert.equal((await call('GET', instance.url, own, { headers: modified })).status, 200);
        const created = await call('POST', instance.url, `/v1/files/${direction}/${instance.id}`, { body: 'new' });
        assert.equal(created.status, 201, created.text);
        assert.equal((await rowOf(instance, jumping.id)).state, 'up');
      }
      for (const [asked, owner] of [
        [steady, jumping],
        [jumping, steady],
      ] as const) {
        for (const method of ['GET', 'PUT'] as const) {
          const body = method === 'PUT' ? { body: 'lost' } : {};
          const refused = await call(method, asked.url, `/v1/files/of-${owner.id}.txt`, body);
          assert.equal(refused.status, 502);
          const { code, message, instance_id } = refused.json();
          assert.deepEqual([code, message, instance_id], ['PROXY_ERROR', SKEWED, owner.id]);
        }
      }
      await clock.jump(jumping, 0, steady);
      for (const { url } of cluster.instances) {
        for (const { id } of cluster.instances) {
          assert.equal((await call('GET', url, `/v1/files/of-${id}.txt`)).text, direction);
          assert.equal((await call('GET', url, `/v1/files/${direction}/${id}`)).text, 'new');
        }
      }
      for (const instance of cluster.instances) assert(instance.isRunning);
      await assertAtRest(cluster);
      assertNothingForeign(cluster);
    });

    test(`${direction}, between a crash and the next start: the start is not refused`, async () => {
      await jumping.kill();
      clock.set(offsetMs);
      await jumping.start(clock.env);
      assert.equal((await call('GET', jumping.url, `/v1/files/of-${jumping.id}.txt`)).status, 200);
      await clock.jump(jumping, 0, steady);
    });

    test(`${direction}: a second process with the id of a live one is refused, and the live one goes on`, async () => {
      const second = newMember(cluster, 'callfs-second', { instance_discovery: { instance_id: steady.id } });
      clock.set(offsetMs);
      const ended = await run(['server', '--config', second.configFile], { env: clock.env });
      clock.set(0);
      assert.equal(ended.exitCode, 1);
      assert.match(ended.stderr, /instance_discovery\.instance_id: callfs-1 is carried by another running instance/);
      const { last_seen } = await rowOf(steady, steady.id);
      await waitFor('the next heartbeat', async () => (await rowOf(steady, steady.id)).last_seen !== last_seen);
      assert(steady.isRunning);
    });
  }
});
