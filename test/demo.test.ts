/** `callfs demo` and the cross-server test script, as a user meets them: from outside, in a folder of their own. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { call } from './support/client.ts';
import {
  CROSS_SERVER_TEST,
  type Demo,
  type Finished,
  freePort,
  Playground,
  paste,
  refusal,
  run,
} from './support/demo.ts';
import { waitFor } from './support/wait-for.ts';

/** What the lines answer, one after the other. The last looks at the disk, which follows the namespace within moments. */
async function pasteAll({ commands }: Demo): Promise<readonly string[]> {
  const answers: string[] = [];
  for (const command of commands.slice(0, -1)) answers.push(await paste(command));
  const onDisk = async (): Promise<string> =>
    (await run('bash', ['-c', String(commands.at(-1))], '/')).output.trimEnd();
  await waitFor('the disk to have what was read', async () => (await onDisk()) === answers[READ_AT]);
  return [...answers, await onDisk()];
}

/** Which of the lines reads the file. */
const READ_AT = 3;

/** A server on a port that the system chooses, as somebody else's. */
async function occupyPort(): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

suite('callfs demo', () => {
  test('prints URLs, keys and lines to paste, which show the idea', async () => {
    await using playground = new Playground();
    const demo = await playground.startAndWait(['--port', await freePort()]);
    assert.equal(demo.urls.length, 3);
    assert.equal(new Set(['alice', 'bob', 'admin'].map((user) => demo.keyOf(user))).size, 3);
    assert.equal(demo.commands.length, 6);
    const [created, refused, updated, read, listed, onDisk] = await pasteAll(demo);
    assert.equal(JSON.parse(created ?? '').instance_id, 'callfs-localfs-1');
    assert.equal(JSON.parse(refused ?? '').error, 'Resource exists on another server');
    assert.equal(JSON.parse(refused ?? '').update_url, `${demo.urls[0]}/v1/files/demo/hello.txt`);
    assert.equal(JSON.parse(updated ?? '').instance_id, 'callfs-localfs-1');
    assert.equal(read, 'updated content');
    assert.deepEqual(
      JSON.parse(listed ?? '').items.map((item: Record<string, unknown>) => [item.path, item.instance_id]),
      [['/demo/hello.txt', 'callfs-localfs-1']],
    );
    assert.equal(onDisk, 'updated content');
  });

  test('keeps keys and files, and proposes a new file at the next start', async () => {
    await using playground = new Playground();
    const args = ['--port', await freePort()];
    const first = await playground.startAndWait(args);
    await paste(String(first.commands[0]));
    assert.equal(await first.stop(), 0);
    assert.deepEqual(playground.instances(), []);
    const second = await playground.startAndWait(args);
    assert.equal(second.keyOf('alice'), first.keyOf('alice'));
    const kept = await call('GET', String(second.urls[2]), '/v1/files/demo/hello.txt', { key: first.keyOf('alice') });
    assert.equal(kept.text, 'content');
    assert.match(await paste(String(second.commands[0])), /"path":"\/demo\/hello-2\.txt"/);
    second.kill('SIGTERM');
    assert.equal(await second.exitCode, 0);
    assert.deepEqual(playground.instances(), []);
  });

  test('keeps its keys to itself', async () => {
    await using playground = new Playground();
    const demo = await playground.startAndWait(['--port', await freePort()]);
    await pasteAll(demo);
    await demo.stop();
    const directory = join(playground.folder, '.callfs-demo');
    const modeOf = (name: string): string => (statSync(join(directory, name)).mode & 0o777).toString(8);
    assert.equal(modeOf('.'), '700');
    assert.equal(modeOf('keys.json'), '600');
    assert.equal(modeOf('instance-1.yaml'), '600');
    const keys: unknown[] = Object.values(JSON.parse(readFileSync(join(directory, 'keys.json'), 'utf8')));
    assert.equal(keys.length, 4);
    for (const name of readdirSync(directory).filter((candidate) => candidate.endsWith('.log'))) {
      const log = readFileSync(join(directory, name), 'utf8');
      assert(log.length > 0);
      assert(!keys.some((key) => log.includes(String(key))), `${name} holds a key`);
    }
  });

  test('tells when an instance is lost and how to run it again, and the others go on', async () => {
    await using playground = new Playground();
    const demo = await playground.startAndWait(['--port', await freePort()]);
    const key = demo.keyOf('bob');
    assert.equal((await call('POST', String(demo.urls[1]), '/v1/files/mine.txt', { key, body: 'mine' })).status, 201);
    process.kill(playground.instance(join(playground.folder, '.callfs-demo/instance-2.yaml')), 'SIGKILL');
    await waitFor('the loss to be told', () => demo.output.includes('server --config'));
    assert.match(demo.output, /callfs-localfs-2 has ended \(SIGKILL\)\. The other 2 keep running\./);
    assert.equal((await call('GET', String(demo.urls[0]), '/v1/files/mine.txt', { key })).status, 502);
    assert.equal((await call('PUT', String(demo.urls[0]), '/v1/files/other.txt', { key, body: 'x' })).status, 201);
    const [, again] = /^ {2}(.* server --config .*)$/m.exec(demo.output) ?? [];
    assert(again);
    const byHand = spawn('bash', ['-c', `exec ${again}`], { stdio: 'ignore' });
    await waitFor('the file to be back', async () => {
      const answer = await call('GET', String(demo.urls[0]), '/v1/files/mine.txt', { key });
      return answer.text === 'mine';
    });
    assert.equal(await demo.stop(), 0);
    assert.deepEqual(playground.instances(), [byHand.pid], 'what was started by hand is left alone');
  });

  test('takes its instances along when it is killed', async () => {
    await using playground = new Playground();
    const demo = await playground.startAndWait(['--port', await freePort()]);
    assert.equal(playground.instances().length, 3);
    demo.kill('SIGKILL');
    await demo.exitCode;
    await waitFor('the instances to end', () => playground.instances().length === 0, 10_000);
    const next = await playground.startAndWait(['--port', await freePort()]);
    assert.equal(await next.stop(), 0);
  });

  test('takes a Ctrl-C that arrives twice, as it does behind npm, as one', async () => {
    await using playground = new Playground();
    const demo = await playground.startAndWait(['--port', await freePort()]);
    demo.kill('SIGINT');
    demo.kill('SIGINT');
    assert.equal(await demo.stop(), 0);
    assert.deepEqual(playground.instances(), []);
  });

  test('stops cleanly while it starts', async () => {
    await using playground = new Playground();
    const demo = playground.start(['--port', await freePort()]);
    await waitFor('the first instance', () => playground.instances().length > 0);
    assert.equal(await demo.stop(), 0);
    assert.deepEqual(playground.instances(), []);
  });

  test('passes over ports that are in use', async () => {
    await using playground = new Playground();
    const { server, port } = await occupyPort();
    await using _ = { [Symbol.asyncDispose]: async () => void server.close() };
    const demo = await playground.startAndWait(['--port', String(port)]);
    assert.match(demo.output, new RegExp(`Port ${port}\\b.* in use`));
    assert.equal(demo.urls.length, 3);
    assert(!demo.urls.includes(`http://127.0.0.1:${port}`));
    assert.match(await paste(String(demo.commands[0])), /"instance_id":"callfs-localfs-1"/);
  });

  test('runs any number of instances in any folder', async () => {
    await using playground = new Playground();
    const directory = join(playground.folder, "it's a folder");
    const demo = await playground.startAndWait(['--instances', '5', '--dir', directory, '--port', await freePort()]);
    assert.equal(demo.urls.length, 5);
    assert(!existsSync(join(playground.folder, '.callfs-demo')));
    const key = demo.keyOf('alice');
    assert.equal((await call('PUT', String(demo.urls[4]), '/v1/files/five.txt', { key, body: 'five' })).status, 201);
    for (const url of demo.urls) assert.equal((await call('GET', url, '/v1/files/five.txt', { key })).text, 'five');
    assert.equal((await pasteAll(demo)).at(-1), 'updated content');
    await demo.stop();
    const fewer = await playground.startAndWait(['--dir', directory, '--port', await freePort()]);
    assert.match(fewer.output, /--instances 5/);
  });

  test('runs with one instance', async () => {
    await using playground = new Playground();
    const demo = await playground.startAndWait(['--instances', '1', '--port', await freePort()]);
    assert.equal((await pasteAll(demo)).at(-1), 'updated content');
  });

  test('is not led astray by variables of the environment', async () => {
    await using playground = new Playground();
    const env = { CALLFS_API_KEY: 'for-the-test-script-0123', CALLFS_SERVER__LISTEN_ADDR: '127.0.0.1:1' };
    const demo = await playground.startAndWait(['--port', await freePort()], env);
    assert.equal(demo.urls.length, 3);
  });
});

