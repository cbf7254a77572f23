/** `callfs demo --s3`: an instance on a disk and one on a real bucket, as a user meets them. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { CROSS_SERVER_TEST, type Demo, freePort, Playground, paste, refusal, run } from './support/demo.ts';
import { findProgram } from './support/installed.ts';
import { UNLESS_RADOSGW } from './support/radosgw.ts';
import { waitFor } from './support/wait-for.ts';

/** Temporary files go into the playground, too, so that nothing escapes. */
class BucketPlayground extends Playground {
  readonly directory = join(this.folder, '.callfs-demo-s3');
  readonly #temporary = join(this.folder, 'tmp');

  constructor() {
    super();
    mkdirSync(this.#temporary);
  }

  override start(args: readonly string[], env: NodeJS.ProcessEnv = {}): Demo {
    return super.start(['--s3', ...args], { TMPDIR: this.#temporary, ...env });
  }

  assertNothingLeft(): void {
    assert.deepEqual(this.processes(), []);
    assert.deepEqual(readdirSync(this.folder), ['tmp']);
    assert.deepEqual(readdirSync(this.#temporary), []);
  }
}

/** What the lines of the tour answer. */
async function takeTour({ commands }: Demo): Promise<readonly string[]> {
  const answers: string[] = [];
  for (const command of commands.slice(0, -2)) answers.push(await paste(command));
  // The bucket follows the namespace within moments.
  const [list = '', object = ''] = commands.slice(-2);
  await waitFor('the bucket to have it all', async () => (await paste(list)).match(/<Key>/g)?.length === 3);
  await waitFor('the object to have its bytes', async () => (await paste(object)) === 'content');
  return [...answers, await paste(list), await paste(object)];
}

suite('callfs demo --s3', { skip: UNLESS_RADOSGW, timeout: 180_000 }, () => {
  test('prints lines that show a bucket; the cross-server test passes; nothing is left when it is stopped', async () => {
    await using playground = new BucketPlayground();
    const demo = await playground.startAndWait(['--port', await freePort()]);
    assert.equal(demo.urls.length, 2);
    const [created, refused, inBucket, read, head, onDisk, moved, joined, listed, object] = await takeTour(demo);
    const placeOf = (answer = ''): readonly unknown[] => {
      const { instance_id, backend_type } = JSON.parse(answer);
      return [instance_id, backend_type];
    };
    assert.deepEqual(placeOf(created), ['callfs-localfs-1', 'localfs']);
    assert.equal(JSON.parse(refused ?? '').error, 'Resource exists on another server');
    assert.deepEqual(placeOf(refused), ['callfs-localfs-1', 'localfs']);
    assert.deepEqual(placeOf(inBucket), ['callfs-s3-1', 's3']);
    assert.equal(read, 'content of an object');
    assert.match(head ?? '', /^x-callfs-instance-id: callfs-s3-1\r?\nx-callfs-backend-type: s3\r?$/m);
    assert.deepEqual(placeOf(onDisk), ['callfs-s3-1', 'localfs']);
    assert.deepEqual(placeOf(moved), ['callfs-s3-1', 's3']);
    assert.deepEqual(placeOf(joined), ['callfs-s3-1', 's3']);
    const keys = [...(listed ?? '').matchAll(/<Key>([^<]*)/g)].map(([, key]) => key);
    assert.deepEqual(keys, ['demo/hello.txt', 'demo/moved.txt', 'demo/object.txt']);
    assert.equal(object, 'content');

    const { code, output } = await run(CROSS_SERVER_TEST, [], playground.folder);
    assert.equal(code, 0, output);
    assert.match(output, /\(server 1 holds it, server 2 is asked\).*\(server 2 holds it, server 1 is asked\)/s);
    assert.match(output, /All \d{3} checks are ok\./);

    assert.match(await refusal(playground.start([])), /already/);
    assert(existsSync(playground.directory));
    assert.equal(await demo.stop(), 0);
    playground.assertNothingLeft();
  });

  test('takes everything along when it is killed', async () => {
    await using playground = new BucketPlayground();
    const demo = await playground.startAndWait(['--port', await freePort()]);
    // Two instances, three parts of the server, and who looks after that.
    assert(playground.processes().length >= 6);
    demo.kill('SIGKILL');
    await demo.exitCode;
    await waitFor('everything to end', () => playground.processes().length === 0, 30_000);
    playground.assertNothingLeft();
  });

  test('stops cleanly while it starts', async () => {
    await using playground = new BucketPlayground();
    const demo = playground.start(['--port', await freePort()]);
    await waitFor('the server to begin', () => playground.processes().length > 1);
    assert.equal(await demo.stop(), 0, demo.output);
    await waitFor('everything to end', () => playground.processes().length === 0, 30_000);
    playground.assertNothingLeft();
  });

  test('refuses a folder that is not empty, which it would remove', async () => {
    await using playground = new BucketPlayground();
    mkdirSync(join(playground.folder, 'mine'));
    writeFileSync(join(playground.folder, 'mine/thesis.txt'), 'mine');
    assert.match(await refusal(playground.start(['--dir', 'mine'])), /not empty/);
    assert.deepEqual(readdirSync(join(playground.folder, 'mine')), ['thesis.txt']);
  });
});

test('callfs demo --s3 says what has to be installed, and how', async () => {
  await using playground = new BucketPlayground();
  const programs = join(playground.folder, 'tmp/programs');
  mkdirSync(programs);
  for (const name of ['sh', 'dirname']) symlinkSync(findProgram(name) ?? '', join(programs, name));
  const said = await refusal(playground.start([], { PATH: programs }));
  assert.match(said, /radosgw, ceph-mon, ceph-osd, ceph cannot be found/);
  assert.match(said, /apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-common$/);
  assert(!existsSync(playground.directory));
});

test('callfs demo --s3 has two instances, neither more nor less', async () => {
  await using playground = new BucketPlayground();
  const demo = playground.start(['--instances', '3']);
  assert.equal(await demo.exitCode, 1);
  assert.match(demo.output, /--s3/);
});
