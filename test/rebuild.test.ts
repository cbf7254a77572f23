/** The metadata store is lost, and `callfs rebuild` brings the namespace back from the instances' disks as it was. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { suite, test } from 'node:test';
import { lostFiles, stagedFiles } from './support/at-rest.ts';
import { call } from './support/client.ts';
import { ADMIN_KEY, BOB_KEY, startCluster, type TestCluster, type TestInstance } from './support/cluster.ts';
import { CALLFS, type Ended, run } from './support/command.ts';
import { waitFor } from './support/wait-for.ts';

interface Finding {
  readonly kind: string;
  readonly path: string;
  readonly outcome: string;
}

interface Report {
  readonly instances: readonly {
    readonly instance_id: string;
    readonly restored: { readonly files: number; readonly directories: number };
    readonly known: number;
    readonly recognised: number;
    readonly moves: number;
    readonly findings: readonly Finding[];
  }[];
  readonly missing_directories: Readonly<Record<string, number>>;
  readonly missing_root: boolean;
  readonly made_directories?: number;
}

/** Some of what is done here takes as long as there is much of it. */
const PATIENT = { patienceMs: 300_000 };

const storeFile = ({ folder }: TestCluster): string => join(folder, 'callfs.sqlite3');

function query({ folder }: { readonly folder: string }, sql: string): Record<string, unknown>[] {
  using database = new DatabaseSync(join(folder, 'callfs.sqlite3'), { readOnly: true, timeout: 5000 });
  return database.prepare(sql).all();
}

/** Every row and column; the listing as an instance gives it. */
interface Snapshot {
  readonly rows: string;
  readonly listing: string;
}

async function takeSnapshot(cluster: TestCluster): Promise<Snapshot> {
  const headers = { accept: 'application/x-ndjson' };
  const target = '/v1/directories/?recursive=true&max_depth=2048';
  const { status, text } = await call('GET', cluster.at(0).url, target, { key: ADMIN_KEY, headers });
  assert.equal(status, 200);
  // The root's version only counts changes of paths.
  const sql = "SELECT *, CASE id WHEN 'root' THEN 0 ELSE version END AS version FROM entries ORDER BY id";
  const rows = query(cluster, sql).map((row) => JSON.stringify(row));
  return { rows: rows.join('\n'), listing: text };
}

/** Nothing is left for anybody to do, so that the catalogs are complete. */
async function atRest(cluster: Pick<TestCluster, 'folder' | 'instances'>): Promise<void> {
  await waitFor('all disks and catalogs to follow', () => {
    const [left] = query(cluster, 'SELECT (SELECT COUNT(*) FROM outbox) + (SELECT COUNT(*) FROM notes) AS items');
    return left?.items === 0 && cluster.instances.every((instance) => stagedFiles(instance).length === 0);
  });
}

/** All that the instance's catalog says. Its files come and go: undefined when one went meanwhile. */
function catalogOf({ dataRoot }: TestInstance): string | undefined {
  const folder = join(dataRoot, '.callfs/catalog');
  try {
    return readdirSync(folder, 'utf8')
      .map((name) => readFileSync(join(folder, name), 'utf8'))
      .join('');
  } catch {
    return undefined;
  }
}

function loseStore(cluster: TestCluster): void {
  for (const suffix of ['', '-wal', '-shm']) rmSync(storeFile(cluster) + suffix, { force: true });
}

/** @param exitCode undefined: 3 as long as something is missing */
async function rebuild(
  exitCode: number | undefined,
  instances: readonly TestInstance[],
  ...options: string[]
): Promise<Report> {
  const configs = instances.flatMap(({ configFile }) => ['-c', configFile]);
  const ended = await run(['rebuild', ...configs, '--json', ...options], PATIENT);
  const output = (ended.stderr + ended.stdout).slice(0, 3000);
  if (exitCode !== undefined) assert.equal(ended.exitCode, exitCode, output);
  const report = JSON.parse(ended.stdout) as Report;
  const isMissing = report.missing_root || Object.keys(report.missing_directories).length > 0;
  if (exitCode === undefined) assert.equal(ended.exitCode, isMissing ? 3 : 0, output);
  return report;
}