suite('callfs demo refuses in one line', () => {
  test('a folder where a demo runs', async () => {
    await using playground = new Playground();
    const first = await playground.startAndWait(['--port', await freePort()]);
    const config = readFileSync(join(playground.folder, '.callfs-demo/instance-1.yaml'), 'utf8');
    assert.match(await refusal(playground.start([])), /already/);
    assert.equal(readFileSync(join(playground.folder, '.callfs-demo/instance-1.yaml'), 'utf8'), config);
    assert.equal((await call('GET', String(first.urls[0]), '/ready', { key: null })).status, 200);
  });

  test('a folder with something else in it', async () => {
    await using playground = new Playground();
    writeFileSync(join(playground.folder, 'thesis.txt'), 'mine');
    const mode = statSync(playground.folder).mode;
    assert.match(await refusal(playground.start(['--dir', '.'])), /--dir/);
    assert.deepEqual(readdirSync(playground.folder), ['thesis.txt']);
    assert.equal(statSync(playground.folder).mode, mode);
  });

  test('to go on when an instance does not start, and says why', async () => {
    await using playground = new Playground();
    const args = ['--port', await freePort()];
    await (await playground.startAndWait(args)).stop();
    const file = join(playground.folder, '.callfs-demo/data-2/.callfs/instance.json');
    writeFileSync(file, readFileSync(file, 'utf8').replace('callfs-localfs-2', 'somebody-else'));
    assert.match(await refusal(playground.start(args)), /callfs-localfs-2 did not start: .*somebody-else/);
    assert.deepEqual(playground.instances(), []);
  });

  test('keys that somebody damaged', async () => {
    await using playground = new Playground();
    writeFileSync(join(playground.folder, 'keys.json'), '{"alice": ');
    assert.match(await refusal(playground.start(['--dir', '.'])), /keys\.json/);
  });
});

