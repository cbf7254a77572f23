/** Files and trees go between a disk and a bucket and between instances, again and again, while clients read and instances die. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { assertBucketAtRest, filesOnDisk, type Listed, listTree, lostFiles, ownedFiles } from './support/at-rest.ts';
import { type Answer, call } from './support/client.ts';
import type { TestInstance } from './support/cluster.ts';
import { run } from './support/command.ts';
import { DiskAndBucket } from './support/disk-and-bucket.ts';
import { startRadosgw, UNLESS_RADOSGW } from './support/radosgw.ts';
import type { TestS3 } from './support/test-s3.ts';
import { queryStore } from './support/test-store.ts';
import { waitFor } from './support/wait-for.ts';

const IS_LONG = process.env.CALLFS_LONG_TESTS === '1';
const MOVES = IS_LONG ? 500 : 60;
const FOLDERS = 4;
const FILES_EACH = 5;
const READERS = 4;
/** Read at once, and read while it is sent on. */
const SIZES = [3000, 40_000, 400_000];
const PLACES = [
  { instance: 'keeper', backend: 's3' },
  { instance: 'keeper', backend: 'localfs' },
  { instance: 'callfs-1', backend: 'localfs' },
] as const;
const target = (path: string): string => `/v1/files${path}`;

suite('moves between a disk and a bucket', { timeout: IS_LONG ? 1_200_000 : 240_000, skip: UNLESS_RADOSGW }, () => {
  let s3: TestS3;
  let both: DiskAndBucket;
  before(async () => {
    s3 = await startRadosgw();
    both = await DiskAndBucket.start(s3);
  });
  after(async () => {
    await both?.[Symbol.asyncDispose]();
    await s3?.[Symbol.asyncDispose]();
  });

  test(`${MOVES} moves under load and two deaths lose no file, and no read fails without a cause`, async (t) => {
    const load = new MovingFiles(both.instances);
    await load.populate(both.keeper);
    const work = load.run();
    for (const [index, victim] of [both.keeper, both.disk].entries()) {
      const due = (MOVES * (index + 1)) / 3;
      await Promise.race([waitFor('moves to be under way', () => load.moves >= due, 600_000), work]);
      await load.dieAndReturn(victim);
    }
    await work;
    t.diagnostic(JSON.stringify(load.counts));
    assert.deepEqual(load.complaints, []);
    assert((load.counts.read ?? 0) >= MOVES);
    await load.verify();
    await assertNothingLeft();
  });

  async function assertNothingLeft(): Promise<void> {
    const tree = await listTree(both.disk);
    assert.equal(tree.filter(({ type }) => type === 'file').length, FOLDERS * FILES_EACH);
    await assertBucketAtRest(both.bucket, tree);
    for (const instance of both.instances) await assertDiskAtRest(instance, tree);
    const left = async () => Number(((await queryStore(both.cluster.folder, LEFT)) as { items: number }[])[0]?.items);
    await waitFor('nothing to be left to do', async () => (await left()) === 0);
    for (const { url, configFile } of both.instances) {
      const jobs = (await call('GET', url, '/v1/jobs')).json().jobs as { state: string }[];
      assert.deepEqual(
        jobs.filter(({ state }) => state === 'running'),
        [],
      );
      const checked = await run(['fsck', '-c', configFile, '--json', '--deep'], { patienceMs: 60_000 });
      assert.equal(checked.exitCode, 0, checked.stdout + checked.stderr);
      assert.deepEqual(JSON.parse(checked.stdout).findings, []);
    }
  }

  async function assertDiskAtRest(instance: TestInstance, tree: readonly Listed[]): Promise<void> {
    const owned = ownedFiles(tree, instance);
    const isAtRest = () => JSON.stringify(filesOnDisk(instance)) === JSON.stringify(owned);
    await waitFor(`the disk of ${instance.id} to follow`, isAtRest).catch(() => {});
    assert.deepEqual(filesOnDisk(instance), owned);
    assert.deepEqual(lostFiles(instance), []);
  }
});

const LEFT = 'SELECT (SELECT COUNT(*) FROM outbox) + (SELECT COUNT(*) FROM notes) AS items';

/** Files whose bytes stay what they are, wherever they are. Each folder has one mover. */
class MovingFiles {
  readonly #instances: readonly TestInstance[];
  readonly #files = new Map<string, Buffer>();
  /** Down, or not known to be back by all. */
  readonly #away = new Set<TestInstance>();
  readonly complaints: string[] = [];
  readonly counts: Record<string, number> = {};
  /** Those that succeeded. */
  moves = 0;
  attempts = 0;
  #isOver = false;
  #turn = 0;

  constructor(instances: readonly TestInstance[]) {
    this.#instances = instances;
  }

