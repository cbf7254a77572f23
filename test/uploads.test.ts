/** Resumable uploads: what the protocol (tus 1.0) promises, asked for at every instance. */
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { stagedFiles } from './support/at-rest.ts';
import { call } from './support/client.ts';
import { ADMIN_KEY, ALICE_KEY, BOB_KEY, startCluster, type TestCluster, type TestInstance } from './support/cluster.ts';
import { begin, metadataOf, offsetAt, openPatch, PIECE_TYPE, patch, tus } from './support/tus.ts';
import { waitFor } from './support/wait-for.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const MAX_BYTES = 4 * 1024 * 1024;

suite('resumable uploads', () => {
  let cluster: TestCluster;
  let holder: TestInstance;
  let peer: TestInstance;
  before(async () => {
    const config = { server: { max_upload_size: MAX_BYTES, cors_origins: ['https://app.example'] } };
    cluster = await startCluster({ instances: 2, config });
    [holder, peer] = [cluster.at(0), cluster.at(1)];
  });
  after(() => cluster[Symbol.asyncDispose]());

  const heldBytes = (): string[] => {
    try {
      return readdirSync(join(holder.dataRoot, '.callfs', 'uploads'));
    } catch {
      return [];
    }
  };
  const read = (at: TestInstance, path: string) => call('GET', at.url, `/v1/files${path}`);

  test('OPTIONS tells version, extensions and limits, without a key', async () => {
    for (const target of ['/v1/uploads', '/v1/uploads/some-id']) {
      const { status, headers } = await call('OPTIONS', peer.url, target, { key: null });
      assert.equal(status, 204);
      assert.equal(headers['tus-version'], '1.0.0');
      assert.match(
        String(headers['tus-extension']),
        /^creation,creation-with-upload,creation-defer-length,termination,checksum,expiration,concatenation$/,
      );
      assert.equal(headers['tus-checksum-algorithm'], 'sha1,sha256,sha512,md5,crc32');
      assert.equal(headers['tus-max-size'], String(MAX_BYTES));
    }
  });

  test('a file arrives in pieces at different instances and is visible only when it is whole', async () => {
    const url = await begin(holder, '/docs/new/piece by piece.txt', 11, { filetype: 'text/markdown', mode: '0640' });
    assert.match(url, /^\/v1\/uploads\/[\w-]+$/);
    const first = await patch(peer, url, 0, 'hello ');
    assert.equal(first.status, 204, first.text);
    assert.equal(first.headers['upload-offset'], '6');
    assert.equal(first.headers['tus-resumable'], '1.0.0');
    const head = await tus('HEAD', peer, url);
    assert.equal(head.status, 200);
    assert.equal(head.headers['upload-offset'], '6');
    assert.equal(head.headers['upload-length'], '11');
    assert.equal(head.headers['cache-control'], 'no-store');
    assert.equal(head.headers['x-frame-options'], 'DENY');
    assert(head.headers['x-request-id']);
    const leftMs = Date.parse(String(head.headers['upload-expires'])) - Date.now();
    assert(leftMs > DAY_MS - 60_000 && leftMs <= DAY_MS, `expires in ${leftMs} ms`);
    assert.equal((await read(holder, '/docs/new/piece%20by%20piece.txt')).status, 404);
    assert.equal((await read(holder, '/docs')).status, 404, 'its parents are made with it');

    const last = await patch(peer, url, 6, 'world');
    assert.equal(last.status, 204, last.text);
    assert.equal(last.headers['upload-offset'], '11');
    assert.equal(last.headers['x-callfs-instance-id'], holder.id);
    assert.equal(last.headers['x-callfs-mode'], '0640');
    assert.equal(last.headers['x-callfs-owner'], 'alice');
    for (const at of [holder, peer]) {
      const answer = await call('GET', at.url, '/v1/files/docs/new/piece%20by%20piece.txt', {
        headers: { 'want-repr-digest': 'sha-256=1' },
      });
      assert.equal(answer.text, 'hello world');
      assert.equal(answer.headers.etag, last.headers.etag);
      assert.equal(answer.headers['content-type'], 'text/markdown');
      assert.equal(answer.headers['repr-digest'], `sha-256=:${hash('sha256', 'hello world', 'base64')}:`);
      assert.equal(await offsetAt(at, url), 11, 'done stays done');
    }
    assert.deepEqual(heldBytes(), []);
    assert.deepEqual(await waitFor('staging to be empty', () => stagedFiles(holder).length === 0 && 'empty'), 'empty');
    assert.equal((await patch(peer, url, 11, '')).status, 204, 'repeated, it changes nothing');
    assert.equal((await patch(peer, url, 3, 'x')).status, 409);
    assert.equal((await tus('DELETE', peer, url)).status, 204);
    assert.equal((await tus('HEAD', holder, url)).status, 404);
    assert.equal((await read(holder, '/docs/new/piece%20by%20piece.txt')).status, 200, 'the file is there still');
  });

  test('creation may bring the first or all bytes, and the length may come later', async () => {
    const whole = await tus('POST', peer, '/v1/uploads', {
      headers: {
        'upload-length': '5',
        'upload-metadata': metadataOf({ path: '/at-once.txt' }),
        'content-type': PIECE_TYPE,
      },
      body: 'whole',
    });
    assert.equal(whole.status, 201, whole.text);
    assert.equal(whole.headers['upload-offset'], '5');
    assert.equal(whole.headers['x-callfs-size'], '5');
    assert.equal((await read(holder, '/at-once.txt')).text, 'whole');

    const deferred = await tus('POST', holder, '/v1/uploads', {
      headers: {
        'upload-defer-length': '1',
        'upload-metadata': metadataOf({ path: '/deferred.txt' }),
        'content-type': PIECE_TYPE,
      },
      body: 'of unknown',
    });
    const url = String(deferred.headers.location);
    const head = await tus('HEAD', peer, url);
    assert.equal(head.headers['upload-defer-length'], '1');
    assert.equal(head.headers['upload-offset'], '10');
    assert.equal(head.headers['upload-length'], undefined);
    const last = await patch(peer, url, 10, ' length', { 'upload-length': '17' });
    assert.equal(last.status, 204, last.text);
    assert.equal((await read(peer, '/deferred.txt')).text, 'of unknown length');

    const empty = await tus('POST', holder, '/v1/uploads', {
      headers: { 'upload-length': '0', 'upload-metadata': metadataOf({ path: '/empty.txt' }) },
    });
    assert.equal(empty.status, 201, empty.text);
    assert.equal((await read(peer, '/empty.txt')).headers['content-length'], '0');
  });

  test('nothing may be there, unless the upload says overwrite; the verdict comes at the beginning and at the end', async () => {
    await call('PUT', holder.url, '/v1/files/taken.txt', { body: 'old' });
    const create = (values: Record<string, string>, key = ALICE_KEY, at = peer) =>
      tus('POST', at, '/v1/uploads', {
        key,
        headers: { 'upload-length': '3', 'upload-metadata': metadataOf({ path: '/taken.txt', ...values }) },
      });
    const refused = await create({});
    assert.equal(refused.status, 409);
    assert.equal(refused.json().code, 'FILE_ALREADY_EXISTS');
    assert.equal(refused.json().update_url !== undefined, true);
    assert.equal((await create({ overwrite: 'true' }, BOB_KEY)).status, 403);
    assert.equal((await create({ overwrite: 'true', 'if-match': '"other"' })).status, 412);
    for (const backend of ['s3', 'tape']) assert.equal((await create({ overwrite: 'true', backend })).status, 400);

    const replacing = await create({ overwrite: 'true' });
    const url = String(replacing.headers.location);
    const done = await patch(peer, url, 0, 'new');
    assert.equal(done.status, 204, done.text);
    assert.equal(done.headers['x-callfs-instance-id'], holder.id, 'its bytes went where the file is');
    assert.equal((await read(peer, '/taken.txt')).text, 'new');

    const late = await begin(peer, '/raced.txt', 4);
    await call('POST', holder.url, '/v1/files/raced.txt', { body: 'winner' });
    const conflict = await patch(holder, late, 0, 'late');
    assert.equal(conflict.status, 409);
    assert.equal(conflict.json().code, 'FILE_ALREADY_EXISTS');
    assert.equal((await tus('HEAD', holder, late)).status, 409, 'it is not done, and says so');
    assert.equal((await read(peer, '/raced.txt')).text, 'winner');
    const elsewhere = { 'upload-metadata': metadataOf({ path: '/raced-2.txt' }) };
    const saved = await patch(holder, late, 4, '', elsewhere);
    assert.equal(saved.status, 204, saved.text);
    assert.equal((await read(holder, '/raced-2.txt')).text, 'late');
  });

  test('what an instance holds by then is taken over', async () => {
    const url = await begin(holder, '/taken-over.txt', 3, { overwrite: 'true' });
    await call('PUT', peer.url, '/v1/files/taken-over.txt', { body: 'from the peer' });
    const done = await patch(peer, url, 0, 'new');
    assert.equal(done.status, 204, done.text);
    assert.equal(done.headers['x-callfs-instance-id'], holder.id);
    assert.equal((await read(peer, '/taken-over.txt')).text, 'new');
  });

  test('a part with a checksum counts only when it is right', async () => {
    const url = await begin(holder, '/checked.txt', 6);
    const sum = (algorithm: string, text: string) => ({
      'upload-checksum': `${algorithm} ${hash(algorithm, text, 'base64')}`,
    });
    const wrong = await patch(peer, url, 0, 'abc', sum('sha1', 'abd'));
    assert.equal(wrong.status, 460);
    assert.equal(wrong.json().code, 'CHECKSUM_MISMATCH');
    assert.equal(await offsetAt(peer, url), 0);
    assert.equal((await patch(peer, url, 0, 'abc', sum('sha1', 'abc'))).status, 204);
    assert.equal((await patch(peer, url, 3, 'de', sum('md5', 'xx'))).status, 460);
    const broken = await openPatch(peer, url, { offset: 3, length: 3, headers: sum('sha1', 'def') });
    broken.send('d');
    broken[Symbol.dispose]();
    await waitFor('the piece to be taken back', async () => (await offsetAt(peer, url)) === 3);
    assert.equal((await patch(peer, url, 3, 'd', sum('sha256', 'd'))).status, 204);
    assert.equal((await patch(peer, url, 4, 'x', { 'upload-checksum': 'crc99 AAAA' })).status, 400);
    assert.equal((await patch(peer, url, 4, 'ef', { 'upload-checksum': 'crc32 bZIiMw==' })).status, 460);
    const crc = { 'upload-checksum': `crc32 ${crc32Of('ef')}` };
    assert.equal((await patch(peer, url, 4, 'ef', crc)).status, 204);
    assert.equal((await read(peer, '/checked.txt')).text, 'abcdef');
  });

  test('of two clients one goes on and the other is told to wait, whichever instances they ask', async () => {
    const url = await begin(holder, '/contended.txt', 8);
    using first = await openPatch(holder, url, { offset: 0, length: 8 });
    first.send('1234');
    await waitFor('the first bytes', async () => (await offsetAt(peer, url)) === 4);
    const others = await Promise.all([
      patch(peer, url, 0, 'abcdefgh'),
      patch(holder, url, 4, 'efgh'),
      tus('DELETE', peer, url),
    ]);
    for (const { status, headers, json } of others) {
      assert.equal(status, 423);
      assert.equal(json().code, 'UPLOAD_LOCKED');
      assert(headers['retry-after']);
    }
    first.send('5678');
    assert.equal((await first.answer('PATCH')).status, 204);
    assert.equal((await read(peer, '/contended.txt')).text, '12345678');
  });

  test('a request that stands still gives way, and what it sent is kept', { timeout: 60_000 }, async () => {
    const url = await begin(holder, '/stale.txt', 8);
    using still = await openPatch(peer, url, { offset: 0, length: 8 });
    still.send('1234');
    await waitFor('the first bytes', async () => (await offsetAt(holder, url)) === 4);
    await waitFor('the upload to be free', async () => (await patch(holder, url, 4, '56')).status === 204, 30_000);
    assert.equal((await still.answer('PATCH')).status, 423);
    assert.equal((await patch(peer, url, 6, '78')).status, 204);
    assert.equal((await read(peer, '/stale.txt')).text, '12345678');
  });

  test('an upload whose beginning is refused leaves nothing', async () => {
    const heldBefore = heldBytes();
    const refused = await tus('POST', holder, '/v1/uploads', {
      headers: {
        ...{ 'upload-length': '9', 'upload-metadata': metadataOf({ path: '/refused.txt' }) },
        ...{ 'content-type': PIECE_TYPE, 'upload-checksum': `md5 ${hash('md5', 'other', 'base64')}` },
      },
      body: 'some bytes'.slice(0, 5),
    });
    assert.equal(refused.status, 460);
    assert.equal(refused.headers.location, undefined);
    assert.deepEqual(heldBytes(), heldBefore);
  });

  test('uploads are put together from parts', async () => {
    const part = async (text: string) => {
      const answer = await tus('POST', holder, '/v1/uploads', {
        headers: { 'upload-length': String(text.length), 'upload-concat': 'partial', 'content-type': PIECE_TYPE },
        body: text,
      });
      assert.equal(answer.status, 201, answer.text);
      return String(answer.headers.location);
    };
    const parts = [await part('first, '), await part('second, '), await part('third')];
    assert.equal((await tus('HEAD', peer, parts[0] ?? '')).headers['upload-concat'], 'partial');
    const incomplete = await tus('POST', holder, '/v1/uploads', {
      headers: { 'upload-length': '3', 'upload-concat': 'partial' },
    });
    const put = (urls: readonly string[], at = peer) =>
      tus('POST', at, '/v1/uploads', {
        headers: { 'upload-concat': `final;${urls.join(' ')}`, 'upload-metadata': metadataOf({ path: '/joined.txt' }) },
      });
    assert.equal((await put([...parts, String(incomplete.headers.location)])).status, 400);
    assert.equal((await put([...parts, '/v1/uploads/none'])).status, 404);
    const done = await put(parts);
    assert.equal(done.status, 201, done.text);
    assert.equal((await read(peer, '/joined.txt')).text, 'first, second, third');
    const head = await tus('HEAD', peer, String(done.headers.location));
    assert.equal(head.headers['upload-length'], '20');
    assert.match(String(head.headers['upload-concat']), /^final;/);
    assert.equal((await tus('HEAD', holder, parts[0] ?? '')).status, 404, 'the parts are used up');
  });

  test('an upload is its creator’s and an administrator’s, and nobody else’s', async () => {
    const url = await begin(holder, '/mine.txt', 4);
    for (const method of ['HEAD', 'DELETE']) {
      assert.equal((await tus(method, peer, url, { key: BOB_KEY })).status, 404);
      assert.equal((await tus(method, peer, url, { key: null })).status, 401);
    }
    const headers = { 'upload-offset': '0', 'content-type': PIECE_TYPE };
    assert.equal((await tus('PATCH', peer, url, { key: BOB_KEY, headers, body: 'bobs' })).status, 404);
    assert.equal((await tus('PATCH', peer, url, { key: ADMIN_KEY, headers, body: 'done' })).status, 204);
    assert.equal((await read(holder, '/mine.txt')).headers['x-callfs-owner'], 'alice');
  });

  test('what is wrong is told in our words before any byte is taken', async () => {
    const url = await begin(holder, '/wrong.txt', 4);
    const creation = (headers: Record<string, string>) => tus('POST', peer, '/v1/uploads', { headers });
    const length = { 'upload-length': '4' };
    const named = (path: string) => ({ ...length, 'upload-metadata': metadataOf({ path }) });
    const tooLarge = { 'upload-length': String(MAX_BYTES + 1), 'upload-metadata': metadataOf({ path: '/large' }) };
    const cases: readonly [string, number, () => ReturnType<typeof tus>][] = [
      ['PRECONDITION_FAILED', 412, () => tus('HEAD', peer, url, { headers: { 'tus-resumable': '0.2.2' } })],
      ['PRECONDITION_FAILED', 412, () => tus('PATCH', peer, url, { headers: { 'tus-resumable': '2.0.0' }, body: 'x' })],
      ['UPLOAD_OFFSET_CONFLICT', 409, () => patch(peer, url, 2, 'xx')],
      ['PAYLOAD_TOO_LARGE', 413, () => patch(peer, url, 0, 'xxxxx')],
      ['PAYLOAD_TOO_LARGE', 413, () => creation(tooLarge)],
      ['UNSUPPORTED_MEDIA_TYPE', 415, () => patch(peer, url, 0, 'xxxx', { 'content-type': 'text/plain' })],
      ['BAD_REQUEST', 400, () => patch(peer, url, 0, 'xxxx', { 'upload-offset': '-1' })],
      ['BAD_REQUEST', 400, () => creation(length)],
      ['BAD_REQUEST', 400, () => creation({ 'upload-metadata': metadataOf({ path: '/no-length' }) })],
      ['BAD_REQUEST', 400, () => creation({ ...length, 'upload-metadata': 'path ???' })],
      ['BAD_REQUEST', 400, () => creation({ ...named('/x'), 'upload-length': '1e3' })],
      ['INVALID_PATH', 400, () => creation(named('/a/../b'))],
      ['INVALID_PATH', 400, () => creation(named('/.callfs/x'))],
      ['INVALID_PATH', 400, () => creation(named('relative'))],
      ['IS_A_DIRECTORY', 400, () => creation(named('/a/'))],
      ['NOT_FOUND', 404, () => patch(peer, '/v1/uploads/none', 0, 'x')],
      ['METHOD_NOT_ALLOWED', 405, () => tus('GET', peer, url)],
      ['METHOD_NOT_ALLOWED', 405, () => tus('POST', peer, url)],
    ];
    for (const [code, status, asked] of cases) {
      const answer = await asked();
      assert.equal(answer.status, status, `${code}: ${answer.text}`);
      if (answer.body.length === 0) continue;
      const { code: told, message, request_id } = answer.json();
      assert.equal(told, code, answer.text);
      assert(message && request_id);
      assert.equal(answer.headers['x-request-id'], request_id);
      assert.match(String(answer.headers['content-type']), /^application\/json/);
    }
    assert.equal(await offsetAt(peer, url), 0);
    const overridden = await tus('POST', peer, url, { headers: { 'x-http-method-override': 'DELETE' } });
    assert.equal(overridden.status, 204);
    assert.equal((await tus('HEAD', holder, url)).status, 404);
  });

  test('web pages may read what the protocol says', async () => {
    const url = await begin(holder, '/from-a-page.txt', 4);
    const { headers } = await tus('HEAD', peer, url, { headers: { origin: 'https://app.example' } });
    assert.equal(headers['access-control-allow-origin'], 'https://app.example');
    assert.match(String(headers['access-control-expose-headers']), /Upload-Offset/);
  });
});

function crc32Of(text: string): string {
  const bytes = Buffer.alloc(4);
  let crc = 0xffffffff;
  for (const byte of Buffer.from(text)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  bytes.writeUInt32BE(~crc >>> 0);
  return bytes.toString('base64');
}
