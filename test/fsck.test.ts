/** `callfs fsck` finds every kind of damage, repairs what is safe, and never takes work under way for damage. */
import assert from 'node:assert/strict';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { suite, test } from 'node:test';
import { lostFiles, stagedFiles } from './support/at-rest.ts';
import { call } from './support/client.ts';
import { startCluster, type TestCluster, type TestInstance } from './support/cluster.ts';
import { type Ended, run } from './support/command.ts';
import { TestPostgres } from './support/postgres.ts';
import { waitFor } from './support/wait-for.ts';

interface Finding {
  readonly kind: string;
  readonly path: string;
  readonly problem: string;
  readonly repair: string;
  readonly repaired: boolean;
}

interface Report {
  readonly instance_id: string;
  readonly root: string;
  readonly running: boolean;
  readonly checked: { readonly entries: number; readonly files: number };
  readonly findings: readonly Finding[];
  readonly repaired: number;
}

const fsck = ({ configFile }: TestInstance, ...options: string[]): Promise<Ended> =>
  run(['fsck', '-c', configFile, ...options]);

/** The report of a check that must end with this exit code. */
async function check(exitCode: number, instance: TestInstance, ...options: string[]): Promise<Report> {
  const ended = await fsck(instance, '--json', ...options);
  assert.equal(ended.exitCode, exitCode, (ended.stderr + ended.stdout).slice(0, 2000));
  assert.equal(ended.stderr, '');
  return JSON.parse(ended.stdout) as Report;
}

const kindsAndPaths = ({ findings }: Report): string[] => findings.map(({ kind, path }) => `${kind} ${path}`).sort();

async function put({ url }: TestInstance, path: string, body: string): Promise<void> {
  const { status } = await call('PUT', url, `/v1/files${path}`, { body });
  assert(status === 200 || status === 201, `PUT ${path}: ${status}`);
}

async function putAll(instance: TestInstance, paths: readonly string[]): Promise<void> {
  const rest = paths.values();
  const lane = async (): Promise<void> => {
    for (const path of rest) await put(instance, path, `content of ${path}`);
  };
  await Promise.all(Array.from({ length: 16 }, lane));
}

async function textAt({ url }: TestInstance, path: string): Promise<string> {
  const { status, text } = await call('GET', url, `/v1/files${path}`);
  assert.equal(status, 200, text);
  return text;
}

/** One instance with these files, stopped. */
async function stoppedInstance(paths: readonly string[], instances = 1): Promise<TestCluster> {
  const cluster = await startCluster({ instances });
  await putAll(cluster.at(0), paths);
  for (const instance of cluster.instances) await instance.stop();
  return cluster;
}

const fileOf = ({ dataRoot }: TestInstance, path: string): string => join(dataRoot, path);

/** Runs SQL on the namespace, as nothing but damage would. */
function tamper({ folder }: TestCluster, sql: string, ...values: (string | number)[]): void {
  using database = new DatabaseSync(join(folder, 'callfs.sqlite3'), { timeout: 5000 });
  database.prepare(sql).run(...values);
}

function contentIdOf({ folder }: TestCluster, path: string): string {
  using database = new DatabaseSync(join(folder, 'callfs.sqlite3'), { readOnly: true });
  const row = database
    .prepare('SELECT content_id FROM entries WHERE name = ?')
    .get(path.slice(path.lastIndexOf('/') + 1));
  return String(row?.content_id);
}

function insertRemoval(cluster: TestCluster, instanceId: string, path: string, contentId: string): void {
  tamper(
    cluster,
    `INSERT INTO outbox (kind, entry_id, instance_id, backend_type, path, content_id, size_bytes, checksum, storage_key, storage_stamp)
     VALUES ('discard', '', ?, 'localfs', ?, ?, 1, '00000000', NULL, '1-1')`,
    instanceId,
    path,
    contentId,
  );
}

/** Other bytes of the same length under the same size and time, in the same file. */
function flipByte(file: string): void {
  const { atime, mtime } = statSync(file);
  const bytes = readFileSync(file);
  bytes[0] = (bytes[0] ?? 0) ^ 1;
  writeFileSync(file, bytes);
  utimesSync(file, atime, mtime);
}

