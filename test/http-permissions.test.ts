/** Who may do what: keys, users and Unix permissions, at the owner and through a peer alike. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { stagedFiles } from './support/at-rest.ts';
import { type Answer, call } from './support/client.ts';
import { ADMIN_KEY, ALICE_KEY, BOB_KEY, startCluster, type TestCluster, type TestInstance } from './support/cluster.ts';
import { RawConnection, rawCall } from './support/raw-connection.ts';

const CAROL_KEY = 'carol-55aa66bb77cc88dd99ee';
/** Alice owns what is tested; bob shares her group; carol shares only her numeric ids; the admin may everything. */
const USERS = { alice: ALICE_KEY, bob: BOB_KEY, carol: CAROL_KEY, admin: ADMIN_KEY };
type UserName = keyof typeof USERS;
const AUTH = {
  api_key_users: USERS,
  users: { alice: { groups: ['staff'] }, bob: { groups: ['other', 'staff'] }, admin: { admin: true } },
};

function assertDenied(answer: Pick<Answer, 'status' | 'text' | 'json'>, what: string): void {
  assert.equal(answer.status, 403, `${what}: ${answer.text}`);
  assert.equal(answer.json().code, 'PERMISSION_DENIED', what);
}

/** What the mode gives to a user, by the class alice, bob and carol belong to. */
function bitsOf(mode: number, user: UserName): number {
  if (user === 'admin') return 7;
  const shift = { alice: 6, bob: 3, carol: 0 }[user];
  return (mode >> shift) & 7;
}

