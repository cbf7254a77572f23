/** `callfs adopt`: files that exist already become files of the namespace, beside running instances and without them. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { assertNoOrphans, listTree, stagedFiles } from './support/at-rest.ts';
import { call } from './support/client.ts';
import { BOB_KEY, startCluster, type TestCluster, type TestInstance } from './support/cluster.ts';
import { type Ended, run } from './support/command.ts';
import { waitFor } from './support/wait-for.ts';

const LONG_AGO = new Date('2009-02-13T23:31:30Z');

interface Report {
  readonly adopted: number;
  readonly directories: number;
  readonly skipped: number;
  readonly conflicts: readonly { readonly path: string; readonly instance_id: string }[];
  readonly refused: readonly { readonly path: string; readonly reason: string }[];
}

const NOTHING: Report = { adopted: 0, directories: 0, skipped: 0, conflicts: [], refused: [] };

async function adopt(instance: TestInstance, ...args: readonly string[]): Promise<Ended & { report: Report }> {
  const ended = await run(['adopt', '-c', instance.configFile, '--json', ...args]);
  assert.notEqual(ended.exitCode, 1, ended.stderr);
  return { ...ended, report: JSON.parse(ended.stdout) as Report };
}

/** A file as somebody else left it. */
function leave(folder: string, name: string, body: string, mode = 0o644): string {
  const file = join(folder, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, body);
  chmodSync(file, mode);
  utimesSync(file, LONG_AGO, LONG_AGO);
  return file;
}

