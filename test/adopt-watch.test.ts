/** `callfs adopt --watch`: what happens on an instance's disk outside CallFS gets into the namespace, and nothing else does. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  closeSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { AdoptWatch } from './support/adopt-watch.ts';
import { assertAtRest, assertNoOrphans, listTree, lostFiles } from './support/at-rest.ts';
import { call } from './support/client.ts';
import { startCluster, type TestCluster, type TestInstance } from './support/cluster.ts';
import { CALLFS, run } from './support/command.ts';
import { TestPostgres } from './support/postgres.ts';
import { PostgresProxy } from './support/postgres-proxy.ts';
import { waitFor } from './support/wait-for.ts';

function leave(folder: string, name: string, body: string | Buffer): string {
  const file = join(folder, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, body);
  return file;
}

async function get({ url }: TestInstance, path: string): Promise<string | number> {
  const { status, text } = await call('GET', url, `/v1/files${path}`);
  return status === 200 ? text : status;
}

/** As the namespace has it; asking for the file itself would make an edited file a new version. */
async function listed(instance: TestInstance, directory: string, name: string) {
  const tree = await listTree(instance, directory);
  return tree.find((entry) => entry.name === name);
}

/** Something that happened later has been dealt with, so what happened earlier has been, too. */
async function afterwards(watching: AdoptWatch, { dataRoot }: TestInstance, name: string): Promise<void> {
  for (const number of [1, 2]) {
    leave(dataRoot, `${name}-${number}`, 'x');
    await watching.told('adopted', `/${name}-${number}`);
  }
}

async function assertSound(instance: TestInstance): Promise<void> {
  const { exitCode, stdout, stderr } = await run(['fsck', '-c', instance.configFile, '--deep']);
  assert.equal(exitCode, 0, stdout + stderr);
}