suite('identity and permission', () => {
  let cluster: TestCluster;
  let owner: TestInstance;
  before(async () => {
    cluster = await startCluster({ instances: 2, config: { auth: AUTH } });
    owner = cluster.at(0);
  });
  after(() => cluster[Symbol.asyncDispose]());

  async function create(
    path: string,
    mode: string,
    { user = 'alice', body = 'content' }: { user?: UserName; body?: string } = {},
  ) {
    const headers = { 'x-callfs-mode': mode };
    const created = await call('POST', owner.url, `/v1/files/${path}`, { key: USERS[user], headers, body });
    assert.equal(created.status, 201, created.text);
    return created;
  }

  suite('a key', () => {
    const WRONG: Record<string, Record<string, string>> = {
      missing: {},
      wrong: { authorization: 'Bearer wrong-key-0123456789abcdef' },
      'almost right': { authorization: `Bearer ${ALICE_KEY}x` },
      'without a scheme': { authorization: ALICE_KEY },
      'of another scheme': { authorization: `Basic ${Buffer.from(`alice:${ALICE_KEY}`).toString('base64')}` },
      empty: { authorization: 'Bearer ' },
      'only a scheme': { authorization: 'Bearer' },
      'of two parts': { authorization: `Bearer ${ALICE_KEY} ${ALICE_KEY}` },
      'of odd bytes': { authorization: 'Bearer \u00e9\u00ff' },
    };
    for (const [what, headers] of Object.entries(WRONG)) {
      test(`that is ${what} is answered with 401 everywhere`, async () => {
        for (const { url } of cluster.instances) {
          for (const [method, target] of [
            ['GET', '/v1/files/nothing'],
            ['HEAD', '/v1/files/nothing'],
            ['POST', '/v1/files/nothing'],
            ['PUT', '/v1/files/nothing'],
            ['DELETE', '/v1/files/nothing'],
            ['GET', '/v1/files/..%2F'],
            ['GET', '/v1/directories/'],
            ['GET', '/metrics'],
          ] as const) {
            const answer = await rawCall(method, url, target, { headers });
            assert.equal(answer.status, 401, `${method} ${target}`);
            assert.match(answer.headers['www-authenticate'] ?? '', /^Bearer/);
            if (method !== 'HEAD') assert.equal(answer.json().code, 'AUTHENTICATION_FAILED');
          }
        }
      });
    }

    test('is recognised whatever the case of its scheme', async () => {
      for (const scheme of ['Bearer', 'bearer', 'BEARER', 'bEaReR']) {
        const { status } = await rawCall('GET', owner.url, '/v1/files/', {
          headers: { authorization: `${scheme} ${ALICE_KEY}` },
        });
        assert.equal(status, 200, scheme);
      }
    });

    test('that is wrong gets its answer before the body is read', async () => {
      for (const { url } of cluster.instances) {
        using connection = await RawConnection.open(url);
        connection.sendHead('PUT', '/v1/files/nothing', { 'content-length': '5', expect: '100-continue' });
        assert.equal((await connection.answer()).status, 401);
        assert.deepEqual(connection.interim, []);
      }
    });
  });

  suite('a file', () => {
    for (const mode of [0o644, 0o640, 0o600, 0o660, 0o666, 0o400, 0o200, 0o060, 0o004, 0o000]) {
      const octal = mode.toString(8).padStart(4, '0');
      test(`of mode ${octal} is read and written by whom the mode says`, async () => {
        const target = `/v1/files/modes/${octal}`;
        await create(`modes/${octal}`, octal);
        for (const { url, id } of cluster.instances) {
          for (const user of Object.keys(USERS) as UserName[]) {
            const key = USERS[user];
            const bits = bitsOf(mode, user);
            const [mayRead, mayWrite] = [(bits & 4) !== 0, (bits & 2) !== 0];
            const got = await call('GET', url, target, { key });
            if (mayRead) assert.equal(got.status, 200, `${user} reads at ${id}`);
            else assertDenied(got, `${user} reads at ${id}`);
            assert.equal(
              (await call('HEAD', url, target, { key })).status,
              mayRead ? 200 : 403,
              `${user} looks at ${id}`,
            );
            const put = await call('PUT', url, target, { key, body: `by ${user}` });
            if (mayWrite) assert.equal(put.status, 200, `${user} writes at ${id}`);
            else assertDenied(put, `${user} writes at ${id}`);
            const { headers } = await call('HEAD', url, target, { key: ADMIN_KEY });
            assert.equal(headers['x-callfs-owner'], 'alice', 'a writer does not become the owner');
            assert.equal(headers['x-callfs-mode'], octal);
          }
        }
      });
    }

    test('belongs to whom created it, by name: the same numeric ids do not make an owner', async () => {
      const created = await create('by-carol', '0600', { user: 'carol' });
      assert.equal(created.headers['x-callfs-owner'], 'carol');
      assert.equal(created.headers['x-callfs-uid'], '1000');
      for (const { url } of cluster.instances) {
        assert.equal((await call('GET', url, '/v1/files/by-carol', { key: CAROL_KEY })).status, 200);
        assertDenied(await call('GET', url, '/v1/files/by-carol', { key: ALICE_KEY }), 'alice');
      }
    });

    test('gets the first group of its creator', async () => {
      assert.equal((await create('group-of-bob', '0640', { user: 'bob' })).json().group, 'other');
      assertDenied(await call('GET', cluster.at(1).url, '/v1/files/group-of-bob', { key: ALICE_KEY }), 'alice');
    });
  });

  suite('a directory', () => {
    for (const mode of [0o755, 0o777, 0o770, 0o700, 0o711, 0o744, 0o722, 0o733, 0o070]) {
      const octal = mode.toString(8).padStart(4, '0');
      test(`of mode ${octal} is listed, searched and changed by whom the mode says`, async () => {
        const directory = `dirs/${octal}`;
        await create(`${directory}/`, octal);
        await call('POST', owner.url, `/v1/files/${directory}/file`, { key: ADMIN_KEY, body: 'content' });
        for (const { url, id } of cluster.instances) {
          for (const user of Object.keys(USERS) as UserName[]) {
            const key = USERS[user];
            const bits = bitsOf(mode, user);
            const what = `${user} at ${id}`;
            const mayChange = (bits & 3) === 3;
            for (const target of [`/v1/files/${directory}`, `/v1/directories/${directory}`]) {
              const { status } = await call('GET', url, target, { key });
              assert.equal(status, (bits & 4) !== 0 ? 200 : 403, `${what} lists ${target}`);
            }
            const { status } = await call('GET', url, `/v1/files/${directory}/file`, { key });
            assert.equal(status, (bits & 1) !== 0 ? 200 : 403, `${what} reaches the file`);
            const mine = `/v1/files/${directory}/of-${user}-${id}`;
            const created = await call('POST', url, mine, { key, body: 'x' });
            if (mayChange) assert.equal(created.status, 201, `${what} creates`);
            else assertDenied(created, `${what} creates`);
            if (!mayChange)
              assertDenied(await call('PUT', url, `${mine}/deep/er`, { key, body: 'x' }), `${what} creates deep`);
            await call('PUT', url, `/v1/files/${directory}/victim`, { key: ADMIN_KEY, body: 'x' });
            for (const instance of cluster.instances) {
              const removed = await call('DELETE', instance.url, `/v1/files/${directory}/victim`, { key });
              if (!mayChange) assertDenied(removed, `${what} removes`);
              else if (instance === owner) assert.equal(removed.status, 204, `${what} removes`);
            }
          }
        }
      });
    }

    test('that may not be searched tells nothing about what is in it', async () => {
      await create('secret/', '0700');
      await create('secret/existing', '0666');
      await create('secret/directory/deep', '0666');
      const requests: [string, string][] = [
        ['GET', ''],
        ['HEAD', ''],
        ['PUT', ''],
        ['POST', ''],
        ['DELETE', ''],
        ['POST', '/'],
        ['GET', '/below'],
        ['PUT', '/below/that'],
        ['DELETE', '/below'],
      ];
      for (const { url } of cluster.instances) {
        for (const [method, suffix] of requests) {
          const answers = await Promise.all(
            ['existing', 'directory', 'missing-x'].map((name) =>
              call(method, url, `/v1/files/secret/${name}${suffix}`, {
                key: BOB_KEY,
                ...(method === 'PUT' || method === 'POST' ? { body: 'x' } : {}),
              }),
            ),
          );
          const shapes = answers.map(({ status, headers, text }) => {
            const { 'x-request-id': _id, date: _date, ...fields } = headers;
            return JSON.stringify({ status, fields, text: text.replace(/"request_id":"[^"]+"/, '') });
          });
          assert.equal(answers[0]?.status, 403, `${method} ${suffix}`);
          assert.deepEqual(shapes, Array(3).fill(shapes[0]), `${method} ${suffix}`);
        }
        for (const target of [
          '/v1/directories/secret/directory',
          '/v1/directories/secret/missing',
          '/v1/directories/secret/existing',
        ]) {
          assertDenied(await call('GET', url, target, { key: BOB_KEY }), target);
        }
      }
    });

    test('makes missing parents belong to whom creates below it', async () => {
      await call('PUT', cluster.at(1).url, '/v1/files/parents/of/bob/file', { key: BOB_KEY, body: 'x' });
      for (const path of ['parents', 'parents/of', 'parents/of/bob']) {
        const { headers } = await call('HEAD', owner.url, `/v1/files/${path}`, { key: CAROL_KEY });
        assert.equal(headers['x-callfs-owner'], 'bob');
        assert.equal(headers['x-callfs-mode'], '0755');
        assert.equal(headers['x-callfs-instance-id'], 'callfs-2');
      }
      assertDenied(await call('POST', owner.url, '/v1/files/parents/of/alice', { body: 'x' }), 'alice');
    });
  });

  suite('the sticky bit', () => {
    for (const [directory, where] of [
      ['', 'of the root'],
      ['sticky/', 'of any directory'],
    ] as const) {
      test(`${where} protects what others made`, async () => {
        if (directory !== '') await create(directory, '1777', { user: 'admin' });
        for (const { url } of cluster.instances) {
          const target = `/v1/files/${directory}of-alice`;
          await create(`${directory}of-alice`, '0666');
          for (const user of ['bob', 'carol'] as const) {
            assertDenied(await call('DELETE', url, target, { key: USERS[user] }), user);
            assertDenied(await call('DELETE', url, `${target}?recursive=true`, { key: USERS[user] }), user);
            assert.equal((await call('PUT', url, target, { key: USERS[user], body: 'x' })).status, 200);
          }
          assert.equal((await call('DELETE', url, target)).status, 204);
          await create(`${directory}of-alice`, '0600');
          assert.equal((await call('DELETE', url, target, { key: ADMIN_KEY })).status, 204);
        }
      });
    }

    test('does not protect from the owner of the directory', async () => {
      await create('sticky-of-alice/', '1777');
      await create('sticky-of-alice/of-bob', '0600', { user: 'bob' });
      assertDenied(
        await call('DELETE', cluster.at(1).url, '/v1/files/sticky-of-alice/of-bob', { key: CAROL_KEY }),
        'carol',
      );
      assert.equal((await call('DELETE', cluster.at(1).url, '/v1/files/sticky-of-alice/of-bob')).status, 204);
    });
  });

  suite('X-CallFS-Mode', () => {
    test('is the mode of what is created, and changes nothing that exists', async () => {
      for (const [given, shown] of [
        ['0640', '0640'],
        ['600', '0600'],
        ['1777', '1777'],
        ['00755', '0755'],
        ['0', '0000'],
      ] as const) {
        assert.equal((await create(`mode-header/${given}`, given)).headers['x-callfs-mode'], shown);
        assert.equal((await create(`mode-header/${given}-dir/`, given)).headers['x-callfs-mode'], shown);
      }
      const headers = { 'x-callfs-mode': '0604' };
      const put = await call('PUT', cluster.at(1).url, '/v1/files/mode-header/put', { headers, body: 'x' });
      assert.equal(put.headers['x-callfs-mode'], '0604');
      const again = { 'x-callfs-mode': '0777' };
      await call('PUT', owner.url, '/v1/files/mode-header/put', { headers: again, body: 'y' });
      const { headers: shown } = await call('HEAD', owner.url, '/v1/files/mode-header/put');
      assert.equal(shown['x-callfs-mode'], '0604');
    });

    test('that is no mode is refused before the body', async () => {
      for (const mode of ['rw-r--r--', '0888', '-1', '77777', '2755', '4755', '0o644', '6 4 4', '420.0', '1e3']) {
        for (const { url } of cluster.instances) {
          for (const [method, target] of [
            ['POST', '/v1/files/mode-refused'],
            ['PUT', '/v1/files/mode-refused'],
            ['POST', '/v1/files/mode-refused/'],
          ] as const) {
            using connection = await RawConnection.open(url);
            const authorization = `Bearer ${ALICE_KEY}`;
            const headers = { authorization, 'x-callfs-mode': mode, 'content-length': '5', expect: '100-continue' };
            connection.sendHead(method, target, headers);
            const answer = await connection.answer();
            assert.equal(answer.status, 400, `${method} ${mode}`);
            assert.equal(answer.json().code, 'BAD_REQUEST');
            assert.deepEqual(connection.interim, []);
          }
        }
      }
      assert.equal((await call('GET', owner.url, '/v1/files/mode-refused')).status, 404);
    });
  });

  suite('a denied upload', () => {
    const targets = ['denied/file', 'denied/new', 'denied/new/below'];
    before(async () => {
      await create('denied/', '0755');
      await create('denied/file', '0644');
    });

    test('is denied before its body is asked for', async () => {
      for (const { url } of cluster.instances) {
        for (const target of targets) {
          using connection = await RawConnection.open(url);
          const authorization = `Bearer ${CAROL_KEY}`;
          connection.sendHead('PUT', `/v1/files/${target}`, {
            authorization,
            'content-length': '5',
            expect: '100-continue',
          });
          assertDenied(await connection.answer(), target);
          assert.deepEqual(connection.interim, []);
        }
      }
    });

    test('gets its answer also when the client sends a large body at once', async () => {
      const body = 'x'.repeat(8_000_000);
      for (const { url } of cluster.instances) {
        for (const target of targets) {
          for (const connection of ['close', 'keep-alive']) {
            const headers = { authorization: `Bearer ${CAROL_KEY}`, connection };
            assertDenied(await rawCall('PUT', url, `/v1/files/${target}`, { headers, body }), target);
          }
        }
      }
      for (const instance of cluster.instances) assert.deepEqual(stagedFiles(instance), []);
      assert.equal((await call('GET', cluster.at(1).url, '/v1/files/denied/file')).text, 'content');
    });

    test('leaves the connection usable', async () => {
      for (const { url } of cluster.instances) {
        using connection = await RawConnection.open(url);
        connection.sendHead('PUT', '/v1/files/denied/file', {
          authorization: `Bearer ${CAROL_KEY}`,
          'content-length': '100000',
        });
        connection.send('x'.repeat(100_000));
        assertDenied(await connection.answer(), 'PUT');
        connection.sendHead('GET', '/v1/files/denied/file', { authorization: `Bearer ${CAROL_KEY}` });
        assert.equal((await connection.answer()).text, 'content');
      }
    });
  });

  suite('a recursive removal', () => {
    test('that is denied somewhere below removes nothing', async () => {
      await create('tree/', '0777');
      await create('tree/free', '0666');
      await create('tree/of-bob/file', '0666', { user: 'bob' });
      await create('tree/of-alice/file', '0666');
      for (const { url } of cluster.instances) {
        for (const [user, target] of [
          ['carol', 'tree'],
          ['bob', 'tree'],
          ['alice', 'tree'],
          ['carol', 'tree/of-alice'],
        ] as const) {
          assertDenied(
            await call('DELETE', url, `/v1/files/${target}?recursive=true`, { key: USERS[user] }),
            `${user} ${target}`,
          );
        }
        for (const file of ['free', 'of-bob/file', 'of-alice/file']) {
          assert.equal((await call('GET', url, `/v1/files/tree/${file}`)).text, 'content');
        }
      }
      assert.equal(
        (await call('DELETE', owner.url, '/v1/files/tree/of-bob?recursive=true', { key: BOB_KEY })).status,
        204,
      );
      assert.equal((await call('DELETE', cluster.at(1).url, '/v1/files/tree?recursive=true')).status, 204);
    });

    test('protects what lies in a sticky directory below', async () => {
      await create('sticky-tree/', '0777');
      await create('sticky-tree/shared/', '1777', { user: 'admin' });
      await create('sticky-tree/shared/of-bob', '0666', { user: 'bob' });
      assertDenied(await call('DELETE', owner.url, '/v1/files/sticky-tree?recursive=true'), 'alice');
      assert.equal((await call('GET', owner.url, '/v1/files/sticky-tree/shared/of-bob')).text, 'content');
    });
  });
});

suite('keys without a name', () => {
  test('give each user a name that depends on the key, not on its place in the list', async () => {
    const keys = ['first-key-0123456789ab', 'second-key-0123456789a'];
    await using cluster = await startCluster({
      instances: 1,
      config: { auth: { api_keys: keys, api_key_users: {}, users: {} } },
    });
    const instance = cluster.at(0);
    const ownerOf = async (key: string, path: string): Promise<unknown> =>
      (await call('PUT', instance.url, path, { key, body: 'x' })).headers['x-callfs-owner'];
    const [first, second] = [
      await ownerOf('first-key-0123456789ab', '/v1/files/1'),
      await ownerOf('second-key-0123456789a', '/v1/files/2'),
    ];
    assert.match(String(first), /^api-user-/);
    assert.notEqual(first, second);
    assert(!String(first).includes('first-key'));
    const config = JSON.parse(readFileSync(instance.configFile, 'utf8'));
    config.auth.api_keys.reverse();
    writeFileSync(instance.configFile, JSON.stringify(config));
    await instance.stop();
    await instance.start();
    assert.equal(await ownerOf('first-key-0123456789ab', '/v1/files/3'), first);
    const denied = await call('PUT', instance.url, '/v1/files/1', { key: 'second-key-0123456789a', body: 'y' });
    assertDenied(denied, 'the other key');
  });
});
