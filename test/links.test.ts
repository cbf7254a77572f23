/** Single-use links over three instances: who gets one, what uses it up and what does not, and what nobody may learn. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import * as http from 'node:http';
import { after, before, suite, test } from 'node:test';
import { stagedFiles } from './support/at-rest.ts';
import { type Answer, call } from './support/client.ts';
import { ADMIN_KEY, BOB_KEY, type TestCluster, type TestInstance } from './support/cluster.ts';
import { startStaticCluster } from './support/member.ts';
import { RawConnection } from './support/raw-connection.ts';
import { queryStore } from './support/test-store.ts';
import { downloadHash, uploadPattern } from './support/transfers.ts';
import { waitFor } from './support/wait-for.ts';

const SECRET = 'links-0a1b2c3d4e5f6071';
/** How long a claim lasts whose holder has died. */
const CLAIM_MS = 5000;
const MIB = 1024 * 1024;

interface GeneratedLink {
  readonly url: string;
  readonly token: string;
  readonly expires_at: string;
  readonly expires: string;
}

function generate({ url }: TestInstance, body: unknown, key?: string): Promise<Answer> {
  return call('POST', url, '/v1/links/generate', { body: JSON.stringify(body), ...(key ? { key } : {}) });
}

async function linkTo(instance: TestInstance, path: string, expirySeconds = 600): Promise<string> {
  const answer = await generate(instance, { path, expiry_seconds: expirySeconds });
  assert.equal(answer.status, 201, answer.text);
  return String(answer.json().token);
}

let lastClient = 0;

