/** Listings of directories: the same at every instance, in byte order, whole or in pages. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type Answer, call } from './support/client.ts';
import { ADMIN_KEY, ALICE_KEY, BOB_KEY, startCluster, type TestCluster } from './support/cluster.ts';

interface Item {
  readonly name: string;
  readonly path: string;
  readonly type: string;
  readonly [field: string]: unknown;
}

interface Page {
  readonly items: readonly Item[];
  readonly next_cursor: string | null;
  readonly [field: string]: unknown;
}

const pathsOf = (items: readonly Item[]): string[] => items.map(({ path }) => path);
const linesOf = ({ text }: Answer): Item[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
const NDJSON = { accept: 'application/x-ndjson' };

suite('listings', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await startCluster({ instances: 2 });
  });
  after(() => cluster[Symbol.asyncDispose]());

  /** Files, each at another instance than the one before. */
  async function createAll(paths: readonly string[], mode = '0644'): Promise<void> {
    const rest = paths.entries();
    const lane = async (): Promise<void> => {
      for (const [number, path] of rest) {
        const target = `/v1/files${path.split('/').map(encodeURIComponent).join('/')}`;
        const { status, text } = await call('POST', cluster.at(number).url, target, {
          body: path,
          headers: { 'x-callfs-mode': mode },
        });
        assert(status === 201 || (status === 409 && path.endsWith('/')), text);
      }
    };
    await Promise.all(Array.from({ length: 32 }, lane));
  }

  async function list(
    directory: string,
    query = '',
    { at = 0, key = ALICE_KEY } = {},
  ): Promise<Page & { answer: Answer }> {
    const answer = await call('GET', cluster.at(at).url, `/v1/directories${directory}${query}`, { key });
    assert.equal(answer.status, 200, answer.text);
    return { ...(answer.json() as unknown as Page), answer };
  }

  /** Every page, each asked of the next instance. */
  async function listInPages(directory: string, query: string, limit: number): Promise<Item[]> {
    const items: Item[] = [];
    let cursor: string | null = '';
    for (let turn = 0; cursor !== null; turn++) {
      const page: Page = await list(directory, `?${query}&limit=${limit}&cursor=${encodeURIComponent(cursor)}`, {
        at: turn,
      });
      assert(page.items.length <= limit);
      assert(page.next_cursor === null || page.items.length === limit, 'only the last page is short');
      assert.equal(page.count, page.items.length);
      items.push(...page.items);
      cursor = page.next_cursor;
    }
    return items;
  }

  suite('of a small tree', () => {
    const TREE = ['/tree/a', '/tree/b/c', '/tree/b/d/e', '/tree/b/d/f/g', '/tree/b.txt', '/tree/z'];
    const WHOLE = [
      '/tree/a',
      '/tree/b',
      '/tree/b/c',
      '/tree/b/d',
      '/tree/b/d/e',
      '/tree/b/d/f',
      '/tree/b/d/f/g',
      '/tree/b.txt',
      '/tree/z',
    ];
    before(() => createAll(TREE));

    test('show the children, and what each of them is', async () => {
      for (const at of [0, 1]) {
        const { answer, items, ...page } = await list('/tree', '', { at });
        assert.deepEqual(page, {
          path: '/tree',
          type: 'directory',
          recursive: false,
          max_depth: 100,
          count: 4,
          next_cursor: null,
        });
        assert.equal(answer.headers['content-type'], 'application/json; charset=utf-8');
        assert.equal(answer.headers['x-callfs-count'], '4');
        assert.equal(answer.headers['x-callfs-recursive'], 'false');
        assert.equal(answer.headers['x-callfs-type'], 'directory');
        assert.deepEqual(pathsOf(items), ['/tree/a', '/tree/b', '/tree/b.txt', '/tree/z']);
        const { mtime, etag, ...file } = items[0] ?? { mtime: '', etag: '' };
        const common = { mode: '0644', owner: 'alice', group: 'staff', uid: 1000, gid: 1000, backend_type: 'localfs' };
        assert.deepEqual(file, {
          name: 'a',
          path: '/tree/a',
          type: 'file',
          size: 7,
          content_type: 'application/octet-stream',
          instance_id: 'callfs-1',
          ...common,
        });
        assert.match(String(mtime), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
        assert.equal(etag, (await call('HEAD', cluster.at(1).url, '/v1/files/tree/a')).headers.etag);
        assert.deepEqual([items[1]?.type, items[1]?.mode, items[1]?.size], ['directory', '0755', 0]);
      }
    });

    test('show it whole or down to a depth', async () => {
      const down = (levels: number) => WHOLE.filter((path) => path.split('/').length <= 3 + levels);
      for (const at of [0, 1]) {
        for (const [query, expected] of [
          ['?recursive=true', WHOLE],
          ['?recursive', WHOLE],
          ['?recursive=true&max_depth=100', WHOLE],
          ['?recursive=true&max_depth=0', down(0)],
          ['?recursive=true&max_depth=1', down(1)],
          ['?recursive=true&max_depth=2', down(2)],
          ['?recursive=false&max_depth=2', down(0)],
          ['?max_depth=2', down(0)],
        ] as const) {
          assert.deepEqual(pathsOf((await list('/tree', query, { at })).items), expected, query);
        }
        const page = await list('/tree', '?recursive=true&max_depth=2', { at });
        assert.deepEqual([page.recursive, page.max_depth], [true, 2]);
        assert.equal(page.answer.headers['x-callfs-recursive'], 'true');
        assert.equal(page.answer.headers['x-callfs-count'], String(page.items.length));
      }
    });

    test('are the same with a slash at the end and with slashes repeated', async () => {
      const { items } = await list('/tree');
      for (const directory of ['/tree/', '//tree', '/tree//']) assert.deepEqual((await list(directory)).items, items);
    });

    test('come in pages of any size, from any instance', async () => {
      for (let limit = 1; limit <= WHOLE.length + 1; limit++) {
        assert.deepEqual(pathsOf(await listInPages('/tree', 'recursive=true', limit)), WHOLE, `limit ${limit}`);
        const children = WHOLE.filter((path) => path.split('/').length === 3);
        assert.deepEqual(pathsOf(await listInPages('/tree', '', limit)), children, `limit ${limit}`);
      }
    });

    test('go on where they were although the last entry, or the directory it was in, is gone', async () => {
      await createAll(['/going/a/1', '/going/a/2', '/going/b', '/going/c']);
      const first = await list('/going', '?recursive=true&limit=2');
      assert.deepEqual(pathsOf(first.items), ['/going/a', '/going/a/1']);
      const more = (): Promise<Page> => list('/going', `?recursive=true&cursor=${first.next_cursor}`, { at: 1 });
      assert.equal((await call('DELETE', cluster.at(1).url, '/v1/files/going/a/1')).status, 204);
      assert.deepEqual(pathsOf((await more()).items), ['/going/a/2', '/going/b', '/going/c']);
      assert.equal((await call('DELETE', cluster.at(1).url, '/v1/files/going/a?recursive=true')).status, 204);
      assert.deepEqual(pathsOf((await more()).items), ['/going/b', '/going/c']);
    });

    test('come as one JSON object a line when asked for', async () => {
      for (const at of [0, 1]) {
        const { items } = await list('/tree', '?recursive=true', { at });
        const streamed = await call('GET', cluster.at(at).url, '/v1/directories/tree?recursive=true', {
          headers: NDJSON,
        });
        assert.match(String(streamed.headers['content-type']), /^application\/x-ndjson/);
        assert.equal(streamed.headers['x-callfs-recursive'], 'true');
        assert(streamed.text.endsWith('}\n'));
        assert.deepEqual(linesOf(streamed), items);
        const limited = await call('GET', cluster.at(at).url, '/v1/directories/tree?recursive=true&limit=3', {
          headers: NDJSON,
        });
        assert.deepEqual(linesOf(limited), items.slice(0, 3));
      }
    });

    test('are an array under /v1/files', async () => {
      for (const at of [0, 1]) {
        const { items } = await list('/tree', '', { at });
        for (const target of ['/v1/files/tree/', '/v1/files/tree']) {
          const answer = await call('GET', cluster.at(at).url, target);
          assert.equal(answer.status, 200);
          assert.match(String(answer.headers['content-type']), /^application\/json/);
          assert.deepEqual(JSON.parse(answer.text), items);
        }
      }
    });

    test('of the root show what is at the top', async () => {
      for (const at of [0, 1]) {
        const { items, path } = await list('/', '', { at });
        assert.equal(path, '/');
        assert(pathsOf(items).includes('/tree'));
        assert(!pathsOf(items).includes('/'), 'the root is not in itself');
        assert.deepEqual((await list('', '', { at })).items, items);
        const whole = pathsOf((await list('/', '?recursive=true', { at })).items);
        for (const expected of WHOLE) assert(whole.includes(expected));
        assert.equal(new Set(whole).size, whole.length);
      }
    });

    test('of an empty directory are empty', async () => {
      await call('POST', cluster.at(0).url, '/v1/files/empty/');
      const { items, count, next_cursor } = await list('/empty', '?recursive=true', { at: 1 });
      assert.deepEqual([items, count, next_cursor], [[], 0, null]);
      assert.equal((await call('GET', cluster.at(1).url, '/v1/directories/empty', { headers: NDJSON })).text, '');
      assert.deepEqual(JSON.parse((await call('GET', cluster.at(1).url, '/v1/files/empty/')).text), []);
    });
  });

  test('are in the order of bytes, not of letters or of UTF-16', async () => {
    const names = [
      'B',
      'a',
      'b',
      'A',
      '10',
      '9',
      'é',
      'e\u0301',
      'z',
      '\uffee',
      '😀',
      '\u{10000}',
      '_',
      '~',
      '-',
      ' ',
      '.x',
      'ß',
      'aa',
      'a b',
    ];
    await createAll(names.map((name) => `/order/${name}`));
    const inOrder = [...names].sort((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y)));
    for (const at of [0, 1]) {
      assert.deepEqual(
        (await list('/order', '', { at })).items.map(({ name }) => name),
        inOrder,
      );
    }
    assert.deepEqual(
      (await listInPages('/order', '', 3)).map(({ name }) => name),
      inOrder,
    );
  });

  suite('of more entries than one page holds', () => {
    const paths = Array.from(
      { length: 1100 },
      (_, number) => `/many/${String((number * 7919) % 100_003).padStart(6, '0')}`,
    );
    const inOrder = [...paths].sort();
    before(() => createAll(paths));

    test('end after 1,000 entries and go on with the cursor', async () => {
      const first = await list('/many');
      assert.deepEqual([first.count, first.answer.headers['x-callfs-count']], [1000, '1000']);
      const second = await list('/many', `?cursor=${first.next_cursor}`, { at: 1 });
      assert.deepEqual(pathsOf([...first.items, ...second.items]), inOrder);
      assert.equal(second.next_cursor, null);
    });

    test('come in small pages and in one large one', async () => {
      assert.deepEqual(pathsOf(await listInPages('/many', '', 99)), inOrder);
      assert.deepEqual(
        pathsOf(await listInPages('/', 'recursive=true', 333)).filter((path) => path.startsWith('/many/')),
        inOrder,
      );
      const { items, next_cursor } = await list('/many', '?limit=10000');
      assert.deepEqual([pathsOf(items), next_cursor], [inOrder, null]);
    });

    test('end a page exactly at the last entry without promising more', async () => {
      const { count, next_cursor } = await list('/many', `?limit=${paths.length}`);
      assert.deepEqual([count, next_cursor], [paths.length, null]);
    });

    test('are complete as lines and as an array', async () => {
      for (const { url } of cluster.instances) {
        assert.deepEqual(
          pathsOf(linesOf(await call('GET', url, '/v1/directories/many', { headers: NDJSON }))),
          inOrder,
        );
        assert.deepEqual(pathsOf(JSON.parse((await call('GET', url, '/v1/files/many/')).text)), inOrder);
      }
    });

    test('show what is there all the time exactly once, whatever comes and goes meanwhile', async () => {
      let listing = true;
      const disturb = async (lane: number): Promise<void> => {
        for (let number = 0; listing; number++) {
          const target = `/v1/files/many/${String((number * 10_007 + lane) % 100_003).padStart(6, '0')}-guest-${lane}`;
          await call('PUT', cluster.at(lane).url, target, { body: '' });
          await call('DELETE', cluster.at(lane + 1).url, target);
        }
      };
      const disturbing = [0, 1].map(disturb);
      for (let round = 0; round < 5; round++) {
        const listed = pathsOf(await listInPages('/many', '', 50));
        assert.equal(new Set(listed).size, listed.length);
        assert.deepEqual(listed, [...listed].sort());
        assert.deepEqual(
          listed.filter((path) => !path.includes('guest')),
          inOrder,
        );
      }
      listing = false;
      await Promise.all(disturbing);
    });
  });

  suite('that are refused', () => {
    before(() => createAll(['/refused/file', '/refused/dir/inside']));

    function refuse(target: string, status: number, code: string): Promise<unknown> {
      return Promise.all(
        cluster.instances.map(async ({ url }) => {
          const answer = await call('GET', url, `/v1/directories${target}`);
          assert.deepEqual([answer.status, answer.json().code], [status, code], `${target}: ${answer.text}`);
        }),
      );
    }

    test('name a file, or nothing', async () => {
      await refuse('/refused/file', 400, 'BAD_REQUEST');
      await refuse('/refused/nothing', 404, 'FILE_NOT_FOUND');
      await refuse('/nothing/at/all', 404, 'FILE_NOT_FOUND');
      await refuse('/refused/file/below', 404, 'FILE_NOT_FOUND');
    });

    test('have a parameter that makes no sense', async () => {
      for (const query of [
        ...[
          'limit=0',
          'limit=-1',
          'limit=ten',
          'limit=1.5',
          'limit=',
          'limit=1e3',
          'limit=99999999999',
          'limit=1&limit=2',
        ],
        ...[
          'max_depth=-1',
          'max_depth=x',
          'max_depth=',
          'recursive=yes',
          'recursive=1',
          'recursive=true&recursive=true',
        ],
      ]) {
        await refuse(`/refused?${query}`, 400, 'BAD_REQUEST');
      }
    });

    test('have a cursor that no listing gave', async () => {
      const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
      const made = [
        {},
        'text',
        1,
        null,
        [1],
        [''],
        [null],
        [['a']],
        ['..'],
        ['.'],
        ['a/b'],
        ['\u0000'],
        ['\ud800'],
        ['x'.repeat(256)],
      ];
      for (const cursor of ['garbage', '!!!', '%00', '%ff', 'W1', ...made.map(encode)]) {
        await refuse(`/refused?recursive=true&cursor=${cursor}`, 400, 'BAD_REQUEST');
      }
    });
  });

  suite('and permissions', () => {
    before(async () => {
      await createAll([
        '/rights/closed/secret',
        '/rights/open/shown',
        '/rights/only-names/name',
        '/rights/only-search/known',
      ]);
      for (const [directory, mode] of [
        ['closed', '0700'],
        ['only-names', '0744'],
        ['only-search', '0711'],
      ] as const) {
        const target = `/v1/files/rights/${directory}`;
        assert.equal((await call('DELETE', cluster.at(0).url, `${target}?recursive=true`)).status, 204);
        await call('POST', cluster.at(0).url, `${target}/`, { headers: { 'x-callfs-mode': mode } });
        await call('POST', cluster.at(1).url, `${target}/inside`, { body: 'x' });
      }
    });

    test('show a directory that may not be read, and not what is in it', async () => {
      const forBob = [
        '/rights/closed',
        '/rights/only-names',
        '/rights/only-search',
        '/rights/open',
        '/rights/open/shown',
      ];
      for (const at of [0, 1]) {
        assert.deepEqual(pathsOf((await list('/rights', '?recursive=true', { at, key: BOB_KEY })).items), forBob);
        const lines = await call('GET', cluster.at(at).url, '/v1/directories/rights?recursive=true', {
          key: BOB_KEY,
          headers: NDJSON,
        });
        assert.deepEqual(pathsOf(linesOf(lines)), forBob);
        for (const key of [ALICE_KEY, ADMIN_KEY]) {
          assert.equal((await list('/rights', '?recursive=true', { at, key })).items.length, forBob.length + 3);
        }
      }
    });

    test('do not enter such a directory by a cursor either', async () => {
      const cursor = Buffer.from(JSON.stringify(['closed', 'a'])).toString('base64url');
      for (const at of [0, 1]) {
        const { items } = await list('/rights', `?recursive=true&cursor=${cursor}`, { at, key: BOB_KEY });
        assert(!pathsOf(items).includes('/rights/closed/inside'));
      }
    });

    test('need the right to read the directory itself', async () => {
      for (const { url } of cluster.instances) {
        for (const target of [
          '/v1/directories/rights/closed',
          '/v1/files/rights/closed/',
          '/v1/directories/rights/only-search',
        ]) {
          const answer = await call('GET', url, target, { key: BOB_KEY });
          assert.deepEqual([answer.status, answer.json().code], [403, 'PERMISSION_DENIED'], target);
        }
        assert.equal((await call('GET', url, '/v1/directories/rights/only-names', { key: BOB_KEY })).status, 200);
        assert.equal((await call('GET', url, '/v1/directories/rights', { key: null })).status, 401);
      }
    });
  });
});