suite('callfs adopt --watch on the data root', () => {
  let cluster: TestCluster;
  let first: TestInstance;
  let second: TestInstance;
  let watching: AdoptWatch;
  let elsewhere: string;
  before(async () => {
    cluster = await startCluster({ instances: 2 });
    first = cluster.at(0);
    second = cluster.at(1);
    elsewhere = mkdtempSync(join(tmpdir(), 'callfs-watch-'));
    leave(first.dataRoot, 'there/before', 'before it began');
    watching = await AdoptWatch.start(first);
  });
  after(async () => {
    await watching?.[Symbol.asyncDispose]();
    await assertNoOrphans(cluster);
    await cluster[Symbol.asyncDispose]();
    rmSync(elsewhere, { recursive: true, force: true });
  });

  test('what was there before is adopted, and so is a new file, in a new folder, within seconds', async () => {
    // Written so shortly before that somebody might still have been at it.
    await waitFor('the first file', async () => (await get(second, '/there/before')) === 'before it began', 4000);
    const startedAt = performance.now();
    leave(first.dataRoot, 'new/deep/file', 'new');
    await waitFor('the file', async () => (await get(second, '/new/deep/file')) === 'new');
    const ms = performance.now() - startedAt;
    assert(ms < 4000, `${ms} ms`);
    mkdirSync(join(first.dataRoot, 'new/empty'));
    await waitFor('the folder', () => listed(second, '/new/', 'empty'));
    assert.equal((await listed(first, '/new/deep/', 'file'))?.owner, 'alice');
  });

  test('a tree of 10,000 files that is moved in', async (context) => {
    const tree = join(elsewhere, 'tree');
    for (let number = 0; number < 10_000; number++)
      leave(tree, `${number % 100}/${number % 10}/${number}`, `${number}`);
    const startedAt = performance.now();
    renameSync(tree, join(first.dataRoot, 'tree'));
    const count = () => watching.lines.filter(({ event, path }) => event === 'adopted' && path?.startsWith('/tree/'));
    await waitFor('all files', () => count().length === 10_000, 60_000);
    context.diagnostic(`${Math.round(performance.now() - startedAt)} ms`);
    assert.equal(await get(second, '/tree/99/9/9999'), '9999');
    assert.equal((await listTree(second, '/tree/')).filter(({ type }) => type === 'file').length, 10_000);
  });

  test('a tree that is written file by file', async () => {
    for (let number = 0; number < 300; number++) leave(first.dataRoot, `copied/${number % 7}/${number}`, `${number}`);
    const adopted = () => watching.lines.filter(({ path }) => path?.startsWith('/copied/')).length;
    await waitFor('all files', () => adopted() === 300);
    assert.equal(await get(second, '/copied/5/299'), '299');
  });

  test('a file that somebody writes to slowly is not adopted before it is closed', async () => {
    const file = openSync(join(first.dataRoot, 'slow'), 'w');
    try {
      for (const part of ['one ', 'two ']) {
        writeSync(file, part);
        await afterwards(watching, first, `meanwhile-${part.trim()}`);
        assert.equal(await get(second, '/slow'), 404);
      }
      writeSync(file, 'three');
    } finally {
      closeSync(file);
    }
    await watching.told('adopted', '/slow');
    assert.equal(await get(second, '/slow'), 'one two three');
    assert(!watching.has('updated', '/slow'));
  });

  test('a file edited in place becomes a new version without being asked for', async () => {
    await call('PUT', first.url, '/v1/files/edits/in-place', { body: 'as uploaded' });
    const file = join(first.dataRoot, 'edits/in-place');
    await waitFor('the file to be in place', () => statSync(file, { throwIfNoEntry: false }));
    const before = await listed(second, '/edits/', 'in-place');
    appendFileSync(file, ', and more');
    await watching.told('updated', '/edits/in-place');
    const edited = await listed(second, '/edits/', 'in-place');
    assert.equal(edited?.size, 21);
    assert.notEqual(edited?.etag, before?.etag);
    assert.equal(await get(second, '/edits/in-place'), 'as uploaded, and more');
  });

  test('a file that an editor replaces becomes a new version, its temporary file nothing', async () => {
    await call('PUT', first.url, '/v1/files/edits/replaced', { body: 'old' });
    const file = join(first.dataRoot, 'edits/replaced');
    await waitFor('the file to be in place', () => statSync(file, { throwIfNoEntry: false }));
    writeFileSync(`${file}.tmp`, 'new and longer');
    renameSync(`${file}.tmp`, file);
    await watching.told('updated', '/edits/replaced');
    assert.equal(await get(second, '/edits/replaced'), 'new and longer');
    assert.equal(await listed(second, '/edits/', 'replaced.tmp'), undefined);
    assert(!watching.lines.some(({ path }) => path === '/edits/replaced.tmp'));
  });

  test('the same bytes in another file are no new version', async () => {
    const file = leave(first.dataRoot, 'edits/restored', 'the same');
    await watching.told('adopted', '/edits/restored');
    const before = await listed(second, '/edits/', 'restored');
    writeFileSync(`${file}.new`, 'the same');
    renameSync(`${file}.new`, file);
    await afterwards(watching, first, 'after-restored');
    assert.equal((await listed(second, '/edits/', 'restored'))?.etag, before?.etag);
    assert.equal(await get(second, '/edits/restored'), 'the same');
    assert(!watching.has('updated', '/edits/restored'));
  });

  test('a file deleted by hand is reported once, and its entry stays; it may come back', async () => {
    const file = leave(first.dataRoot, 'deleted/by-hand', 'x');
    await watching.told('adopted', '/deleted/by-hand');
    linkSync(file, join(elsewhere, 'kept'));
    rmSync(file);
    assert.equal((await watching.told('missing', '/deleted/by-hand')).moved_to, undefined);
    await afterwards(watching, first, 'after-deleted');
    assert.equal(watching.lines.filter(({ path }) => path === '/deleted/by-hand').length, 2);
    assert(await listed(second, '/deleted/', 'by-hand'));
    renameSync(join(elsewhere, 'kept'), file);
    await watching.told('returned', '/deleted/by-hand');
    assert.equal(await get(second, '/deleted/by-hand'), 'x');
  });

  test('a folder moved away by hand is reported file by file', async () => {
    for (const name of ['one', 'two/three']) leave(first.dataRoot, `away/${name}`, name);
    await watching.told('adopted', '/away/two/three');
    await watching.told('adopted', '/away/one');
    renameSync(join(first.dataRoot, 'away'), join(elsewhere, 'away'));
    await watching.told('missing', '/away/one');
    await watching.told('missing', '/away/two/three');
    renameSync(join(elsewhere, 'away'), join(first.dataRoot, 'away'));
    await watching.told('returned', '/away/two/three');
    assert.equal(await get(second, '/away/one'), 'one');
  });

  test('a file moved by hand is a new file, and the old path says where it is', async () => {
    const file = leave(first.dataRoot, 'moved/from', 'moved');
    await watching.told('adopted', '/moved/from');
    renameSync(file, join(first.dataRoot, 'moved/to'));
    assert.equal((await watching.told('missing', '/moved/from')).moved_to, '/moved/to');
    assert.equal(await get(second, '/moved/to'), 'moved');
    assert(await listed(second, '/moved/', 'from'));
    // The old entry takes nothing with it.
    assert.equal((await call('DELETE', second.url, '/v1/files/moved/from')).status, 204);
    await afterwards(watching, first, 'after-moved');
    assert.equal(await get(second, '/moved/to'), 'moved');
  });

  test('what cannot be adopted is reported once, and conflicts leave both files', async () => {
    await call('PUT', second.url, '/v1/files/taken/file', { body: 'of the second' });
    const file = leave(first.dataRoot, 'taken/file', 'of the first');
    symlinkSync('file', join(first.dataRoot, 'taken/link'));
    leave(first.dataRoot, 'taken/back\\slash', 'x');
    assert.equal((await watching.told('conflict', '/taken/file')).instance_id, second.id);
    await watching.told('refused', '/taken/link');
    await watching.told('refused', '/taken/back\\slash');
    assert.equal(await get(first, '/taken/file'), 'of the second');
    assert.equal(readFileSync(file, 'utf8'), 'of the first');
    rmSync(join(first.dataRoot, 'taken'), { recursive: true });
  });

  test('it goes on while the instance is down and when it is back', async () => {
    await first.stop();
    leave(first.dataRoot, 'restart/while-down', 'down');
    await watching.told('adopted', '/restart/while-down');
    await first.start();
    leave(first.dataRoot, 'restart/when-back', 'back');
    await watching.told('adopted', '/restart/when-back');
    assert.equal(await get(first, '/restart/while-down'), 'down');
    assert.equal(await get(first, '/restart/when-back'), 'back');
  });

  test('a program that removes what it made in passing leaves nothing behind', async () => {
    for (let number = 0; number < 50; number++) {
      const file = leave(first.dataRoot, `passing/${number}/file`, 'x');
      if (number % 2 === 0) rmSync(dirname(file), { recursive: true });
    }
    rmSync(join(first.dataRoot, 'passing'), { recursive: true });
    await afterwards(watching, first, 'after-passing');
    assert.equal(await get(first, '/passing'), 404);
  });

  test('SIGTERM ends it with a summary', async () => {
    await assertSound(first);
    assert.equal(await watching.stop(), 0);
    const summary = watching.lines.at(-1);
    assert.equal(summary?.event, 'summary');
    assert.equal(summary?.adopted, watching.all('adopted').length + Number(watching.all('watching')[0]?.adopted));
    assert.equal(summary?.updated, watching.all('updated').length);
    assert.equal(watching.stderr, '');
  });
});