/** Gives a file a time that survives being set again: whole milliseconds lose nothing. */
function roundTimes(cluster: TestCluster, instance: TestInstance, path: string): void {
  const file = fileOf(instance, path);
  utimesSync(file, 1_700_000_000, 1_700_000_000);
  const { ino, mtimeMs } = statSync(file);
  tamper(
    cluster,
    'UPDATE entries SET storage_stamp = ? WHERE content_id = ?',
    `${ino}-${mtimeMs}`,
    contentIdOf(cluster, path),
  );
}

suite('a sound instance', () => {
  test('is clean, whether it runs or not', async () => {
    await using cluster = await startCluster({ instances: 2 });
    const [a, b] = [cluster.at(0), cluster.at(1)];
    await putAll(a, ['/one', '/docs/two', '/docs/deep/三']);
    await put(b, '/other', 'of the other');
    const running = await check(0, a, '--deep');
    assert.deepEqual(
      { ...running, root: undefined },
      {
        instance_id: 'callfs-1',
        root: undefined,
        running: true,
        checked: { entries: 3, files: 3 },
        findings: [],
        repaired: 0,
      },
    );
    assert.equal(running.root, a.dataRoot);
    await a.stop();
    const stopped = await check(0, a, '--deep', '--repair');
    assert.equal(stopped.running, false);
    assert.deepEqual(stopped.findings, []);
    const { stdout, exitCode } = await fsck(a);
    assert.equal(exitCode, 0);
    assert.equal(stdout, `callfs-1, in ${a.dataRoot}: 3 entries and 3 files checked, nothing is wrong.\n`);
    await a.start();
    assert.equal(await textAt(a, '/docs/two'), 'content of /docs/two');
  });

  test('is clean after it was killed and started again, and a check before tells what the start will do', async () => {
    await using cluster = await startCluster({ instances: 1 });
    const a = cluster.at(0);
    await putAll(a, ['/one', '/two']);
    await a.kill();
    await fsck(a);
    await a.start();
    assert.deepEqual((await check(0, a)).findings, []);
  });
});