  async populate({ url }: TestInstance): Promise<void> {
    for (let number = 0; number < FOLDERS * FILES_EACH; number++) {
      const path = `/folder-${number % FOLDERS}/deep/file-${number}`;
      const body = Buffer.alloc(this.#next(SIZES), `${path} `);
      this.#files.set(path, body);
      const { status, text } = await call('PUT', url, target(path), { body });
      assert.equal(status, 201, text);
    }
  }

  async run(): Promise<void> {
    const readers = Array.from({ length: READERS }, (_, lane) => this.#read(lane));
    const movers = Array.from({ length: FOLDERS }, (_, folder) => this.#move(folder));
    await Promise.all(movers).finally(() => {
      this.#isOver = true;
    });
    await Promise.all(readers);
  }

  async dieAndReturn(victim: TestInstance): Promise<void> {
    this.#away.add(victim);
    await victim.kill();
    const until = this.attempts + 3 * FOLDERS;
    await waitFor('moves to fail or not', () => this.#isOver || this.attempts >= until);
    await victim.start();
    // Those that have its files know its new address up to 2 s late.
    await waitFor(`${victim.id} to be seen`, async () => {
      for (const path of this.#files.keys()) {
        for (const { url } of this.#instances) if ((await call('HEAD', url, target(path))).status !== 200) return false;
      }
      return true;
    });
    this.#away.delete(victim);
  }

  async verify(): Promise<void> {
    for (const [path, body] of this.#files) {
      for (const { url, id } of this.#instances) {
        const answer = await call('GET', url, target(path));
        assert.equal(answer.status, 200, `${path} at ${id}: ${answer.text.slice(0, 300)}`);
        assert(answer.body.equals(body), `${path} at ${id} has other bytes`);
      }
    }
  }

  async #read(lane: number): Promise<void> {
    const paths = [...this.#files.keys()];
    for (let round = lane; !this.#isOver; round++) {
      const path = paths[(round * 7) % paths.length] ?? '';
      const headers: Record<string, string> = round % 3 === 0 ? { range: 'bytes=1000-1999' } : {};
      const answer = await this.#ask('read', 'GET', path, { headers });
      if (!answer) continue;
      const body = this.#files.get(path);
      const expected = headers.range ? body?.subarray(1000, 2000) : body;
      if (!expected || !answer.body.equals(expected)) this.complaints.push(`GET ${path}: wrong bytes`);
    }
  }

  async #move(folder: number): Promise<void> {
    const paths = [...this.#files.keys()].filter((path) => path.startsWith(`/folder-${folder}/`));
    while (this.moves < MOVES) {
      const round = this.attempts++;
      const { instance, backend } = this.#next(PLACES);
      // In turns a file or everything; alone `backend` leaves each file at its instance, which must have it.
      const path = round % 4 === 3 ? `/folder-${folder}` : this.#next(paths);
      const change = backend === 'localfs' && round % 3 === 0 ? { backend } : { instance, backend };
      const headers: Record<string, string> = round % 8 === 3 ? { prefer: 'respond-async' } : {};
      const answer = await this.#ask('moved', 'PATCH', path, { body: JSON.stringify(change), headers });
      if (answer) this.moves++;
      if (answer?.status === 202) await this.#ended(String(answer.json().id));
    }
  }

  async #ended(job: string): Promise<void> {
    let state: unknown;
    await waitFor(
      'a job to end',
      async () => {
        const before = this.#away.size;
        const answer = await call('GET', this.#next(this.#instances).url, `/v1/jobs/${job}`).catch(() => undefined);
        if (answer?.status === 200) state = answer.json().state;
        return state !== undefined && state !== 'running'
          ? true
          : before + this.#away.size > 0 && answer?.status === 404;
      },
      60_000,
    );
    this.#count(`job ${state}`);
  }

  /** Undefined: it failed because an instance is away. */
  async #ask(
    what: string,
    method: string,
    path: string,
    options: { readonly headers: Readonly<Record<string, string>>; readonly body?: string },
  ): Promise<Answer | undefined> {
    const at = this.#next(this.#instances);
    const before = [...this.#away];
    let problem: string;
    let isCause: (instance: TestInstance) => boolean;
    try {
      const answer = await call(method, at.url, target(path), options);
      if (answer.status < 300) {
        this.#count(what);
        return answer;
      }
      problem = `${answer.status} ${answer.text.slice(0, 300)}`;
      isCause = ({ id }) => [502, 503, 504].includes(answer.status) && answer.text.includes(id);
    } catch (error) {
      problem = `${error} ${(error as Error).cause ?? ''}`;
      isCause = (instance) => instance === at;
    }
    if ([...before, ...this.#away].some(isCause)) this.#count(`${what} not, in an outage`);
    else this.complaints.push(`${method} ${path} ${options.body ?? ''} at ${at.id}: ${problem}`);
    return undefined;
  }

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }

  #next<T>(items: readonly T[]): T {
    // Neither their order nor that of the callers.
    const item = items[Math.floor(Math.abs(Math.sin(++this.#turn) * 1e4)) % items.length];
    assert(item !== undefined);
    return item;
  }
}