/** What one of many clients was told to be there, and (undefined) to be gone. */
class BusyClient {
  readonly known = new Map<string, string | undefined>();
  readonly #cluster: TestCluster;
  readonly #number: number;

  constructor(cluster: TestCluster, number: number) {
    this.#cluster = cluster;
    this.#number = number;
  }

  async use(steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) {
      const folder = `/busy/${this.#number}/${step % 3}`;
      const file = `${folder}/${step % 7}`;
      if (step % 17 === 16) await this.#move(step, folder, `/busy/${this.#number}/moved-${step}`);
      else if (step % 13 === 12) await this.#remove(step, folder);
      else if (step % 7 === 6) await this.#move(step, file, `${file}-moved`);
      else if (step % 5 === 4) await this.#remove(step, file);
      else await this.#put(step, file);
    }
  }

  async #ask(step: number, method: string, target: string, body?: string): Promise<boolean> {
    const { url } = this.#cluster.at(this.#number + step);
    const { status, text } = await call(method, url, `/v1/files${target}`, body === undefined ? {} : { body });
    assert(status < 300 || status === 404, `${method} ${target}: ${status} ${text}`);
    return status < 300;
  }

  async #put(step: number, path: string): Promise<void> {
    const body = `client ${this.#number}, step ${step}`;
    await this.#ask(step, 'PUT', path, body);
    this.known.set(path, body);
  }

  async #remove(step: number, path: string): Promise<void> {
    await this.#ask(step, 'DELETE', `${path}?recursive=true`);
    for (const [below] of this.#below(path)) this.known.set(below, undefined);
  }

  async #move(step: number, path: string, destination: string): Promise<void> {
    if (!(await this.#ask(step, 'PATCH', path, JSON.stringify({ destination, overwrite: true })))) return;
    for (const [below, body] of this.#below(path)) {
      this.known.set(below, undefined);
      this.known.set(destination + below.slice(path.length), body);
    }
  }

  #below(path: string): [string, string | undefined][] {
    return [...this.known].filter(([other]) => other === path || other.startsWith(`${path}/`));
  }
}