suite('damage of each kind', () => {
  test('is found and named, and only safe repairs are made', async () => {
    const paths = ['lost', 'size', 'same-size', 'restored', 'staged', 'aside', 'fine'].map((name) => `/d/${name}`);
    await using cluster = await stoppedInstance([...paths, '/d/foreign', '/linked/file']);
    const a = cluster.at(0);
    const at = (path: string): string => fileOf(a, path);
    const staging = join(a.dataRoot, '.callfs/staging');
    rmSync(at('/d/lost'));
    truncateSync(at('/d/size'), 3);
    writeFileSync(at('/d/same-size'), 'CONTENT of /d/same-size');
    copyFileSync(at('/d/restored'), at('/d/restored.new'));
    renameSync(at('/d/restored.new'), at('/d/restored'));
    renameSync(at('/d/staged'), join(staging, contentIdOf(cluster, '/d/staged')));
    renameSync(at('/d/aside'), join(a.dataRoot, '.callfs/long-names', contentIdOf(cluster, '/d/aside')));
    writeFileSync(at('/unknown'), 'unknown');
    mkdirSync(at('/elsewhere/deep'), { recursive: true });
    writeFileSync(at('/elsewhere/deep/bad\\name'), 'no path can be so');
    symlinkSync('/etc/passwd', at('/link'));
    mkdirSync(join(cluster.folder, 'behind'));
    writeFileSync(join(cluster.folder, 'behind', 'file'), 'not of this root');
    rmSync(at('/linked'), { recursive: true });
    symlinkSync(join(cluster.folder, 'behind'), at('/linked'));
    writeFileSync(join(staging, 'never-finished'), 'half');
    insertRemoval(cluster, 'callfs-1', '/gone', 'gone-content');
    insertRemoval(cluster, 'stranger', '/gone', 'strange-content');
    tamper(cluster, "UPDATE entries SET instance_id = 'nobody' WHERE name = 'foreign'");

    const expected = [
      'changed-file /d/same-size',
      'changed-file /d/size',
      'dangling-removal /gone',
      'leftover-staging .callfs/staging/never-finished',
      'misplaced-bytes /d/aside',
      'misplaced-bytes /d/staged',
      'missing-bytes /d/lost',
      'missing-bytes /linked/file',
      'pending-removal /gone',
      'restored-file /d/restored',
      'unknown-file /d/foreign',
      'unknown-file /link',
      'unknown-file /linked',
      'unknown-file /unknown',
      'unknown-file elsewhere/deep/bad\\name',
      'unknown-instance /d/foreign',
    ];
    const found = await check(3, a);
    assert.deepEqual(kindsAndPaths(found), expected);
    assert.equal(found.repaired, 0);
    for (const finding of found.findings) {
      assert.deepEqual(Object.keys(finding), ['kind', 'path', 'backend_type', 'problem', 'repair', 'repaired']);
      assert(finding.problem !== '' && finding.repair !== '' && !finding.repaired);
    }
    assert.deepEqual(kindsAndPaths(await check(3, a)), expected, 'looking changes nothing');

    const table = await fsck(a);
    assert.equal(table.exitCode, 3);
    assert.match(table.stdout, /^KIND +PATH +PROBLEM +WHAT --repair WOULD DO$/m);
    assert.match(
      table.stdout,
      /^unknown-file +\/unknown +a file that no entry points to +move it to \.callfs\/lost\+found$/m,
    );
    assert.match(table.stdout, /16 findings\.\n$/);

    const repaired = await check(3, a, '--repair');
    assert.deepEqual(kindsAndPaths(repaired), expected);
    assert.deepEqual(
      repaired.findings.filter((finding) => !finding.repaired).map(({ kind }) => kind),
      ['missing-bytes', 'missing-bytes', 'unknown-instance'],
    );
    assert.equal(repaired.repaired, 13);
    assert.deepEqual(kindsAndPaths(await check(3, a, '--deep')), [
      'missing-bytes /d/lost',
      'missing-bytes /linked/file',
      'unknown-instance /d/foreign',
    ]);
    assert.deepEqual(stagedFiles(a), []);
    const kept = lostFiles(a).map((name) => name.replace(/^fsck-\d+-/, ''));
    assert.deepEqual(kept.sort(), ['d%2Fforeign', 'elsewhere%2Fdeep%2Fbad\\name', 'link', 'linked', 'unknown']);

    tamper(cluster, "UPDATE entries SET instance_id = 'callfs-1' WHERE name = 'foreign'");
    const foreign = lostFiles(a).find((name) => name.includes('foreign'));
    assert(foreign);
    renameSync(join(a.dataRoot, '.callfs/lost+found', foreign), at('/d/foreign'));
    const forgotten = await check(0, a, '--repair', '--forget-lost');
    assert.deepEqual(kindsAndPaths(forgotten), ['missing-bytes /d/lost', 'missing-bytes /linked/file']);
    assert.equal(readFileSync(join(cluster.folder, 'behind', 'file'), 'utf8'), 'not of this root');
    assert.deepEqual((await check(0, a, '--deep')).findings, []);

    await a.start();
    assert.equal((await call('GET', a.url, '/v1/files/d/lost')).status, 404);
    assert.equal(await textAt(a, '/d/size'), 'con');
    assert.equal(await textAt(a, '/d/same-size'), 'CONTENT of /d/same-size');
    for (const name of ['restored', 'staged', 'aside', 'fine', 'foreign']) {
      assert.equal(await textAt(a, `/d/${name}`), `content of /d/${name}`);
    }
    assert.deepEqual((await check(0, a, '--deep')).findings, []);
  });

  test('changed bytes under the old size and time are found by --deep only, and kept as they are', async () => {
    await using cluster = await stoppedInstance(['/flipped', '/fine']);
    const a = cluster.at(0);
    roundTimes(cluster, a, '/flipped');
    assert.deepEqual((await check(0, a, '--deep')).findings, []);
    flipByte(fileOf(a, '/flipped'));
    assert.deepEqual((await check(0, a)).findings, []);
    assert.deepEqual(kindsAndPaths(await check(3, a, '--deep')), ['corrupt-bytes /flipped']);
    assert.equal((await check(3, a, '--deep', '--repair')).repaired, 0);
    utimesSync(fileOf(a, '/flipped'), 1_700_000_001, 1_700_000_001);
    assert.deepEqual(kindsAndPaths(await check(0, a, '--repair')), ['changed-file /flipped']);
    assert.deepEqual((await check(0, a, '--deep')).findings, []);
  });

  test('a lost file that is put back from a backup is the same file again', async () => {
    await using cluster = await stoppedInstance(['/file']);
    const a = cluster.at(0);
    copyFileSync(fileOf(a, '/file'), join(cluster.folder, 'backup'));
    rmSync(fileOf(a, '/file'));
    assert.deepEqual(kindsAndPaths(await check(3, a, '--repair')), ['missing-bytes /file']);
    copyFileSync(join(cluster.folder, 'backup'), fileOf(a, '/file'));
    assert.deepEqual(kindsAndPaths(await check(0, a, '--repair')), ['restored-file /file']);
    assert.deepEqual((await check(0, a, '--deep')).findings, []);
  });

  test('files of equal or unreadable names are all kept when they are moved away', async () => {
    await using cluster = await stoppedInstance([]);
    const a = cluster.at(0);
    const folder = Buffer.from(`${a.dataRoot}/`);
    for (const byte of [0xff, 0xfe]) writeFileSync(Buffer.concat([folder, Buffer.from([byte])]), `byte ${byte}`);
    mkdirSync(fileOf(a, '/a'));
    writeFileSync(fileOf(a, '/a/b'), 'slash');
    writeFileSync(fileOf(a, '/a%2Fb'), 'percent');
    const { findings } = await check(0, a, '--repair');
    assert.equal(findings.length, 4);
    const kept = lostFiles(a).map((name) => readFileSync(join(a.dataRoot, '.callfs/lost+found', name), 'utf8'));
    assert.deepEqual(kept.sort(), ['byte 254', 'byte 255', 'percent', 'slash']);
    assert.equal(new Set(findings.map(({ repair }) => repair)).size, 4);
  });

  test('--path looks only there', async () => {
    await using cluster = await stoppedInstance(['/in/lost', '/in/fine', '/out/lost', '/inside']);
    const a = cluster.at(0);
    for (const path of ['/in/lost', '/out/lost', '/inside']) rmSync(fileOf(a, path));
    writeFileSync(fileOf(a, '/in/unknown'), '');
    writeFileSync(fileOf(a, '/out/unknown'), '');
    writeFileSync(join(a.dataRoot, '.callfs/staging/half'), '');
    const report = await check(3, a, '--path', '/in/');
    assert.deepEqual(kindsAndPaths(report), ['missing-bytes /in/lost', 'unknown-file /in/unknown']);
    assert.deepEqual(report.checked, { entries: 2, files: 2 });
    assert.deepEqual(kindsAndPaths(await check(3, a, '--path', '/out/unknown')), ['unknown-file /out/unknown']);
    assert.equal((await check(0, a, '--path', '/in/unknown', '--repair')).repaired, 1);
    assert(existsSync(fileOf(a, '/out/unknown')));
    assert.deepEqual(stagedFiles(a), ['half']);
  });

  test('a thousand damages in all kinds are all found, and the second run after the repair is clean', async () => {
    const each = 100;
    const damaged = ['lost', 'size', 'bytes', 'restored', 'staged', 'aside', 'fine'];
    const paths = damaged.flatMap((name) => Array.from({ length: each }, (_, index) => `/${name}/${name}-${index}`));
    await using cluster = await stoppedInstance(paths);
    const a = cluster.at(0);
    const own = join(a.dataRoot, '.callfs');
    const ids = contentIds(cluster);
    for (let index = 0; index < each; index++) {
      const at = (name: string): string => fileOf(a, `/${name}/${name}-${index}`);
      const idOf = (name: string): string => ids.get(`${name}-${index}`) ?? '';
      rmSync(at('lost'));
      truncateSync(at('size'), 2);
      writeFileSync(at('bytes'), `CONTENT of /bytes/bytes-${index}`);
      copyFileSync(at('restored'), `${at('restored')}.new`);
      renameSync(`${at('restored')}.new`, at('restored'));
      renameSync(at('staged'), join(own, 'staging', idOf('staged')));
      renameSync(at('aside'), join(own, 'long-names', idOf('aside')));
      mkdirSync(dirname(at('unknown')), { recursive: true });
      writeFileSync(at('unknown'), '');
      writeFileSync(join(own, 'staging', `half-${index}`), '');
      insertRemoval(cluster, 'callfs-1', `/gone-${index}`, `gone-${index}`);
      insertRemoval(cluster, 'stranger', `/strange-${index}`, `strange-${index}`);
    }
    const counted = (report: Report): Record<string, number> =>
      Object.fromEntries(
        Map.groupBy(report.findings, ({ kind }) => kind)
          .entries()
          .map(([kind, { length }]) => [kind, length]),
      );
    const expected = {
      'changed-file': 2 * each,
      'dangling-removal': each,
      'leftover-staging': each,
      'misplaced-bytes': 2 * each,
      'missing-bytes': each,
      'pending-removal': each,
      'restored-file': each,
      'unknown-file': each,
    };
    assert.deepEqual(counted(await check(3, a)), expected);
    const repaired = await check(0, a, '--repair', '--forget-lost');
    assert.deepEqual(counted(repaired), expected);
    assert.equal(repaired.repaired, 10 * each);
    const clean = await check(0, a, '--deep');
    assert.deepEqual(clean.findings, []);
    assert.deepEqual(clean.checked, { entries: 6 * each, files: 6 * each });
    assert.equal(lostFiles(a).length, each);
  });
});

