/** Programs that people use, at an instance that does not own the file: curl, and a browser with a video. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createHash, hash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { promisify } from 'node:util';
import { call } from './support/client.ts';
import { ALICE_KEY, startCluster, type TestCluster } from './support/cluster.ts';
import { findProgram, unlessInstalled } from './support/installed.ts';
import { uploadPattern } from './support/transfers.ts';
import { openVideoPage, startPageServer } from './support/video-page.ts';
import { waitFor } from './support/wait-for.ts';

const run = promisify(execFile);
const MIB = 1024 * 1024;
const SIZE_BYTES = process.env.CALLFS_LONG_TESTS === '1' ? 1024 * MIB : 64 * MIB;
const PARTS = 8;
const KEY = ['-H', `Authorization: Bearer ${ALICE_KEY}`];

suite('curl at an instance that does not own the file', { skip: unlessInstalled('curl'), timeout: 300_000 }, () => {
  let cluster: TestCluster;
  let sha256: string;
  before(async () => {
    cluster = await startCluster({ instances: 2 });
    const uploaded = await uploadPattern(cluster.at(0).url, '/v1/files/large.bin', SIZE_BYTES);
    assert.equal(uploaded.status, 201);
    sha256 = uploaded.sha256;
  });
  after(() => cluster[Symbol.asyncDispose]());

  const large = (): string => `${cluster.at(1).url}/v1/files/large.bin`;

  test('resumes a download that was cut', async () => {
    const file = join(cluster.folder, 'resumed');
    const perSecond = String(SIZE_BYTES / 4);
    const cut = spawn('curl', ['-sS', ...KEY, '--limit-rate', perSecond, '-o', file, large()], { stdio: 'ignore' });
    const ended = once(cut, 'exit');
    await waitFor('a part to have arrived', () => sizeOf(file) > SIZE_BYTES / 8);
    cut.kill('SIGKILL');
    await ended;
    const arrivedBytes = sizeOf(file);
    assert(arrivedBytes < SIZE_BYTES);
    const { stdout } = await run('curl', [
      '-sS',
      ...KEY,
      '-C',
      '-',
      '-o',
      file,
      '-w',
      '%{http_code} %{size_download}',
      large(),
    ]);
    assert.equal(stdout, `206 ${SIZE_BYTES - arrivedBytes}`);
    assert.equal(await sha256Of([file]), sha256);
    rmSync(file);
  });

  test(`puts a file together from ${PARTS} parts that it loads at the same time`, async () => {
    const files = await Promise.all(
      Array.from({ length: PARTS }, async (_, part) => {
        const file = join(cluster.folder, `part-${part}`);
        const [start, end] = [part, part + 1].map((bound) => Math.floor((SIZE_BYTES * bound) / PARTS));
        const range = `${start}-${Number(end) - 1}`;
        const { stdout } = await run('curl', ['-sS', ...KEY, '-r', range, '-o', file, '-w', '%{http_code}', large()]);
        assert.equal(stdout, '206');
        return file;
      }),
    );
    assert.equal(await sha256Of(files), sha256);
    for (const file of files) rmSync(file);
  });

  test('takes a checksum along, and is told one', async () => {
    const file = join(cluster.folder, 'small');
    const { body } = await call('GET', cluster.at(0).url, '/v1/files/large.bin', {
      headers: { range: 'bytes=0-99999' },
    });
    const digest = `Content-Digest: sha-256=:${hash('sha256', body, 'base64')}:`;
    await run('curl', ['-sS', ...KEY, '-r', '0-99999', '-o', file, large()]);
    const target = large().replace('large.bin', 'small.bin');
    const { stdout } = await run('curl', [
      '-sS',
      ...KEY,
      '-T',
      file,
      '-H',
      digest,
      '-o',
      join(cluster.folder, 'answer'),
      '-w',
      '%{http_code}',
      target,
    ]);
    assert.equal(stdout, '201');
    const { stdout: head } = await run('curl', ['-sSI', ...KEY, '-H', 'Want-Repr-Digest: sha-256=10', target]);
    assert.match(head, new RegExp(`^repr-digest: ${digest.slice(16).replace(/[+]/g, '\\+')}\r$`, 'm'));
    assert.deepEqual(readFileSync(file), body);
  });
});

suite('a browser', { skip: unlessInstalled('chromium'), timeout: 120_000 }, () => {
  test('plays a video through an instance that does not own it, and seeks in it', async () => {
    await using pages = await startPageServer();
    await using cluster = await startCluster({ instances: 2, config: { server: { cors_origins: [pages.origin] } } });
    const [owner, other] = [cluster.at(0).url, cluster.at(1).url];
    await using page = await openVideoPage(findProgram('chromium') ?? 'chromium', pages.origin, ALICE_KEY);
    const uploaded = await page.recordAndUpload(`${owner}/v1/files/clip.webm`);
    assert.equal(uploaded.status, 201);
    assert.equal(uploaded.type, 'file', 'the page may read our header fields');
    assert(uploaded.sizeBytes > 100_000, `${uploaded.sizeBytes}`);
    const played = await page.play(`${other}/v1/files/clip.webm`);
    assert.deepEqual([played.width, played.height], [320, 240]);
    assert(played.playedSeconds > 0.2, `${played.playedSeconds}`);
    for (const seconds of [2, 0.5, 1.5]) {
      assert(Math.abs((await page.seek(seconds)) - seconds) < 0.3, `seeking to ${seconds}`);
    }
    const answers = cluster.at(1).log.filter(({ path, method }) => path === '/v1/files/clip.webm' && method === 'GET');
    assert(answers.some(({ status }) => status === 206));
    // A browser asks whether what it has is still true.
    assert(
      answers.every(({ route, status }) => route === 'peer' && (status === 206 || status === 304)),
      JSON.stringify(answers),
    );
  });
});

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

async function sha256Of(files: readonly string[]): Promise<string> {
  const sha256 = createHash('sha256');
  for (const file of files) for await (const chunk of createReadStream(file)) sha256.update(chunk);
  return sha256.digest('hex');
}