async function assertClean(instance: TestInstance): Promise<void> {
  const ended: Ended = await run(['fsck', '-c', instance.configFile, '--deep'], PATIENT);
  assert.equal(ended.exitCode, 0, ended.stdout + ended.stderr);
}

function assertEqual(actual: Snapshot, expected: Snapshot): void {
  assert.deepEqual(actual.rows.split('\n'), expected.rows.split('\n'));
  assert.equal(actual.listing, expected.listing);
}

async function send(
  method: string,
  { url }: TestInstance,
  path: string,
  options: Parameters<typeof call>[3] = {},
): Promise<void> {
  const answer = await call(method, url, `/v1/files${path}`, options);
  assert(answer.status < 300, `${method} ${path}: ${answer.status} ${answer.text}`);
}

const put = (instance: TestInstance, path: string, body = `content of ${path}`, headers = {}): Promise<void> =>
  send('PUT', instance, path, { body, headers });
const makeDirectory = (instance: TestInstance, path: string): Promise<void> => send('POST', instance, `${path}/`);
const patch = (instance: TestInstance, path: string, change: object, key?: string): Promise<void> =>
  send('PATCH', instance, path, {
    body: JSON.stringify(change),
    headers: { 'content-type': 'application/json' },
    ...(key === undefined ? {} : { key }),
  });

/** A bit of everything that clients and operators do. */
async function live(cluster: TestCluster): Promise<void> {
  const [a, b, c] = [cluster.at(0), cluster.at(1), cluster.at(2)];
  await makeDirectory(a, '/empty');
  await makeDirectory(b, '/of-b');
  await put(a, '/of-b/by-a.txt');
  await put(c, '/of-b/deep/er/by-c.txt', 'text', {
    'content-type': 'application/x-odd; q="1"',
    'x-callfs-mode': '0600',
  });
  for (const name of ['with%20space', 'a%2Bb%25', '%C3%A9', 'e%CC%81', '%F0%9F%98%80', '%22quotes%22', 'trailing.']) {
    await put(b, `/names/${name}`, name);
  }
  await put(a, '/nothing', '');
  await put(a, '/replaced', 'one');
  await put(b, '/replaced', 'two, longer');
  await send('POST', c, '/shared/', { key: BOB_KEY });
  await patch(a, '/shared', { mode: '1777' }, BOB_KEY);
  await put(a, '/shared/attributes');
  await patch(b, '/shared/attributes', { mode: '0751', owner: 'bob', group: 'guests' }, ADMIN_KEY);
  await patch(a, '/', { mode: '0777' }, ADMIN_KEY);
  // Directories that one instance made, with files of all, renamed and moved by another.
  await makeDirectory(a, '/projects');
  for (const instance of cluster.instances) await put(instance, `/projects/x/y/${instance.id}`);
  await makeDirectory(b, '/projects/x/only-of-b');
  await patch(c, '/projects/x', { name: 'renamed' });
  await patch(b, '/projects/renamed/y', { destination: '/of-b/deep/y', create_parents: true });
  await put(c, '/projects/renamed/later');
  await patch(a, '/projects/renamed', { destination: '/new/parents/z', create_parents: true });
  // Bytes that go elsewhere, and come back.
  await put(a, '/travels');
  await patch(b, '/travels', { destination: '/travels', instance: 'callfs-2' });
  await patch(b, '/travels', { destination: '/travelled', instance: 'callfs-3' });
  await patch(b, '/travelled', { destination: '/travelled', instance: 'callfs-1' });
  await put(b, '/moves-away');
  await patch(a, '/moves-away', { destination: '/moves-away', instance: 'callfs-3' });
  // Overwritten by a move, and removed.
  await put(a, '/winner');
  await put(b, '/loser');
  await patch(c, '/winner', { destination: '/loser', overwrite: true });
  await makeDirectory(b, '/empty-target');
  await makeDirectory(a, '/over');
  await patch(c, '/over', { destination: '/empty-target', overwrite: true });
  await put(a, '/gone');
  await send('DELETE', b, '/gone');
  await makeDirectory(b, '/gone-directory');
  await send('DELETE', a, '/gone-directory/');
  for (const instance of cluster.instances) await put(instance, `/gone-tree/in/${instance.id}`);
  await send('DELETE', c, '/gone-tree?recursive=true');
  await put(b, '/gone-tree', 'a file now');
  // Adopted, and edited on disk.
  mkdirSync(join(b.dataRoot, 'adopted/sub/hollow'), { recursive: true });
  writeFileSync(join(b.dataRoot, 'adopted/sub/file'), 'found');
  assert.equal((await run(['adopt', '-c', b.configFile])).exitCode, 0);
  await put(a, '/edited', 'before');
  await waitFor('the file to be settled', () => existsSync(join(a.dataRoot, 'edited')));
  writeFileSync(join(a.dataRoot, 'edited'), 'after, by an editor');
  assert.equal((await call('GET', c.url, '/v1/files/edited')).text, 'after, by an editor');
}

