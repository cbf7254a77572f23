/** Which request targets name which files, sent as raw bytes where a client would tidy them up first. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { assertAtRest, assertNothingForeign, listTree } from './support/at-rest.ts';
import { call } from './support/client.ts';
import { ALICE_KEY, startCluster, type TestCluster, type TestInstance } from './support/cluster.ts';
import { rawCall } from './support/raw-connection.ts';
import { waitFor } from './support/wait-for.ts';

const headers = { authorization: `Bearer ${ALICE_KEY}` };
const bytes = (text: string): string => Buffer.from(text).toString('latin1');
const encode = (path: string): string => path.split('/').map(encodeURIComponent).join('/');

const LONGEST_PATH = `${'d'.repeat(250)}/`.repeat(16) + 'f'.repeat(4095 - 16 * 251);

const REFUSED: Record<string, readonly string[]> = {
  'dot segments': [
    '.',
    '..',
    'a/..',
    '../a',
    'a/./b',
    'a/../b',
    '%2e',
    '%2E%2E',
    '.%2e',
    '%2e.',
    'a/%2e%2e/b',
    '%2e/',
    '../../etc/passwd',
  ],
  'an encoded slash': ['a%2Fb', '%2f', '..%2f..%2fetc%2fpasswd', 'a%2f', '%2e%2e%2f'],
  'a backslash': ['a%5Cb', '%5c', '..%5c..', 'a\\b', '..\\..\\x'],
  'control characters': ['%00', 'a%00b', 'a%00.txt', '%0a', '%0D%0A', '%1f', '%7f', 'x%0d%0aSet-Cookie:%20a=b', '%09'],
  'broken UTF-8': ['%ff', '%fe%fe', '%c3', 'a%c3/b', '%80', '%f5%80%80%80', '%ed%a0%80', '%ed%bf%bf', '%f4%90%80%80'],
  'overlong UTF-8': ['%c0%af', '%c0%ae%c0%ae', '%e0%80%af', '%f0%80%80%af', '%c1%9c', '%c0%80'],
  'a broken percent-encoding': ['%', 'a%', '%2', '%zz', '%u0041', '%-1', 'a%2', '%%41'],
  'bidirectional controls': ['202a', '202b', '202c', '202d', '202e', '2066', '2067', '2068', '2069'].map((hex) =>
    encodeURIComponent(`a${String.fromCharCode(Number.parseInt(hex, 16))}b`),
  ),
  'a name of more than 255 bytes': [
    'a'.repeat(256),
    'a'.repeat(300),
    encodeURIComponent('é'.repeat(128)),
    `x/${'b'.repeat(256)}/y`,
  ],
  'a path of more than 4,096 bytes': [`${LONGEST_PATH}g`, 'a/'.repeat(2049)],
  'the name that CallFS keeps for itself': [
    '.callfs',
    '.callfs/',
    '.callfs/instance.json',
    '%2ecallfs/staging',
    '//.callfs/x',
    '.c%61llfs',
  ],
  'bytes that are not percent-encoded': [bytes('é'), bytes('a/😀'), '\xff', 'a\xc3('],
  'a fragment': ['a#b', '#'],
};

suite('request targets', () => {
  let cluster: TestCluster;
  let owner: TestInstance;
  let peer: TestInstance;
  let atStart: { outside: string[]; identity: string };
  before(async () => {
    cluster = await startCluster({ instances: 2 });
    [owner, peer] = [cluster.at(0), cluster.at(1)];
    atStart = outsideOfData();
  });
  after(() => cluster[Symbol.asyncDispose]());

  /** What no request may ever touch. */
  function outsideOfData(): { outside: string[]; identity: string } {
    return {
      outside: readdirSync(cluster.folder).sort(),
      identity: cluster.instances
        .map(({ dataRoot }) => readFileSync(join(dataRoot, '.callfs/instance.json'), 'utf8'))
        .join(),
    };
  }

  async function assertSame(targets: readonly string[], body: string): Promise<void> {
    for (const target of targets) {
      for (const { url, id } of cluster.instances) {
        const got = await rawCall('GET', url, target, { headers });
        assert.deepEqual([got.status, got.text], [200, body], `${target} at ${id}`);
        assert.equal((await rawCall('HEAD', url, target, { headers })).status, 200, `${target} at ${id}`);
      }
    }
  }

  for (const [what, paths] of Object.entries(REFUSED)) {
    test(`with ${what} are refused and create nothing`, async () => {
      const before = (await listTree(owner)).length;
      for (const path of paths) {
        for (const { url, id } of cluster.instances) {
          for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'DELETE']) {
            const body = method === 'POST' || method === 'PUT' ? { body: 'x' } : {};
            const answer = await rawCall(method, url, `/v1/files/${path}`, { headers, ...body });
            assert.equal(answer.status, 400, `${method} ${path.slice(0, 300)} at ${id}: ${answer.text}`);
            if (method !== 'HEAD') assert.equal(answer.json().code, 'INVALID_PATH');
          }
          const listed = await rawCall('GET', url, `/v1/directories/${path}`, { headers });
          assert.deepEqual([listed.status, listed.json().code], [400, 'INVALID_PATH'], path);
        }
      }
      assert.equal((await listTree(owner)).length, before);
    });
  }

  test('that Node itself refuses are answered with 400', async () => {
    for (const path of ['a b', 'a\x00b', 'a\x7fb', 'a\tb', 'a\x01b']) {
      const answer = await rawCall('GET', owner.url, `/v1/files/${path}`, { headers });
      assert.equal(answer.status, 400, JSON.stringify(path));
    }
  });

  test('in different encodings name the same file', async () => {
    const groups = [
      ['equal/a+b', 'equal/a%2Bb', 'equal/a%2bb', 'equal/%61+%62', 'equal//a+b', '/equal///a%2Bb'],
      ['equal/caf%C3%A9', 'equal/caf%c3%a9', 'equal/c%61f%C3%a9'],
      ['equal/~tilde', 'equal/%7Etilde', 'equal/%7etilde'],
      ["equal/!$&'()*,;=:@", 'equal/%21%24%26%27%28%29%2a%2c%3b%3d%3a%40'],
      ['equal/%22%3c%3e%5e%60%7b%7c%7d[]', 'equal/"<>^`{|}%5B%5d'],
      ['equal/-', '%65%71ual/%2d'],
      ['-', '%2d', '//-'],
    ];
    for (const [number, paths] of groups.entries()) {
      const [first = '', ...others] = paths.map((path) => `/v1/files/${path}`);
      const created = await rawCall('POST', owner.url, first, { headers, body: `first ${number}` });
      assert.equal(created.status, 201, first);
      await assertSame([first, ...others], `first ${number}`);
      for (const [turn, target] of others.entries()) {
        const { url } = cluster.at(turn);
        assert.equal((await rawCall('POST', url, target, { headers, body: 'again' })).status, 409, target);
        assert.equal((await rawCall('PUT', url, target, { headers, body: `by ${turn}` })).status, 200, target);
        await assertSame([first, target], `by ${turn}`);
      }
    }
  });

  test('are decoded once', async () => {
    const names = ['%2e', '%2e%2e', '%2F', '%00', '%252e', '%41', '%c3%a9', '%', '%zz', '..%2f..'];
    for (const name of names) {
      const target = `/v1/files/once/${encodeURIComponent(name).replaceAll('.', '%2e')}`;
      assert.equal(
        (await rawCall('POST', owner.url, target, { headers, body: Buffer.from(name) })).status,
        201,
        target,
      );
      await assertSame([target], name);
    }
    const listed = await listTree(peer, '/once');
    assert.deepEqual(new Set(listed.map((entry) => entry.name)), new Set(names));
  });

  test('with names that only look special are ordinary', async () => {
    const names = [
      '...',
      '..a',
      'a..',
      '.hidden',
      '.CALLFS',
      '.callfs2',
      'callfs',
      'con',
      'nul.txt',
      ' ',
      'a\u200bb',
      '\ufeffbom',
      '\u0085',
    ];
    for (const name of names) {
      const target = `/v1/files/${encodeURIComponent(name)}`;
      assert.equal((await rawCall('POST', owner.url, target, { headers, body: Buffer.from(name) })).status, 201, name);
      await assertSame([target], name);
    }
    assert.equal((await rawCall('POST', owner.url, '/v1/files/deep/.callfs', { headers, body: 'x' })).status, 201);
    await assertSame(['/v1/files/deep/.callfs'], 'x');
  });

  test('may have names of 255 bytes and paths of 4,096', async () => {
    for (const name of ['n'.repeat(255), 'é'.repeat(127), '漢'.repeat(85), '😀'.repeat(63)]) {
      const target = `/v1/files/${encodeURIComponent(name)}`;
      assert.equal(
        (await rawCall('PUT', owner.url, target, { headers, body: Buffer.from(name.slice(0, 2)) })).status,
        201,
      );
      await assertSame([target], name.slice(0, 2));
    }
    const everyByteEncoded = Array.from(LONGEST_PATH, (c) => (c === '/' ? c : `%${c.charCodeAt(0).toString(16)}`)).join(
      '',
    );
    const targets = [LONGEST_PATH, everyByteEncoded].map((path) => `/v1/files/${path}`);
    assert.equal((await rawCall('PUT', owner.url, targets[0] ?? '', { headers, body: 'long' })).status, 201);
    await assertSame(targets, 'long');
    assert.equal((await rawCall('PUT', peer.url, targets[1] ?? '', { headers, body: 'longer' })).status, 200);
    await assertSame(targets, 'longer');
    assert.equal((await rawCall('DELETE', peer.url, targets[1] ?? '', { headers })).status, 204);
    assert.equal((await rawCall('GET', owner.url, targets[0] ?? '', { headers })).status, 404);
  });

  test('in absolute form are those of the path in it', async () => {
    await rawCall('PUT', owner.url, '/v1/files/absolute/a%20b', { headers, body: 'absolute' });
    const authorities = ['http://example.com', 'https://example.com:8443', 'HTTP://user:pw@[::1]:1', owner.url];
    await assertSame(
      authorities.map((authority) => `${authority}/v1/files/absolute/a%20b?x=y`),
      'absolute',
    );
    for (const [target, status] of [
      ['http://example.com/v1/files/..', 400],
      ['http://example.com', 404],
      ['http://example.com?x', 404],
      ['ftp://example.com/v1/files/absolute', 404],
      ['example.com/v1/files/absolute', 400],
      ['*', 404],
      ['?', 400],
    ] as const) {
      assert.equal((await rawCall('GET', owner.url, target, { headers })).status, status, target);
    }
  });

  test('outside of /v1/files are never those of a file', async () => {
    await rawCall('PUT', owner.url, '/v1/files/es/-', { headers, body: 'x' });
    await rawCall('PUT', owner.url, '/v1/files/x', { headers, body: 'x' });
    const strange = [
      '/v1/fi%6ces/-',
      '/v1/fi%6Ces/x',
      '/%76%31/files/x',
      '/v1/files%2fx',
      '/v1/files%2F',
      '/v1/files;x',
      '/v1//files/x',
      '//v1/files/x',
      '/./v1/files/x',
      '/v1/../v1/files/x',
      '/V1/FILES/x',
      '/v1/filesx',
      '/v1/directories%2fx',
      '/v1/d%69rectories/-',
      '/v1/intern%61l/-',
    ];
    for (const target of strange) {
      for (const method of ['GET', 'PUT', 'DELETE']) {
        const answer = await rawCall(method, owner.url, target, {
          headers,
          ...(method === 'PUT' ? { body: 'y' } : {}),
        });
        assert.deepEqual([answer.status, answer.json().code], [404, 'NOT_FOUND'], `${method} ${target}`);
      }
    }
    await assertSame(
      ['/v1/files/es/-', '/v1/files/x', '/v1/files/x?', '/v1/files/x?a/../b', '/v1/files/x??%zz&%ff'],
      'x',
    );
  });

  suite('names', () => {
    const NAMES = [
      'with space', ' leading', 'trailing ', 'a+b', '100%', '%41', 'a#b', 'what?', 'a?b=c&d', '\u00e9', 'e\u0301', '😀',
      'a_b', 'aXb', 'a*b', 'a?b', '[x]', 'x', "it's", 'say "hi"', '-rf', '--help', '~', '~root', 'a;b', '日本語',
      'trailing.', 'UPPER', 'upper', '$HOME', '`id`', '$(id)', '{a,b}', 'a|b', '<b>', 'a:b', '@', '!', '(1)', "'", '"',
      'ß', 'ı', 'İ', 'a,b', 'a=b', 'a&b', '^', '.dot', 'index.html',
    ]; // biome-ignore format: a table
    const targetOf = (name: string): string => `/v1/files/names/${encode(name)}`;

    test('of every kind are created at the owner, then read, replaced and found in conflicts through a peer', async () => {
      for (const name of NAMES) {
        const created = await call('POST', owner.url, targetOf(name), { body: `at owner: ${name}` });
        assert.equal(created.status, 201, name);
        assert.equal(created.json().name, name);
      }
      for (const name of NAMES) {
        assert.equal((await call('GET', peer.url, targetOf(name))).text, `at owner: ${name}`, name);
        const replaced = await call('PUT', peer.url, targetOf(name), { body: `by peer: ${name}` });
        assert.deepEqual([replaced.status, replaced.json().path], [200, `/names/${name}`]);
      }
      for (const name of NAMES) {
        for (const { url } of cluster.instances)
          assert.equal((await call('GET', url, targetOf(name))).text, `by peer: ${name}`);
        const refused = (await call('POST', peer.url, targetOf(name), { body: 'x' })).json();
        assert.deepEqual([refused.existing_path, refused.instance_id], [`/names/${name}`, owner.id]);
      }
    });

    test('are listed as they are, in byte order', async () => {
      const inOrder = [...NAMES].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      for (const instance of cluster.instances) {
        assert.deepEqual(
          (await listTree(instance, '/names')).map(({ name }) => name),
          inOrder,
        );
        const children = JSON.parse((await call('GET', instance.url, '/v1/files/names/')).text) as {
          name: string;
          path: string;
        }[];
        assert.deepEqual(
          children.map(({ name }) => name),
          inOrder,
        );
        for (const { path, name } of children) assert.equal(path, `/names/${name}`);
      }
    });

    test('are in update_url so that curl can use it as printed', async () => {
      const run = promisify(execFile);
      for (const name of NAMES) {
        const { update_url: url } = (await call('POST', peer.url, targetOf(name), { body: 'x' })).json();
        assert(typeof url === 'string' && url.startsWith(`${owner.url}/v1/files/names/`));
        const args = ['-sS', '-X', 'PUT', '-H', `Authorization: Bearer ${ALICE_KEY}`, '--data', `by curl: ${name}`];
        const { stdout } = await run('curl', [...args, '-w', '%{http_code}', '-o', '/dev/null', url]);
        assert.equal(stdout, '200', url);
        assert.equal((await call('GET', peer.url, targetOf(name))).text, `by curl: ${name}`);
      }
    });

    test('are those of the files on disk', async () => {
      const folder = join(owner.dataRoot, 'names');
      await waitFor('the names to be at rest', () => readdirSync(folder).length === NAMES.length);
      await assertAtRest(cluster);
      assert.deepEqual(readdirSync(folder).sort(), [...NAMES].sort());
      for (const name of NAMES) assert.equal(readFileSync(join(folder, name), 'utf8'), `by curl: ${name}`);
    });

    test('are removed one by one through a peer, each only itself', async () => {
      for (const [number, name] of NAMES.entries()) {
        assert.equal((await call('DELETE', peer.url, targetOf(name))).status, 204, name);
        assert.equal((await listTree(owner, '/names')).length, NAMES.length - number - 1, name);
      }
    });
  });

  test('of any bytes are answered, never with a 5xx, and never name another file than they spell', async () => {
    const hostile = fc.constantFrom(
      ...[
        '..',
        '.',
        '%2e',
        '%2E%2e',
        '%2f',
        '%5c',
        '\\',
        '%00',
        '%0a',
        '%25',
        '%252e',
        '%ff',
        '%c0%ae',
        '%e2%80%ae',
        '%',
        '//',
        '/',
      ],
      ...[
        '.callfs',
        '#',
        '?',
        ';',
        ':',
        '@',
        '&',
        '=',
        '+',
        '*',
        '~',
        '%20',
        '%EF%BB%BF',
        '%ed%a0%80',
        '\xc3\xa9',
        'é',
        '\xff',
        '-',
      ],
    );
    const anyByte = fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code));
    const encodedByte = fc.integer({ min: 0, max: 0xff }).map((code) => `%${code.toString(16).padStart(2, '0')}`);
    const letters = fc.string({
      minLength: 1,
      maxLength: 12,
      unit: fc.constantFrom('a', 'b', 'é', '漢', '_').map(encode),
    });
    const piece = fc.oneof(letters, letters, hostile, anyByte, encodedByte, fc.constant('/'));
    const prefix = fc.oneof(
      { weight: 8, arbitrary: fc.constant('/v1/files/') },
      fc.constantFrom(
        '/v1/directories/',
        '/v1/files',
        '/',
        '',
        'http://h/v1/files/',
        '/v1/internal/',
        '/v1/fi%6ces/',
        '//v1/files/',
      ),
    );
    const request = fc.record({
      target: fc.tuple(prefix, fc.array(piece, { maxLength: 7 })).map(([start, pieces]) => start + pieces.join('')),
      method: fc.constantFrom('GET', 'HEAD', 'PUT', 'PUT', 'POST', 'DELETE'),
      at: fc.nat({ max: 1 }),
    });
    let written = 0;
    const property = fc.asyncProperty(request, async ({ target, method, at }) => {
      const { url } = cluster.at(at);
      const body = method === 'PUT' || method === 'POST' ? { body: `content of ${target}` } : {};
      const answer = await rawCall(method, url, target, { headers, ...body });
      assert(answer.status >= 200 && answer.status < 500, `${answer.status} ${answer.text}`);
      if (method !== 'PUT' || answer.status >= 300) return;
      written++;
      const path = String(answer.json().path);
      assert.equal(path, spelledBy(target));
      const again = await rawCall('GET', cluster.at(at + 1).url, `/v1/files${encode(path)}`, { headers });
      assert.deepEqual([again.status, again.body.toString('latin1')], [200, `content of ${target}`]);
    });
    await fc.assert(property, { numRuns: process.env.CALLFS_LONG_TESTS === '1' ? 10_000 : 1000 });
    assert(written > 50, `only ${written} targets named a file`);
  });

  test('have touched nothing outside of the data and left everything in order', async () => {
    await assertAtRest(cluster);
    assertNothingForeign(cluster);
    assert.deepEqual(outsideOfData(), atStart);
    for (const { log } of cluster.instances) {
      assert.deepEqual(
        log.filter(({ status }) => Number(status) >= 500),
        [],
      );
    }
  });
});

/** The path that a target with only allowed characters spells, decoded by other means than the server's. */
function spelledBy(target: string): string {
  const encoded = target.replace(/^[^?]*?\/v1\/files/, '').split('?')[0] ?? '';
  const names = encoded.split('/').filter((name) => name !== '');
  const decoded = names.map((name) => {
    const latin1 = name.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
    return Buffer.from(latin1, 'latin1').toString('utf8');
  });
  return `/${decoded.join('/')}`;
}