async function useBusily(
  cluster: TestCluster,
  clients: number,
  steps: number,
): Promise<[string, string | undefined][]> {
  const busy = Array.from({ length: clients }, (_, number) => new BusyClient(cluster, number));
  await Promise.all(busy.map((client) => client.use(steps)));
  return busy.flatMap(({ known }) => [...known]);
}

suite('callfs adopt --watch beside clients', () => {
  test('uploads, replacements, removals and moves through CallFS are never taken for changes of others', async () => {
    await using cluster = await startCluster({ instances: 2 });
    await using one = await AdoptWatch.start(cluster.at(0), '--remove-missing', '--grace', '1s', '--rescan', '300ms');
    await using other = await AdoptWatch.start(cluster.at(1), '--remove-missing', '--grace', '1s', '--rescan', '300ms');
    const acknowledged = await useBusily(cluster, 6, 250);
    for (const [index, watching] of [one, other].entries())
      await afterwards(watching, cluster.at(index), `end-${index}`);
    for (const [path, body] of acknowledged) assert.equal(await get(cluster.at(0), path), body ?? 404, path);
    const expected = acknowledged.filter(([, body]) => body !== undefined).map(([path]) => path);
    const files = (await listTree(cluster.at(1), '/busy/')).filter(({ type }) => type === 'file');
    assert.deepEqual(files.map(({ path }) => path).sort(), expected.sort());
    await assertAtRest(cluster);
    for (const [index, watching] of [one, other].entries()) {
      const instance = cluster.at(index);
      assert.deepEqual(lostFiles(instance), []);
      await assertSound(instance);
      const strange = watching.lines.filter(({ event, path }) => event !== 'watching' && !path?.startsWith('/end-'));
      assert.deepEqual(strange, []);
      assert.equal(await watching.stop('SIGINT'), 0);
    }
  });

  test('with files coming from outside at the same time every file has the bytes that were written last', async () => {
    await using cluster = await startCluster({ instances: 2 });
    const instance = cluster.at(0);
    await using watching = await AdoptWatch.start(instance, '--rescan', '500ms');
    const clients = useBusily(cluster, 2, 150);
    for (let number = 0; number < 400; number++)
      leave(instance.dataRoot, `outside/${number % 9}/${number}`, `${number}`);
    const acknowledged = await clients;
    await waitFor('all files', () => watching.all('adopted').length >= 400);
    for (const [path, body] of acknowledged) assert.equal(await get(instance, path), body ?? 404, path);
    for (let number = 0; number < 400; number++) {
      assert.equal(await get(cluster.at(1), `/outside/${number % 9}/${number}`), `${number}`);
    }
    assert.equal(watching.all('adopted').length, 400);
    assert.deepEqual(lostFiles(instance), []);
    await assertAtRest(cluster);
    await assertSound(instance);
  });
});