async function readAll(cluster: TestCluster): Promise<ReadonlyMap<string, string>> {
  const texts = new Map<string, string>();
  const { listing } = await takeSnapshot(cluster);
  for (const line of listing.split('\n').filter((text) => text !== '')) {
    const { path, type } = JSON.parse(line) as { path: string; type: string };
    if (type !== 'file') continue;
    const target = path.split('/').map(encodeURIComponent).join('/');
    const answer = await call('GET', cluster.at(1).url, `/v1/files${target}`, { key: ADMIN_KEY });
    assert.equal(answer.status, 200, `${path}: ${answer.text}`);
    texts.set(path, answer.text);
  }
  return texts;
}

suite('rebuilding a namespace', () => {
  test('gives it back as it was, whatever the order of the instances', async () => {
    await using cluster = await startCluster({ instances: 3 });
    await live(cluster);
    await atRest(cluster);
    const [before, texts] = [await takeSnapshot(cluster), await readAll(cluster)];
    await Promise.all(cluster.instances.map((instance) => instance.kill()));
    const catalogs = cluster.instances.map(({ dataRoot }) => join(dataRoot, '.callfs/catalog'));
    for (const catalog of catalogs) cpSync(catalog, `${catalog}-kept`, { recursive: true });
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
    ]) {
      loseStore(cluster);
      for (const catalog of catalogs) {
        rmSync(catalog, { recursive: true });
        cpSync(`${catalog}-kept`, catalog, { recursive: true });
      }
      const last = order.length - 1;
      for (const [turn, position] of order.entries()) {
        const report = await rebuild(turn === last ? 0 : undefined, [cluster.at(position)]);
        if (turn === last) assert.deepEqual(report.missing_directories, {});
      }
      const again = await rebuild(0, [cluster.at(0)]);
      assert.deepEqual(again.instances[0]?.restored, { files: 0, directories: 0 });
      await Promise.all(cluster.instances.map((instance) => instance.start()));
      assertEqual(await takeSnapshot(cluster), before);
      assert.deepEqual(await readAll(cluster), texts);
      for (const instance of cluster.instances) {
        await assertClean(instance);
        assert.deepEqual(lostFiles(instance), []);
      }
      await Promise.all(cluster.instances.map((instance) => instance.kill()));
    }
  });

  test('goes on after it was killed, and may be repeated', async () => {
    await using cluster = await startCluster({ instances: 2 });
    const [a, b] = [cluster.at(0), cluster.at(1)];
    const paths = Array.from({ length: 1500 }, (_, at) => `/d${at % 40}/e${at % 3}/f${at}`);
    const rest = paths.entries();
    const lane = async (): Promise<void> => {
      for (const [at, path] of rest) await put(cluster.at(at), path, 'x');
    };
    await Promise.all(Array.from({ length: 16 }, lane));
    await atRest(cluster);
    const before = await takeSnapshot(cluster);
    await Promise.all([a.stop(), b.stop()]);
    loseStore(cluster);
    const restoredSoFar = (): number => {
      if (!existsSync(storeFile(cluster))) return 0;
      try {
        return Number(query(cluster, 'SELECT COUNT(*) AS entries FROM entries')[0]?.entries);
      } catch {
        return 0;
      }
    };
    for (const [instance, enough] of [
      [a, 100],
      [b, 1000],
    ] as const) {
      const child = spawn(CALLFS, ['rebuild', '-c', instance.configFile], { stdio: 'ignore' });
      const exited = once(child, 'exit');
      await waitFor('a part of it to be back', () => restoredSoFar() > enough || child.exitCode !== null);
      child.kill('SIGKILL');
      await exited;
    }
    const report = await rebuild(0, [b, a]);
    assert.deepEqual(report.missing_directories, {});
    const again = await rebuild(0, [a, b]);
    assert.deepEqual(
      again.instances.map(({ restored, known }) => ({ ...restored, known })),
      report.instances
        .map(({ restored: { files, directories }, known }) => ({
          files: 0,
          directories: 0,
          known: files + directories + known,
        }))
        .reverse(),
    );
    await Promise.all([a.start(), b.start()]);
    assertEqual(await takeSnapshot(cluster), before);
    for (const instance of cluster.instances) await assertClean(instance);
  });

  test('believes the disk, not the catalog', async () => {
    await using cluster = await startCluster({ instances: 1 });
    const a = cluster.at(0);
    const names = ['kept', 'missing', 'changed', 'restored', 'touched', 'elsewhere'];
    for (const name of names) await put(a, `/dir/${name}`, `content of ${name}`);
    await atRest(cluster);
    const [before] = [await takeSnapshot(cluster)];
    await a.stop();
    loseStore(cluster);
    const file = (name: string): string => join(a.dataRoot, 'dir', name);
    unlinkSync(file('missing'));
    writeFileSync(file('changed'), 'something else');
    copyFileSync(file('restored'), `${file('restored')}.backup`);
    renameSync(`${file('restored')}.backup`, file('restored'));
    utimesSync(file('touched'), 1, 1);
    mkdirSync(join(a.dataRoot, 'other'));
    renameSync(file('elsewhere'), join(a.dataRoot, 'other/elsewhere'));
    writeFileSync(file('new'), 'nobody knows it');
    writeFileSync(join(a.dataRoot, '.callfs/staging/01a1-upload'), 'bytes of an upload');
    const foreseen = await rebuild(3, [a], '--dry-run');
    assert.equal(existsSync(storeFile(cluster)), false);
    assert.deepEqual(stagedFiles(a), ['01a1-upload']);
    const [report] = (await rebuild(3, [a])).instances;
    assert(report);
    assert.deepEqual(
      report.findings.map(({ kind, path }) => `${kind} ${path}`),
      [
        'changed-file /dir/changed',
        'missing-bytes /dir/missing',
        'unknown-file dir/new',
        'unknown-upload .callfs/staging/01a1-upload',
      ],
    );
    assert.deepEqual(foreseen.instances[0]?.restored, report.restored);
    assert.deepEqual(
      foreseen.instances[0]?.findings.map(({ kind }) => kind),
      report.findings.map(({ kind }) => kind),
    );
    assert.equal(report.recognised, 2);
    assert.equal(report.moves, 1);
    const [aside] = lostFiles(a);
    assert.equal(readFileSync(join(a.dataRoot, '.callfs/lost+found', aside ?? ''), 'utf8'), 'bytes of an upload');
    await a.start();
    for (const name of ['kept', 'restored', 'touched', 'elsewhere']) {
      assert.equal((await call('GET', a.url, `/v1/files/dir/${name}`)).text, `content of ${name}`);
    }
    assert.equal((await call('GET', a.url, '/v1/files/dir/changed')).text, 'something else');
    assert.equal((await call('GET', a.url, '/v1/files/dir/missing')).status, 404);
    assert.equal((await call('GET', a.url, '/v1/files/dir/new')).status, 404);
    const linesOf = ({ listing }: Snapshot): string[] =>
      listing.split('\n').filter((line) => /"(kept|restored|touched|elsewhere)"/.test(line));
    assert.deepEqual(linesOf(await takeSnapshot(cluster)), linesOf(before));
    await waitFor('the file to be where it belongs', () => existsSync(file('elsewhere')));
    // The second loss finds everything as it is now.
    unlinkSync(file('new'));
    await atRest(cluster);
    await waitFor('the catalog to forget what is missing', () => catalogOf(a)?.includes('"missing"') === false);
    const second = await takeSnapshot(cluster);
    await a.kill();
    loseStore(cluster);
    await rebuild(0, [a]);
    await a.start();
    assertEqual(await takeSnapshot(cluster), second);
    await assertClean(a);
  });

  test('keeps entries without bytes when told to', async () => {
    await using cluster = await startCluster({ instances: 1 });
    const a = cluster.at(0);
    await put(a, '/missing');
    await atRest(cluster);
    const before = await takeSnapshot(cluster);
    await a.stop();
    loseStore(cluster);
    renameSync(join(a.dataRoot, 'missing'), join(a.dataRoot, '../aside'));
    assert.equal((await rebuild(3, [a], '--keep-missing')).instances[0]?.restored.files, 1);
    renameSync(join(a.dataRoot, '../aside'), join(a.dataRoot, 'missing'));
    await a.start();
    assertEqual(await takeSnapshot(cluster), before);
    await assertClean(a);
  });

  test('stands without the directories of an instance that is lost, until it is finished', async () => {
    await using cluster = await startCluster({ instances: 2 });
    const [a, b] = [cluster.at(0), cluster.at(1)];
    await makeDirectory(b, '/of-b');
    await put(a, '/of-b/file', 'text');
    await put(b, '/of-b/lost', 'text');
    await atRest(cluster);
    const [root] = query(cluster, "SELECT instance_id FROM entries WHERE id = 'root'");
    const isRootMissing = root?.instance_id === b.id;
    await Promise.all([a.kill(), b.kill()]);
    loseStore(cluster);
    // As a supervisor would: in the place of the lost store a new one appears, and must not be taken for the truth.
    writeFileSync(join(a.dataRoot, '.callfs/staging/acknowledged'), 'bytes');
    await assert.rejects(a.start(), /has nothing of callfs-1.*callfs rebuild/);
    assert.deepEqual(stagedFiles(a), ['acknowledged']);
    rmSync(join(a.dataRoot, '.callfs/staging/acknowledged'));
    const report = await rebuild(3, [a]);
    assert.deepEqual(report.missing_directories, { 'callfs-2': 1 });
    assert.equal(report.missing_root, isRootMissing);
    await a.start();
    assert.equal((await call('GET', a.url, '/v1/files/of-b/file', { key: ADMIN_KEY })).text, 'text');
    await a.stop();
    const finished = await rebuild(3, [a], '--finish');
    assert.equal(finished.made_directories, isRootMissing ? 2 : 1);
    assert.equal(finished.missing_root, false);
    await a.start();
    assert.equal((await call('GET', a.url, '/v1/files/of-b/file', { key: ADMIN_KEY })).text, 'text');
    const { headers } = await call('HEAD', a.url, '/v1/files/of-b/', { key: ADMIN_KEY });
    assert.equal(headers['x-callfs-owner'], 'root');
    assert.equal(headers['x-callfs-mode'], '0700');
    await assertClean(a);
  });

  test('opens no private directory, and gives each back as it was when its maker is rebuilt after the end', async () => {
    await using cluster = await startCluster({ instances: 2 });
    const [a, b] = [cluster.at(0), cluster.at(1)];
    for (const path of ['/private', '/given']) {
      await makeDirectory(b, path);
      await put(a, `${path}/file`, 'secret');
      await patch(b, path, { mode: '0700' });
    }
    await atRest(cluster);
    const before = await takeSnapshot(cluster);
    await Promise.all([a.kill(), b.kill()]);
    const assertPrivate = async (): Promise<void> => {
      const answer = await call('GET', a.url, '/v1/files/private/file', { key: BOB_KEY });
      assert.equal(answer.status, 403);
    };
    const kept = cluster.instances.map(({ dataRoot }) => join(dataRoot, '.callfs/catalog'));
    for (const catalog of kept) cpSync(catalog, `${catalog}-kept`, { recursive: true });
    for (const isGiven of [false, true]) {
      loseStore(cluster);
      for (const catalog of kept) {
        rmSync(catalog, { recursive: true });
        cpSync(`${catalog}-kept`, catalog, { recursive: true });
      }
      assert.deepEqual((await rebuild(3, [a])).missing_directories, { 'callfs-2': 2 });
      await a.start();
      await assertPrivate();
      await a.stop();
      await rebuild(3, [a], '--finish');
      assert.deepEqual((await rebuild(0, [a])).missing_directories, {});
      await a.start();
      await assertPrivate();
      if (isGiven) await patch(a, '/given', { mode: '0750', owner: 'bob' }, ADMIN_KEY);
      await atRest({ folder: cluster.folder, instances: [a] });
      await a.stop();
      const [report] = (await rebuild(isGiven ? 3 : 0, [b])).instances;
      assert.deepEqual(
        report?.findings.map(({ kind, path }) => `${kind} ${path}`),
        isGiven ? ['changed-directory /given'] : [],
      );
      await Promise.all([a.start(), b.start()]);
      await assertPrivate();
      if (isGiven) {
        const { headers } = await call('HEAD', a.url, '/v1/files/given/', { key: ADMIN_KEY });
        assert.deepEqual([headers['x-callfs-owner'], headers['x-callfs-mode']], ['bob', '0750']);
      } else assertEqual(await takeSnapshot(cluster), before);
      for (const instance of cluster.instances) await assertClean(instance);
      await Promise.all([a.kill(), b.kill()]);
    }
  });

  test('reports what is in the way and overwrites nothing', async () => {
    await using cluster = await startCluster({ instances: 2 });
    const [a, b] = [cluster.at(0), cluster.at(1)];
    await put(a, '/same', 'of a');
    await makeDirectory(a, '/folder');
    await put(a, '/folder/a', 'a');
    await atRest(cluster);
    await Promise.all([a.kill(), b.kill()]);
    // As after a deletion that the instance, which was down, had no chance to follow: another one has the paths since.
    const catalog = join(a.dataRoot, '.callfs/catalog');
    cpSync(catalog, `${catalog}-kept`, { recursive: true });
    await Promise.all([a.start(), b.start()]);
    await send('DELETE', a, '/same');
    await send('DELETE', a, '/folder?recursive=true');
    await put(b, '/same', 'of b');
    await put(b, '/folder/b', 'b');
    await put(a, '/folder/a2', 'a2');
    await atRest(cluster);
    await Promise.all([a.kill(), b.kill()]);
    const files = readdirSync(`${catalog}-kept`);
    for (const [at, name] of files.entries())
      copyFileSync(join(`${catalog}-kept`, name), join(catalog, `9000000${at}${name.slice(8)}`));
    const stripped = readdirSync(catalog).filter((name) => name.startsWith('0'));
    for (const name of stripped) {
      const lines = readFileSync(join(catalog, name), 'utf8')
        .split('\n')
        .filter((line) => !line.includes('"gone":true'));
      writeFileSync(join(catalog, name), lines.join('\n'));
    }
    writeFileSync(join(a.dataRoot, 'same'), 'of a');
    mkdirSync(join(a.dataRoot, 'folder'), { recursive: true });
    writeFileSync(join(a.dataRoot, 'folder/a'), 'a');
    const catalogs = [a, b].map(({ dataRoot }) => join(dataRoot, '.callfs/catalog'));
    for (const each of catalogs) cpSync(each, `${each}-lost`, { recursive: true });
    for (const order of [
      [b, a],
      [a, b],
    ]) {
      loseStore(cluster);
      for (const each of catalogs) {
        rmSync(each, { recursive: true });
        cpSync(`${each}-lost`, each, { recursive: true });
      }
      const findings: string[] = [];
      for (const instance of order) {
        const ended = await run(['rebuild', '-c', instance.configFile, '--json']);
        assert([0, 3].includes(ended.exitCode ?? -1), ended.stderr);
        const report = JSON.parse(ended.stdout) as Report;
        for (const each of report.instances) findings.push(...each.findings.map(({ kind, path }) => `${kind} ${path}`));
      }
      assert.deepEqual(findings, ['conflict /same', 'merged-directory /folder']);
      await Promise.all([a.start(), b.start()]);
      const first = order[0]?.id === 'callfs-1' ? 'of a' : 'of b';
      assert.equal((await call('GET', b.url, '/v1/files/same')).text, first);
      for (const name of ['a', 'a2', 'b']) {
        assert.equal((await call('GET', a.url, `/v1/files/folder/${name}`)).text, name);
      }
      await Promise.all([a.kill(), b.kill()]);
      if (order[0] === b) await rebuildAgainFails(cluster, a);
    }
  });
});