suite('the cross-server test script', () => {
  let playground: Playground;
  let demo: Demo;
  before(async () => {
    playground = new Playground();
    demo = await playground.startAndWait(['--port', await freePort()]);
  });
  after(() => playground[Symbol.asyncDispose]());

  const script = (env: NodeJS.ProcessEnv = {}, cwd = playground.folder): Promise<Finished> =>
    run(CROSS_SERVER_TEST, [], cwd, env);

  const assertNothingLeft = async (): Promise<void> => {
    const root = await call('GET', String(demo.urls[0]), '/v1/files/', { key: demo.keyOf('alice') });
    assert.deepEqual(root.json(), []);
  };

  test('passes against the demo and leaves nothing behind', async () => {
    const { code, output } = await script();
    assert.equal(code, 0, output);
    assert.match(output, /All \d{3} checks are ok\./);
    assert.doesNotMatch(output, /FAILED/);
    await assertNothingLeft();
  });

  test('takes URLs, key and curl options from the environment', async () => {
    const [, second, third] = demo.urls;
    const key = { CALLFS_API_KEY: demo.keyOf('bob'), CALLFS_CURL_OPTIONS: '-k' };
    const { code, output } = await script({ CALLFS_SERVER1_URL: second, CALLFS_SERVER2_URL: `${third}/`, ...key }, '/');
    assert.equal(code, 0, output);
    assert.match(output, /callfs-localfs-3/);
  });

  test('says what it needs when there is no demo', async () => {
    const { code, output } = await script({}, '/');
    assert.equal(code, 1);
    assert.match(output, /CALLFS_SERVER1_URL/);
  });

  test('fails when the key is wrong, when both URLs are one server and when an instance is gone', async () => {
    const results = [await script({ CALLFS_API_KEY: 'wrong-0123456789abcdef' })];
    results.push(await script({ CALLFS_SERVER2_URL: demo.urls[0] }));
    process.kill(playground.instance(join(playground.folder, '.callfs-demo/instance-2.yaml')), 'SIGTERM');
    await waitFor('the loss to be told', () => demo.output.includes('callfs-localfs-2 has ended'));
    results.push(await script());
    for (const { code, output } of results) {
      assert.equal(code, 1, output);
      assert.match(output, /FAILED/);
    }
    await assertNothingLeft();
  });
});