suite('callfs adopt --watch --remove-missing', () => {
  let cluster: TestCluster;
  let instance: TestInstance;
  let watching: AdoptWatch;
  let elsewhere: string;
  before(async () => {
    cluster = await startCluster({ instances: 1 });
    instance = cluster.at(0);
    elsewhere = mkdtempSync(join(tmpdir(), 'callfs-watch-'));
    watching = await AdoptWatch.start(instance, '--remove-missing', '--grace', '3s', '--rescan', '1s');
  });
  after(async () => {
    await watching?.[Symbol.asyncDispose]();
    await cluster[Symbol.asyncDispose]();
    rmSync(elsewhere, { recursive: true, force: true });
  });

  test('the entry of a deleted file goes after a while', async () => {
    await call('PUT', instance.url, '/v1/files/uploaded', { body: 'x' });
    const file = join(instance.dataRoot, 'uploaded');
    await waitFor('the file', () => statSync(file, { throwIfNoEntry: false }));
    rmSync(file);
    await watching.told('missing', '/uploaded');
    assert(await listed(instance, '/', 'uploaded'));
    await watching.told('removed', '/uploaded');
    assert.equal(await get(instance, '/uploaded'), 404);
    assert.deepEqual(lostFiles(instance), []);
  });

  test('a file that comes back in time keeps its entry', async () => {
    const file = leave(instance.dataRoot, 'comes-back', 'x');
    await watching.told('adopted', '/comes-back');
    const before = await listed(instance, '/', 'comes-back');
    renameSync(file, join(elsewhere, 'comes-back'));
    await watching.told('missing', '/comes-back');
    renameSync(join(elsewhere, 'comes-back'), file);
    await watching.told('returned', '/comes-back');
    await afterwards(watching, instance, 'after-coming-back');
    assert.equal((await listed(instance, '/', 'comes-back'))?.etag, before?.etag);
    assert(!watching.has('removed', '/comes-back'));
  });

  test('a file that comes back when its entry is gone is a new file with its bytes', async () => {
    const file = leave(instance.dataRoot, 'late', 'late');
    await watching.told('adopted', '/late');
    renameSync(file, join(elsewhere, 'late'));
    await watching.told('removed', '/late');
    renameSync(join(elsewhere, 'late'), file);
    await waitFor('the file', async () => (await get(instance, '/late')) === 'late');
    await waitFor('the outbox to be empty', async () => {
      const { stdout } = await run(['fsck', '-c', instance.configFile, '--json']);
      return (JSON.parse(stdout) as { findings: unknown[] }).findings.length === 0;
    });
    assert.equal(readFileSync(file, 'utf8'), 'late');
  });

  test('of a file moved by hand the old entry goes and the bytes stay', async () => {
    const file = leave(instance.dataRoot, 'moved/from', 'moved');
    await watching.told('adopted', '/moved/from');
    renameSync(file, join(instance.dataRoot, 'moved/to'));
    await watching.told('removed', '/moved/from');
    assert.equal(await get(instance, '/moved/from'), 404);
    assert.equal(await get(instance, '/moved/to'), 'moved');
    await assertSound(instance);
  });

  test('a data root that goes away is reported and waited for, and nothing is removed', async () => {
    leave(instance.dataRoot, 'on-the-disk', 'x');
    await watching.told('adopted', '/on-the-disk');
    await instance.stop();
    renameSync(instance.dataRoot, join(elsewhere, 'root'));
    mkdirSync(instance.dataRoot);
    await watching.told('trouble');
    rmSync(instance.dataRoot, { recursive: true });
    renameSync(join(elsewhere, 'root'), instance.dataRoot);
    await watching.told('recovered');
    leave(instance.dataRoot, 'after-the-disk', 'x');
    await watching.told('adopted', '/after-the-disk');
    await instance.start();
    assert.equal(await get(instance, '/on-the-disk'), 'x');
    assert.equal(await watching.stop(), 0);
    await assertSound(instance);
  });
});