suite('callfs adopt', () => {
  let cluster: TestCluster;
  let first: TestInstance;
  let second: TestInstance;
  let elsewhere: string;
  before(async () => {
    cluster = await startCluster({ instances: 2 });
    first = cluster.at(0);
    second = cluster.at(1);
    elsewhere = mkdtempSync(join(tmpdir(), 'callfs-adopt-'));
  });
  after(async () => {
    await assertNoOrphans(cluster);
    await cluster[Symbol.asyncDispose]();
    rmSync(elsewhere, { recursive: true, force: true });
  });

  test('files in the data root of a running instance are served by all instances with their mode, time and content', async () => {
    const file = leave(first.dataRoot, 'in-place/deep/report.txt', 'a report', 0o640);
    const folder = join(first.dataRoot, 'in-place');
    mkdirSync(join(folder, 'empty'));
    chmodSync(folder, 0o750);
    utimesSync(folder, LONG_AGO, LONG_AGO);
    const before = statSync(file);

    const { exitCode, report } = await adopt(first, '--owner', 'alice', '--group', 'staff');
    assert.deepEqual(report, { ...NOTHING, adopted: 1, directories: 3 });
    assert.equal(exitCode, 0);

    const answers = [];
    for (const { url } of cluster.instances) {
      const answer = await call('GET', url, '/v1/files/in-place/deep/report.txt');
      assert.equal(answer.status, 200, answer.text);
      assert.equal(answer.text, 'a report');
      const { headers } = answer;
      assert.equal(headers['x-callfs-mode'], '0640');
      assert.equal(headers['x-callfs-size'], '8');
      assert.equal(headers['x-callfs-owner'], 'alice');
      assert.equal(headers['x-callfs-mtime'], '2009-02-13T23:31:30Z');
      assert.equal(headers['x-callfs-instance-id'], first.id);
      answers.push(headers.etag);
    }
    assert.equal(answers[0], answers[1]);
    const directory = await call('HEAD', second.url, '/v1/files/in-place/');
    assert.equal(directory.headers['x-callfs-mode'], '0750');
    assert.equal(directory.headers['x-callfs-mtime'], '2009-02-13T23:31:30Z');
    assert.equal((await call('HEAD', second.url, '/v1/files/in-place/empty/')).status, 200);

    const now = statSync(file);
    assert.deepEqual([now.ino, now.mtimeMs, now.ctimeMs], [before.ino, before.mtimeMs, before.ctimeMs]);
    assert.equal((await call('HEAD', first.url, '/v1/files/in-place/deep/report.txt')).headers.etag, answers[0]);
    assert(!first.log.some(({ msg }) => msg === 'a file changed outside CallFS became a new version'));
  });

  test('a second run adopts nothing', async () => {
    leave(first.dataRoot, 'twice/one', '1');
    assert.equal((await adopt(first)).report.adopted, 1);
    const { exitCode, report } = await adopt(first);
    assert.deepEqual({ ...report, skipped: 0 }, NOTHING);
    assert(report.skipped >= 1);
    assert.equal(exitCode, 0);
  });

  test('two runs at the same time adopt each file once', async () => {
    for (let number = 0; number < 300; number++) leave(first.dataRoot, `both/${number % 7}/${number}`, `${number}`);
    const reports = await Promise.all([adopt(first), adopt(first)]);
    assert.equal(reports[0].report.adopted + reports[1].report.adopted, 300);
    const conflicts = reports.flatMap(({ report }) => [...report.conflicts, ...report.refused]);
    assert.deepEqual(conflicts, []);
    const tree = await listTree(second, '/both/');
    assert.equal(tree.filter(({ type }) => type === 'file').length, 300);
  });

  test('what is adopted keeps others out by owner and mode', async () => {
    leave(first.dataRoot, 'private/mine', 'secret', 0o600);
    leave(first.dataRoot, 'private/ours', 'shared', 0o664);
    await adopt(first, '--owner', 'alice', '--group', 'staff');
    for (const { url } of cluster.instances) {
      assert.equal((await call('GET', url, '/v1/files/private/mine')).status, 200);
      assert.equal((await call('GET', url, '/v1/files/private/mine', { key: BOB_KEY })).status, 403);
      assert.equal((await call('PUT', url, '/v1/files/private/ours', { key: BOB_KEY, body: 'new' })).status, 200);
    }
    leave(first.dataRoot, 'of-root/file', 'content', 0o600);
    await adopt(first);
    assert.equal((await call('GET', first.url, '/v1/files/of-root/file')).status, 403);
  });

  test('a path that another instance has is reported, and both files stay', async () => {
    const created = await call('POST', second.url, '/v1/files/taken/file', { body: 'of the second' });
    assert.equal(created.status, 201, created.text);
    await call('POST', second.url, '/v1/files/taken/name', { body: 'a file there' });
    await call('POST', second.url, '/v1/files/taken/folder/', {});
    const file = leave(first.dataRoot, 'taken/file', 'of the first');
    leave(first.dataRoot, 'taken/name/below', 'below what is a file there');
    leave(first.dataRoot, 'taken/folder', 'a file here');
    leave(first.dataRoot, 'taken/free', 'free');

    const { exitCode, report } = await adopt(first, '--owner', 'alice');
    assert.equal(exitCode, 3);
    assert.equal(report.adopted, 1);
    assert.deepEqual(
      report.conflicts,
      ['/taken/file', '/taken/folder', '/taken/name'].map((path) => ({ path, instance_id: second.id })),
    );
    assert.equal((await call('GET', first.url, '/v1/files/taken/file')).text, 'of the second');
    assert.equal(readFileSync(file, 'utf8'), 'of the first');
    assert.equal((await call('GET', second.url, '/v1/files/taken/free')).text, 'free');
    rmSync(join(first.dataRoot, 'taken'), { recursive: true });
  });

  test('what cannot be in the namespace is reported and left alone', async () => {
    const odd = join(first.dataRoot, 'odd');
    leave(odd, 'plain', 'plain');
    leave(odd, 'back\\slash', 'x');
    leave(odd, 'new\nline/below', 'x');
    leave(odd, ' é % ? # "', 'unusual but fine');
    symlinkSync('plain', join(odd, 'symlink'));
    const notText = Buffer.concat([Buffer.from(`${odd}/`), Buffer.from([0x66, 0xff])]);
    writeFileSync(notText, 'x');

    const { exitCode, report, stderr } = await adopt(first, '--owner', 'alice');
    assert.equal(stderr, '');
    assert.equal(exitCode, 3);
    assert.equal(report.adopted, 2);
    assert.deepEqual(
      report.refused.map(({ path }) => path),
      ['/odd/back\\slash', '/odd/f\\xff', '/odd/new\nline', '/odd/symlink'],
    );
    assert(existsSync(notText));
    const fine = await call('GET', second.url, `/v1/files/odd/${encodeURIComponent(' é % ? # "')}`);
    assert.equal(fine.text, 'unusual but fine');

    const { stdout, exitCode: again } = await run(['adopt', '-c', first.configFile]);
    assert.equal(again, 3);
    assert.match(stdout, /\/odd\/new\\u000aline: /);
    rmSync(odd, { recursive: true });
  });

  test('a dry run says what would happen and changes nothing', async () => {
    leave(first.dataRoot, 'dry/one', '1');
    const expected = { ...NOTHING, adopted: 1, directories: 1 };
    const dry = async () => ({ ...(await adopt(first, '--dry-run')).report, skipped: 0 });
    assert.deepEqual(await dry(), expected);
    assert.equal((await call('HEAD', first.url, '/v1/files/dry/one')).status, 404);
    assert.equal((await call('HEAD', first.url, '/v1/files/dry/')).status, 404);
    assert.deepEqual(await dry(), expected);

    const folder = join(elsewhere, 'dry');
    leave(folder, 'sub/two', '2');
    const { report } = await adopt(first, folder, '--into', '/dry-run', '--dry-run');
    assert.deepEqual(report, { ...NOTHING, adopted: 1, directories: 2 });
    assert(!existsSync(join(first.dataRoot, 'dry-run')));
    rmSync(join(first.dataRoot, 'dry'), { recursive: true });
  });

  test('a removed file goes from the data root, and an adoption before that does not bring it back', async () => {
    const file = leave(first.dataRoot, 'removed/file', 'x');
    const other = join(elsewhere, 'other-name');
    linkSync(file, other);
    await adopt(first, '--owner', 'alice');
    await first.stop();
    const removed = await call('DELETE', second.url, '/v1/files/removed/?recursive=true');
    const { report } = await adopt(first);
    await first.start();
    assert.equal(removed.status, 204, removed.text);
    assert.deepEqual(
      report.refused.map(({ path }) => path),
      ['/removed/file'],
    );
    await waitFor('the file to go', () => !existsSync(file));
    assert.equal(readFileSync(other, 'utf8'), 'x');
    assert.equal((await call('HEAD', first.url, '/v1/files/removed/file')).status, 404);
  });

  test('an instance that does not run adopts, and serves the files when it does', async () => {
    await first.stop();
    leave(first.dataRoot, 'stopped/file', 'adopted while stopped');
    const { report } = await adopt(first, '--owner', 'alice');
    assert.equal(report.adopted, 1);
    await first.start();
    for (const { url } of cluster.instances) {
      // It has another address now, which peers learn after they failed to reach the old one.
      const get = () => call('GET', url, '/v1/files/stopped/file');
      await waitFor('the file to be reached', async () => (await get()).status === 200);
      assert.equal((await get()).text, 'adopted while stopped');
    }
  });

  test('files of a folder on the same filesystem get a second name in the data root', async () => {
    const folder = join(elsewhere, 'linked');
    const file = leave(folder, 'sub/photo.jpg', 'photo', 0o604);
    chmodSync(folder, 0o711);
    const { exitCode, report } = await adopt(first, folder, '--into', '/albums/2009', '--owner', 'alice');
    assert.deepEqual(report, { ...NOTHING, adopted: 1, directories: 3 });
    assert.equal(exitCode, 0);
    const inside = join(first.dataRoot, 'albums/2009/sub/photo.jpg');
    assert.equal(statSync(inside).ino, statSync(file).ino);
    const answer = await call('GET', second.url, '/v1/files/albums/2009/sub/photo.jpg');
    assert.equal(answer.text, 'photo');
    assert.equal(answer.headers['x-callfs-mode'], '0604');
    assert.equal(answer.headers['content-type'], 'image/jpeg');
    assert.equal((await call('HEAD', first.url, '/v1/files/albums/2009/')).headers['x-callfs-mode'], '0711');

    assert.deepEqual((await adopt(first, folder, '--into', '/albums/2009')).report, { ...NOTHING, skipped: 1 });
    assert.equal((await call('DELETE', second.url, '/v1/files/albums/2009/sub/photo.jpg')).status, 204);
    await waitFor('the name in the data root to go', () => !existsSync(inside));
    assert.equal(readFileSync(file, 'utf8'), 'photo');
  });

  test('with --copy files of a folder are copied with their times', async () => {
    const folder = join(elsewhere, 'copied');
    const file = leave(folder, 'sub/file', 'copied', 0o640);
    utimesSync(file, 1_234_567.123, 1_234_567.123);
    const options = [folder, '--into', '/copied', '--owner', 'alice', '--copy'];
    assert.equal((await adopt(first, ...options)).report.adopted, 1);
    const inside = join(first.dataRoot, 'copied/sub/file');
    assert.notEqual(statSync(inside).ino, statSync(file).ino);
    assert(Math.abs(statSync(inside).mtimeMs - statSync(file).mtimeMs) < 0.01);
    const answer = await call('GET', second.url, '/v1/files/copied/sub/file');
    assert.equal(answer.text, 'copied');
    assert.equal(answer.headers['x-callfs-mode'], '0640');
    assert.equal(answer.headers['x-callfs-mtime'], '1970-01-15T06:56:07Z');
    assert.deepEqual((await adopt(first, ...options)).report, { ...NOTHING, skipped: 1 });
    writeFileSync(file, 'edited');
    assert.equal((await call('GET', second.url, '/v1/files/copied/sub/file')).text, 'copied');
  });

  test('files of another filesystem are copied', async (context) => {
    const memory = '/dev/shm';
    if (!existsSync(memory) || statSync(memory).dev === statSync(first.dataRoot).dev) {
      context.skip('there is no second filesystem');
      return;
    }
    const folder = mkdtempSync(join(memory, 'callfs-adopt-'));
    try {
      leave(folder, 'sub/file', 'from afar', 0o640);
      const options = [folder, '--into', '/from-afar', '--owner', 'alice'];
      assert.equal((await adopt(first, ...options)).report.adopted, 1);
      assert.deepEqual((await adopt(first, ...options)).report, { ...NOTHING, skipped: 1 });
      const { text, headers } = await call('GET', second.url, '/v1/files/from-afar/sub/file');
      assert.deepEqual([text, headers['x-callfs-mtime']], ['from afar', '2009-02-13T23:31:30Z']);
      assert.deepEqual(stagedFiles(first), []);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('a file of a folder never replaces another one', async () => {
    const folder = join(elsewhere, 'other');
    leave(folder, 'known', 'from the folder');
    leave(folder, 'unknown', 'from the folder');
    await call('PUT', first.url, '/v1/files/other/known', { body: 'from a client' });
    const unknown = leave(first.dataRoot, 'other/unknown', 'known to nobody');
    const args = [folder, '--into', '/other', '--owner', 'alice'];
    for (const extra of [['--dry-run'], [], ['--copy']]) {
      const { exitCode, report } = await adopt(first, ...args, ...extra);
      assert.equal(exitCode, 3);
      assert.equal(report.adopted, 0);
      assert.deepEqual(report.conflicts, [{ path: '/other/known', instance_id: first.id }]);
      assert.deepEqual(
        report.refused.map(({ path }) => path),
        ['/other/unknown'],
      );
    }
    assert.equal((await call('GET', first.url, '/v1/files/other/known')).text, 'from a client');
    assert.equal(readFileSync(unknown, 'utf8'), 'known to nobody');
    rmSync(unknown);
  });

  test('a configuration in the data root stays out of the namespace', async () => {
    const file = join(first.dataRoot, 'config.json');
    writeFileSync(file, readFileSync(first.configFile));
    const ended = await run(['adopt', '-c', file, '--json']);
    assert.equal((JSON.parse(ended.stdout) as Report).adopted, 0, ended.stdout);
    assert.equal((await call('HEAD', first.url, '/v1/files/config.json')).status, 404);
    rmSync(file);
  });

  test('what makes no sense is refused with a line that says why', async () => {
    const wrong: readonly (readonly [readonly string[], RegExp])[] = [
      [['--into', '/x'], /need a folder/],
      [['--copy'], /need a folder/],
      [[join(elsewhere, 'missing')], /missing cannot be read \(ENOENT\)/],
      [[first.dataRoot], /lie in each other/],
      [[cluster.folder], /lie in each other/],
      [['--owner', 'a b'], /must be a name/],
      [['--owner', ''], /must be a name/],
      [[elsewhere, '--into', 'relative'], /must be a path/],
      [[elsewhere, '--into', '/.callfs'], /reserved/],
    ];
    for (const [args, complaint] of wrong) {
      const { exitCode, stderr } = await run(['adopt', '-c', first.configFile, ...args]);
      assert.equal(exitCode, 1, args.join(' '));
      assert.match(stderr, complaint);
    }
    const other = await run(['adopt', '-c', first.configFile], {
      env: { CALLFS_INSTANCE_DISCOVERY__INSTANCE_ID: 'another' },
    });
    assert.equal(other.exitCode, 1);
    assert.match(other.stderr, /belongs to instance callfs-1/);
  });

  test('the help has examples', async () => {
    const { exitCode, stdout } = await run(['adopt', '--help']);
    assert.equal(exitCode, 0);
    assert.match(stdout, /callfs adopt -c node1\.yaml --dry-run/);
  });
});