/** A request from an address of its own: the limits are by address. */
async function fetchLink(
  { url }: TestInstance,
  token: string,
  { method = 'GET', headers = {} }: { method?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  lastClient += 1;
  const localAddress = process.platform === 'linux' ? `127.1.${lastClient >> 8}.${lastClient & 255}` : undefined;
  const request = http.request(`${url}/download/${token}`, { method, headers, agent: false, localAddress });
  request.end();
  const [answer] = (await once(request, 'response')) as [http.IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const text = body.toString('utf8');
  return { status: answer.statusCode ?? 0, headers: answer.headers, body, text, json: () => JSON.parse(text) };
}

suite('single-use links', { timeout: 240_000 }, () => {
  let cluster: TestCluster;
  let owner: TestInstance;
  let b: TestInstance;
  let c: TestInstance;
  const path = '/docs/été "report".txt';
  const target = '/v1/files/docs/%C3%A9t%C3%A9%20%22report%22.txt';
  before(async () => {
    const config = { auth: { single_use_link_secret: SECRET }, cluster: { response_timeout: '2s' } };
    cluster = await startStaticCluster(3, config, { commanded: true });
    [owner, b, c] = [cluster.at(0), cluster.at(1), cluster.at(2)];
    assert.equal((await call('PUT', owner.url, target, { body: 'the report' })).status, 201);
  });
  after(() => cluster[Symbol.asyncDispose]());

  test('a link made anywhere gives the file once, anywhere, without a key', async () => {
    for (const [index, at] of cluster.instances.entries()) {
      const generated = await generate(cluster.at(index + 1), { path, expiry_seconds: 60 });
      assert.equal(generated.status, 201, generated.text);
      assert.equal(generated.headers['cache-control'], 'no-store');
      const { url, token, expires_at: expiresAt, expires } = generated.json() as unknown as GeneratedLink;
      assert.equal(url, `${cluster.at(index + 1).url}/download/${token}`);
      assert.match(token, /^[\w-]{43}$/);
      assert.match(expiresAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      assert.equal(expires, expiresAt);
      assert(Math.abs(Date.parse(expiresAt) - Date.now() - 60_000) < 10_000);
      const head = await fetchLink(at, token, { method: 'HEAD' });
      const got = await fetchLink(at, token, { headers: { range: 'bytes=0-2' } });
      for (const { status, headers } of [head, got]) {
        assert.equal(status, 200, 'the whole file, whatever part is asked for');
        assert.equal(headers['content-length'], '10');
        assert.equal(headers['content-type'], 'text/plain');
        assert.equal(
          headers['content-disposition'],
          `attachment; filename="?t? \\"report\\".txt"; filename*=UTF-8''%C3%A9t%C3%A9%20%22report%22.txt`,
        );
        assert.equal(headers['cache-control'], 'no-store');
        assert.equal(headers['accept-ranges'], 'none');
        assert.equal(headers['x-frame-options'], 'DENY');
        assert.equal(headers['x-callfs-owner'], undefined, 'nothing about who may do what');
      }
      assert.equal(got.text, 'the report');
      for (const later of cluster.instances) {
        const answer = await fetchLink(later, token);
        assert.equal(answer.status, 410);
        assert.equal(answer.json().code, 'LINK_GONE');
        assert.equal(answer.headers['x-frame-options'], 'DENY');
      }
    }
  });

  test('who may not read a file gets no link to it, and nothing but files has links', async () => {
    assert.equal((await call('POST', owner.url, '/v1/files/d/')).status, 201);
    const headers = { 'x-callfs-mode': '0600' };
    assert.equal((await call('PUT', owner.url, '/v1/files/private.txt', { body: 'x', headers })).status, 201);
    const refusals: readonly [unknown, number, string, string?][] = [
      [{ path: '/private.txt', expiry_seconds: 1 }, 403, 'PERMISSION_DENIED', BOB_KEY],
      [{ path: '/missing', expiry_seconds: 1 }, 404, 'FILE_NOT_FOUND'],
      [{ path: '/d', expiry_seconds: 1 }, 400, 'BAD_REQUEST'],
      [{ path: '/', expiry_seconds: 1 }, 400, 'BAD_REQUEST'],
      [{ path: '/d/../private.txt', expiry_seconds: 1 }, 400, 'INVALID_PATH'],
      [{ path: 'private.txt', expiry_seconds: 1 }, 400, 'BAD_REQUEST'],
      [{ path: '/private.txt', expiry_seconds: 0 }, 400, 'BAD_REQUEST'],
      [{ path: '/private.txt', expiry_seconds: 86_401 }, 400, 'BAD_REQUEST'],
      [{ path: '/private.txt', expiry_seconds: 1.5 }, 400, 'BAD_REQUEST'],
      [{ path: '/private.txt', expiry_seconds: '1' }, 400, 'BAD_REQUEST'],
      [{ path: '/private.txt' }, 400, 'BAD_REQUEST'],
      [{ path: '/private.txt', expiry_seconds: 1, more: true }, 400, 'BAD_REQUEST'],
      [[], 400, 'BAD_REQUEST'],
      [{ path: `/${'x'.repeat(4096)}`, expiry_seconds: 1 }, 413, 'PAYLOAD_TOO_LARGE'],
    ];
    for (const [body, status, code, key] of refusals) {
      const answer = await generate(b, body, key);
      assert.deepEqual([answer.status, answer.json().code], [status, code], `${JSON.stringify(body).slice(0, 100)}`);
    }
    const post = (options: object) => call('POST', b.url, '/v1/links/generate', { body: '{}', ...options });
    assert.equal((await post({ key: null })).status, 401);
    assert.equal((await post({ body: '{' })).status, 400);
    const wrongMethod = await call('GET', b.url, '/v1/links/generate');
    assert.equal(wrongMethod.status, 405);
    assert.match(String(wrongMethod.headers.allow), /^POST\b/);
  });

  test('unknown tokens are 404, expired ones 410, and other methods 405', async () => {
    const token = await linkTo(b, path, 1);
    assert.equal((await fetchLink(c, token, { method: 'HEAD' })).status, 200);
    const expired = await waitFor('the link to expire', async () => {
      const answer = await fetchLink(c, token, { method: 'HEAD' });
      return answer.status === 200 ? undefined : answer;
    });
    assert.equal(expired.status, 410);
    assert.equal((await fetchLink(c, token)).status, 410);
    const forged = `${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`;
    for (const unknown of [forged, 'x', `${token}x`, `${token}/`, `%${token}`, '', '..']) {
      const answer = await fetchLink(c, unknown);
      assert.deepEqual([answer.status, answer.json().code], [404, 'NOT_FOUND'], unknown);
    }
    const wrongMethod = await fetchLink(c, token, { method: 'POST' });
    assert.equal(wrongMethod.status, 405);
    assert.match(String(wrongMethod.headers.allow), /^GET, HEAD\b/);
  });

  test('of a thousand who use a link at once, at three instances, one gets the file', async (t) => {
    const count = process.platform === 'linux' ? 1000 : 15;
    const token = await linkTo(b, path);
    const startedAt = performance.now();
    const attempts = Array.from({ length: count }, (_, index) => fetchLink(cluster.at(index), token));
    const answers = await Promise.all(attempts);
    t.diagnostic(`${count} answers in ${Math.round(performance.now() - startedAt)} ms`);
    const successes = answers.filter(({ status }) => status === 200);
    assert.equal(successes.length, 1, answers.map(({ status }) => status).join(' '));
    assert.equal(successes[0]?.text, 'the report');
    assert.equal(answers.filter(({ status }) => status === 410).length, count - 1);
  });

  test('a link follows its file, shows its newest content, and ends with it', async () => {
    const from = '/v1/files/moving/from.txt';
    assert.equal((await call('PUT', owner.url, from, { body: 'first' })).status, 201);
    const [moved, removed, forbidden] = await Promise.all([1, 2, 3].map(() => linkTo(b, '/moving/from.txt')));
    assert(moved && removed && forbidden);
    const rename = JSON.stringify({ destination: '/elsewhere/to.txt', create_parents: true });
    assert.equal((await call('PATCH', c.url, from, { body: rename })).status, 200);
    assert.equal((await call('PUT', b.url, from, { body: 'another file' })).status, 201);
    const to = '/v1/files/elsewhere/to.txt';
    assert.equal((await call('PUT', b.url, to, { body: 'second' })).status, 200);
    const got = await fetchLink(c, moved);
    assert.equal(got.text, 'second');
    assert.match(String(got.headers['content-disposition']), /filename=to\.txt/);
    const give = JSON.stringify({ mode: '0600', owner: 'bob' });
    assert.equal((await call('PATCH', b.url, to, { key: ADMIN_KEY, body: give })).status, 200);
    assert.equal((await fetchLink(b, forbidden)).status, 410, 'its maker may not read the file any more');
    const back = JSON.stringify({ mode: '0644' });
    assert.equal((await call('PATCH', b.url, to, { key: BOB_KEY, body: back })).status, 200);
    assert.equal((await fetchLink(b, forbidden)).text, 'second', 'now it may again');
    assert.equal((await call('DELETE', b.url, to, { key: ADMIN_KEY })).status, 204);
    assert.equal((await call('PUT', b.url, to, { body: 'a new file' })).status, 201);
    for (const method of ['HEAD', 'GET']) assert.equal((await fetchLink(c, removed, { method })).status, 410);
  });

  test('empty files, single bytes and large files come whole and once', async () => {
    for (const sizeBytes of [0, 1, 2, 64 * 1024, 64 * 1024 + 1, 5 * MIB + 7]) {
      const file = `/v1/files/size-${sizeBytes}`;
      const { sha256 } = await uploadPattern(owner.url, file, sizeBytes);
      for (const at of [owner, b]) {
        const token = await linkTo(c, `/size-${sizeBytes}`);
        const got = await downloadHash(at.url, `/download/${token}`);
        assert.deepEqual([got.status, got.sha256], [200, sha256], `${sizeBytes} at ${at.id}`);
        assert.equal((await fetchLink(at, token)).status, 410);
      }
    }
  });

  test('a client that leaves after the first bytes has used the link up', async () => {
    await uploadPattern(owner.url, '/v1/files/large.bin', 32 * MIB);
    const token = await linkTo(b, '/large.bin');
    using client = await RawConnection.open(b.url);
    client.sendHead('GET', `/download/${token}`);
    await waitFor('the link to be used', async () => (await fetchLink(c, token, { method: 'HEAD' })).status === 410);
  });

  test('a download that fails before its first byte leaves the link as it is: the owner is frozen, or dead', async () => {
    const token = await linkTo(b, path);
    owner.signal('SIGSTOP');
    const frozen = await fetchLink(b, token);
    owner.signal('SIGCONT');
    assert.deepEqual([frozen.status, frozen.json().code], [504, 'PEER_TIMEOUT']);
    assert.equal((await fetchLink(b, token, { method: 'HEAD' })).status, 200);
    await owner.kill();
    const dead = await fetchLink(b, token);
    assert.deepEqual([dead.status, dead.json().code], [502, 'PROXY_ERROR']);
    assert.equal(dead.json().instance_id, owner.id);
    assert.equal((await fetchLink(c, token, { method: 'HEAD' })).status, 200, 'the store knows all about it');
    await owner.start();
    const answer = await waitFor('the owner to be seen again', async () => {
      const got = await fetchLink(b, token);
      return got.status === 502 ? undefined : got;
    });
    assert.equal(answer.text, 'the report');
    assert.equal((await fetchLink(c, token)).status, 410);
  });

  test('an instance that dies between reserving a link and its first byte gives it back', async (t) => {
    const token = await linkTo(c, path);
    await b.command({ arm: { point: 'store:after-commit', occurrence: 1, action: 'kill' } });
    await assert.rejects(fetchLink(b, token));
    await waitFor('the instance to be dead', () => !b.isRunning);
    const [row] = await queryStore(
      cluster.folder,
      'SELECT claim_id, used FROM links ORDER BY expires_at_ms DESC LIMIT 1',
    );
    assert(row && 'claim_id' in row && typeof row.claim_id === 'string', 'it died with the claim');
    const startedAt = performance.now();
    const got = await fetchLink(c, token);
    t.diagnostic(`had to wait ${Math.round(performance.now() - startedAt)} ms`);
    assert.equal(got.text, 'the report');
    assert(performance.now() - startedAt < CLAIM_MS + 2000);
    await b.start();
    assert.equal((await fetchLink(b, token)).status, 410);
  });

  test('requests over the limit are 429 with Retry-After, per address', async () => {
    const answers = await Promise.all(
      Array.from({ length: 40 }, () => call('GET', b.url, '/download/x', { key: null })),
    );
    const refused = answers.filter(({ status }) => status === 429);
    assert(refused.length >= 10 && refused.length <= 30, `${refused.length} refused`);
    for (const answer of refused) {
      assert.equal(answer.json().code, 'RATE_LIMIT_EXCEEDED');
      assert.match(String(answer.headers['retry-after']), /^\d+$/);
      assert.equal(answer.headers['x-frame-options'], 'DENY');
    }
    if (process.platform === 'linux') assert.equal((await fetchLink(b, 'x')).status, 404, 'another address');
    const headers = { 'x-forwarded-for': '192.0.2.1' };
    const pretending = await Promise.all(
      Array.from({ length: 150 }, () => call('POST', b.url, '/v1/links/generate', { body: '{}', headers })),
    );
    assert(pretending.some(({ status }) => status === 429));
    assert(pretending.filter(({ status }) => status === 400).length >= 100);
    assert.equal((await call('GET', b.url, '/health')).status, 200, 'nothing else is limited');
  });

  test('tokens are in no log, metric or store, and the figures are right', async () => {
    const token = await linkTo(c, path);
    const before = (await call('GET', c.url, '/metrics')).text;
    assert.equal((await fetchLink(c, token)).status, 200);
    assert.equal((await fetchLink(c, token)).status, 410);
    const count = (text: string, name: string): number =>
      Number(new RegExp(`^callfs_single_use_link_${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
    const { text } = await call('GET', c.url, '/metrics');
    for (const name of ['consumptions_total{status="success"}', 'consumptions_total{status="gone"}']) {
      const escaped = name.replace(/[{}]/g, '\\$&');
      assert.equal(count(text, escaped), count(before, escaped) + 1, name);
    }
    assert(count(text, 'generations_total') > 0);
    assert.match(text, /callfs_metadata_query_duration_seconds_count\{operation="links\.claim"\} [1-9]/);
    assert.match(text, /callfs_http_requests_total\{method="GET",path="\/download\/\{token\}",status_code="200"\}/);
    await waitFor('the log line', () => c.log.some(({ path: logged }) => logged === '/download/{token}'));
    const everything = [...cluster.instances.map(({ log }) => JSON.stringify(log)), text].join('\n');
    assert(!everything.includes(token));
    const rows = JSON.stringify(await queryStore(cluster.folder, 'SELECT * FROM links'));
    assert(rows.includes('"alice"') && !rows.includes(token) && !rows.includes(SECRET));
    for (const instance of cluster.instances) assert.deepEqual(stagedFiles(instance), []);
  });
});