suite('callfs adopt --watch elsewhere', () => {
  test('of a folder outside the data root: new files and edits, but never a removal', async () => {
    await using cluster = await startCluster({ instances: 1 });
    const instance = cluster.at(0);
    const folder = mkdtempSync(join(tmpdir(), 'callfs-watch-'));
    try {
      leave(folder, 'before', 'before');
      await using watching = await AdoptWatch.start(instance, folder, '--into', '/photos');
      const file = leave(folder, 'sub/new', 'new');
      await watching.told('adopted', '/photos/sub/new');
      assert.equal(statSync(join(instance.dataRoot, 'photos/sub/new')).ino, statSync(file).ino);
      appendFileSync(file, ' and edited');
      await watching.told('updated', '/photos/sub/new');
      assert.equal(await get(instance, '/photos/sub/new'), 'new and edited');
      writeFileSync(`${file}.tmp`, 'another file');
      renameSync(`${file}.tmp`, file);
      await watching.told('conflict', '/photos/sub/new');
      rmSync(join(folder, 'before'));
      leave(folder, 'later', 'later');
      await watching.told('adopted', '/photos/later');
      assert.equal(await get(instance, '/photos/before'), 'before');
      assert.equal(await get(instance, '/photos/sub/new'), 'new and edited');
      assert.equal(await watching.stop(), 0);
      await assertSound(instance);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('a metadata store that goes away is reported and waited for', async () => {
    await using server = await TestPostgres.start();
    const dsn = await server.createDatabase();
    await using proxy = await PostgresProxy.start(portOf(dsn));
    const config = { metadata_store: { type: 'postgres', dsn: proxy.through(dsn) } };
    await using cluster = await startCluster({ instances: 1, config });
    const instance = cluster.at(0);
    await using watching = await AdoptWatch.start(instance, '--remove-missing', '--grace', '1s');
    leave(instance.dataRoot, 'while-up', 'up');
    await watching.told('adopted', '/while-up');
    proxy.refusing = true;
    proxy.cut();
    leave(instance.dataRoot, 'while-down', 'down');
    await watching.told('trouble');
    proxy.refusing = false;
    await watching.told('recovered');
    await watching.told('adopted', '/while-down');
    assert.equal(await get(instance, '/while-down'), 'down');
    assert.equal(await watching.stop(), 0);
    assert.equal(watching.all('missing').length, 0);
  });

  test('when the system lets not all folders be watched it says so and looks at all from time to time', async (context) => {
    const limited = 'echo 4 > /proc/sys/user/max_inotify_watches && exec "$@"';
    if (spawnSync('unshare', ['-Ur', 'sh', '-c', limited, 'sh', 'true']).status !== 0) {
      context.skip('the limit cannot be set here');
      return;
    }
    await using cluster = await startCluster({ instances: 1 });
    const instance = cluster.at(0);
    for (let number = 0; number < 20; number++) leave(instance.dataRoot, `${number}/before`, 'x');
    const args = ['adopt', '-c', instance.configFile, '--watch', '--json', '--owner', 'alice', '--rescan', '1s'];
    await using watching = await AdoptWatch.run('unshare', ['-Ur', 'sh', '-c', limited, 'sh', CALLFS, ...args]);
    assert.match(String((await watching.told('limited')).problem), /max_user_watches.*every 1 s/);
    for (let number = 0; number < 20; number++) leave(instance.dataRoot, `${number}/after`, 'x');
    for (let number = 0; number < 20; number++) await watching.told('adopted', `/${number}/after`);
    assert.equal(watching.all('limited').length, 1);
    assert.equal(await watching.stop(), 0);
  });

  test('options that do not go together are refused', async () => {
    await using cluster = await startCluster({ instances: 1 });
    const { configFile, dataRoot } = cluster.at(0);
    const refused: [string[], RegExp][] = [
      [['--remove-missing'], /need --watch/],
      [['--rescan', '1m'], /need --watch/],
      [['--watch', '--grace', '1m'], /--grace needs --remove-missing/],
      [['--watch', '--dry-run'], /--dry-run/],
      [['--watch', '--remove-missing', tmpdir()], /for the data root/],
      [['--watch', '--rescan', 'soon'], /duration/],
      [['--watch', dirname(dataRoot)], /lie in each other/],
    ];
    for (const [args, reason] of refused) {
      const { exitCode, stderr } = await run(['adopt', '-c', configFile, ...args]);
      assert.equal(exitCode, 1);
      assert.match(stderr, reason);
    }
  });
});

function portOf(dsn: string): number {
  return Number(new URL(dsn).port);
}