function contentIds({ folder }: TestCluster): Map<string, string> {
  using database = new DatabaseSync(join(folder, 'callfs.sqlite3'), { readOnly: true });
  const rows = database.prepare("SELECT name, content_id FROM entries WHERE type = 'file'").all();
  return new Map(rows.map((row) => [String(row.name), String(row.content_id)]));
}

suite('a running instance', () => {
  test('is never blamed for what is on its way', async () => {
    await using cluster = await startCluster({ instances: 2 });
    const [a, b] = [cluster.at(0), cluster.at(1)];
    const load = new AbortController();
    let writes = 0;
    const write = async (lane: number): Promise<void> => {
      for (let round = 0; !load.signal.aborted; round++) {
        const path = `/load/${lane % 3}/${round % 5}`;
        const via = round % 2 === 0 ? a : b;
        if (round % 7 === 0) await call('DELETE', via.url, `/v1/files${path}`);
        else await call('PUT', via.url, `/v1/files${path}`, { body: `round ${round}`.repeat(round % 50) });
        writes++;
      }
    };
    const lanes = Array.from({ length: 8 }, (_, lane) => write(lane));
    for (let round = 0; round < 5; round++) {
      const before = writes;
      assert.deepEqual((await check(0, a, '--deep', ...(round === 4 ? ['--repair'] : []))).findings, []);
      await waitFor('more writes', () => writes > before);
    }
    load.abort();
    await Promise.all(lanes);
    assert.deepEqual(lostFiles(a), []);
  });

  test('gets real damage reported; what is safe beside it is repaired, the rest is left to it', async () => {
    await using cluster = await startCluster({ instances: 1 });
    const a = cluster.at(0);
    await putAll(a, ['/lost', '/changed', '/aside', '/fine']);
    await waitFor('the instance to settle', () => stagedFiles(a).length === 0);
    rmSync(fileOf(a, '/lost'));
    writeFileSync(fileOf(a, '/changed'), 'by hand');
    writeFileSync(fileOf(a, '/unknown'), 'unknown');
    const own = join(a.dataRoot, '.callfs');
    renameSync(fileOf(a, '/aside'), join(own, 'long-names', contentIdOf(cluster, '/aside')));
    writeFileSync(join(own, 'staging', 'upload'), 'perhaps under way');
    writeFileSync(join(own, 'staging', 'old'), 'not under way');
    utimesSync(join(own, 'staging', 'old'), 1, 1);
    const report = await check(3, a, '--repair');
    assert.equal(report.running, true);
    assert.deepEqual(
      report.findings.map(({ kind, path, repaired }) => [kind, path, repaired]),
      [
        ['changed-file', '/changed', true],
        ['leftover-staging', '.callfs/staging/old', false],
        ['misplaced-bytes', '/aside', false],
        ['missing-bytes', '/lost', false],
        ['unknown-file', '/unknown', true],
      ],
    );
    for (const { kind, repair } of report.findings) {
      if (kind === 'leftover-staging' || kind === 'misplaced-bytes')
        assert.match(repair, /left to the running instance/);
    }
    assert.equal(await textAt(a, '/changed'), 'by hand');
    assert.deepEqual(readdirSync(join(own, 'staging')).sort(), ['old', 'upload']);
    await a.stop();
    assert.equal((await check(0, a, '--repair', '--forget-lost')).repaired, 4);
    await a.start();
    assert.equal(await textAt(a, '/aside'), 'content of /aside');
  });

  test('can start again as soon as the repair has ended', async () => {
    await using cluster = await stoppedInstance(['/file']);
    const a = cluster.at(0);
    await check(0, a, '--repair');
    await a.start();
    assert.equal(await textAt(a, '/file'), 'content of /file');
  });
});