const ENTRIES = process.env.CALLFS_LONG_TESTS === '1' ? 20_000 : 2000;

suite(`a namespace of ${ENTRIES} entries over three instances`, () => {
  test('comes back as it was in all attributes, and every disk fits to it', async (t) => {
    await using cluster = await startCluster({ instances: 3, keepLog: false });
    const files = Math.floor(ENTRIES / 3.3);
    for (const { id, dataRoot, configFile } of cluster.instances) {
      for (let at = 0; at < files; at++) {
        const folder = join(dataRoot, `${id}/d${at % 37}/e${at % 7}`);
        if (at < 259) mkdirSync(folder, { recursive: true });
        writeFileSync(join(folder, `file ${at}`), `${id} ${at}`);
      }
      const startedAt = performance.now();
      const ended = await run(['adopt', '-c', configFile, '--owner', 'alice'], PATIENT);
      assert.equal(ended.exitCode, 0, ended.stderr);
      t.diagnostic(`${files} files adopted in ${Math.round(performance.now() - startedAt)} ms`);
    }
    await live(cluster);
    for (const [at, { id }] of cluster.instances.entries()) {
      const other = cluster.at(at + 1);
      await patch(other, `/${id}/d1`, { name: 'renamed' }, ADMIN_KEY);
      await patch(other, `/${id}/d2`, { destination: `/${other.id}/from-${id}` }, ADMIN_KEY);
    }
    await atRest(cluster);
    const before = await takeSnapshot(cluster);
    t.diagnostic(`${before.rows.split('\n').length} entries`);
    await Promise.all(cluster.instances.map((instance) => instance.kill()));
    loseStore(cluster);
    const startedAt = performance.now();
    for (const position of [1, 2, 0]) await rebuild(position === 0 ? 0 : undefined, [cluster.at(position)]);
    t.diagnostic(`rebuilt in ${Math.round(performance.now() - startedAt)} ms`);
    await Promise.all(cluster.instances.map((instance) => instance.start()));
    assertEqual(await takeSnapshot(cluster), before);
    for (const instance of cluster.instances) await assertClean(instance);
    for (const line of before.listing
      .trimEnd()
      .split('\n')
      .filter((_, at) => at % 97 === 0)) {
      const { path, type } = JSON.parse(line) as { path: string; type: string };
      if (type !== 'file') continue;
      const target = path.split('/').map(encodeURIComponent).join('/');
      assert.equal((await call('GET', cluster.at(0).url, `/v1/files${target}`, { key: ADMIN_KEY })).status, 200, path);
    }
  });
});

/** Entries of clients are no rebuilt ones. */
async function rebuildAgainFails(cluster: TestCluster, instance: TestInstance): Promise<void> {
  loseStore(cluster);
  renameSync(join(instance.dataRoot, '.callfs/catalog'), join(instance.dataRoot, '.callfs/aside'));
  const bare = await run(['rebuild', '-c', instance.configFile]);
  assert.equal(bare.exitCode, 1);
  assert.match(bare.stderr, /no catalog/);
  await instance.start();
  const running = await run(['rebuild', '-c', instance.configFile]);
  assert.equal(running.exitCode, 1);
  assert.match(running.stderr, /running: stop it/);
  await put(instance, '/from-a-client');
  await instance.stop();
  const ended = await run(['rebuild', '-c', instance.configFile]);
  assert.equal(ended.exitCode, 1);
  assert.match(ended.stderr, /no rebuild brought back/);
  unlinkSync(join(instance.dataRoot, 'from-a-client'));
  rmSync(join(instance.dataRoot, '.callfs/catalog'), { recursive: true });
  renameSync(join(instance.dataRoot, '.callfs/aside'), join(instance.dataRoot, '.callfs/catalog'));
}