suite('nothing is concluded', () => {
  const refusal = async (instance: TestInstance, reason: RegExp, ...options: string[]): Promise<void> => {
    for (const more of [[], ['--repair', '--forget-lost']]) {
      const { exitCode, stdout, stderr } = await fsck(instance, ...options, ...more);
      assert.equal(exitCode, 1, stdout);
      assert.equal(stdout, '');
      assert.match(stderr, reason);
      assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
    }
  };

  test('from a root that is empty, missing or not mounted', async () => {
    await using cluster = await stoppedInstance(['/file']);
    const a = cluster.at(0);
    renameSync(a.dataRoot, `${a.dataRoot}.away`);
    await refusal(a, /is not the data root of an instance/);
    assert(!existsSync(a.dataRoot));
    mkdirSync(a.dataRoot);
    await refusal(a, /is not the data root of an instance/);
    assert.deepEqual(readdirSync(a.dataRoot), []);
    rmSync(a.dataRoot, { recursive: true });
    renameSync(`${a.dataRoot}.away`, a.dataRoot);
    assert.equal((await check(0, a)).checked.entries, 1);
  });

  test("from another instance's root", async () => {
    await using cluster = await stoppedInstance(['/file'], 2);
    const [a, b] = [cluster.at(0), cluster.at(1)];
    renameSync(a.dataRoot, `${a.dataRoot}.away`);
    renameSync(b.dataRoot, a.dataRoot);
    await refusal(a, /belongs to instance callfs-2, this is callfs-1/);
  });

  test('from a metadata store that is not there or does not know the instance', async () => {
    await using cluster = await stoppedInstance(['/file']);
    const a = cluster.at(0);
    tamper(cluster, 'DELETE FROM instances');
    await refusal(a, /does not know the instance callfs-1/);
    for (const file of readdirSync(cluster.folder)) {
      if (file.startsWith('callfs.sqlite3')) rmSync(join(cluster.folder, file));
    }
    await refusal(a, /there is no file .*callfs\.sqlite3/);
    assert(!existsSync(join(cluster.folder, 'callfs.sqlite3')));
    assert(existsSync(fileOf(a, '/file')));
  });

  test('about the metadata store and the configuration when they lie below the root', async () => {
    await using cluster = await startCluster({ instances: 1 });
    const a = cluster.at(0);
    await a.stop();
    const config = JSON.parse(readFileSync(a.configFile, 'utf8'));
    config.metadata_store.sqlite_path = fileOf(a, '/meta.sqlite3');
    writeFileSync(a.configFile, JSON.stringify(config));
    await a.start();
    await put(a, '/file', 'text');
    const inside = fileOf(a, '/callfs.json');
    copyFileSync(a.configFile, inside);
    const ended = await run(['fsck', '-c', inside, '--repair', '--json']);
    assert.equal(ended.exitCode, 0, ended.stdout + ended.stderr);
    assert.deepEqual((JSON.parse(ended.stdout) as Report).findings, []);
  });
});

test('on PostgreSQL the same is found and repaired, beside the running instance and without it', async () => {
  await using server = await TestPostgres.start();
  const dsn = (await server.createDatabase()).replace('postgres@', 'postgres:open-sesame-4711@');
  await using cluster = await startCluster({ instances: 2, config: { metadata_store: { type: 'postgres', dsn } } });
  const a = cluster.at(0);
  await putAll(a, ['/d/lost', '/d/changed', '/d/三/fine']);
  await put(cluster.at(1), '/d/other', 'of the other');
  assert.deepEqual((await check(0, a, '--deep')).checked, { entries: 3, files: 3 });
  rmSync(fileOf(a, '/d/lost'));
  writeFileSync(fileOf(a, '/d/changed'), 'by hand');
  writeFileSync(fileOf(a, '/d/other'), 'not here');
  const expected = ['changed-file /d/changed', 'missing-bytes /d/lost', 'unknown-file /d/other'];
  assert.deepEqual(kindsAndPaths(await check(3, a)), expected);
  await a.stop();
  assert.deepEqual(kindsAndPaths(await check(0, a, '--repair', '--forget-lost')), expected);
  assert.deepEqual((await check(0, a, '--deep')).findings, []);
});

test('the help teaches with examples, and wrong usage is told in one line', async () => {
  const { stdout, exitCode } = await run(['fsck', '--help']);
  assert.equal(exitCode, 0);
  for (const word of ['--repair', '--forget-lost', '--deep', '--json', '--path', 'Examples:', 'Exit codes:']) {
    assert(stdout.includes(word), word);
  }
  const alone = await run(['fsck', '--forget-lost']);
  assert.equal(alone.exitCode, 1);
  assert.match(alone.stderr, /needs --repair/);
  assert.equal((await run(['fsck', '--path', '/a/../b'])).exitCode, 1);
});
