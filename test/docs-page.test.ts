/** The page at /docs in a real browser, and its examples in a real shell. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { promisify } from 'node:util';
import { type Browser, chromium, type Page } from 'playwright-core';
import { call } from './support/client.ts';
import { ADMIN_KEY, startCluster, type TestCluster } from './support/cluster.ts';
import { findProgram, unlessInstalled } from './support/installed.ts';

const run = promisify(execFile);

interface Operation {
  readonly operationId: string;
  readonly 'x-codeSamples': readonly { readonly source: string }[];
}

let cluster: TestCluster;
let operations: ReadonlyMap<string, Operation>;
before(async () => {
  cluster = await startCluster({ instances: 1 });
  const { paths } = (await call('GET', cluster.at(0).url, '/openapi.json', { key: null })).json();
  const all = Object.values(paths as Record<string, Record<string, Operation>>).flatMap(Object.values<Operation>);
  operations = new Map(all.map((operation) => [operation.operationId, operation]));
});
after(() => cluster[Symbol.asyncDispose]());

test('the page is served under a policy that lets nothing run and nothing else be loaded', async () => {
  const { status, headers, text } = await call('GET', cluster.at(0).url, '/docs', { key: null });
  assert.equal(status, 200);
  assert.equal(headers['content-type'], 'text/html; charset=utf-8');
  assert.match(String(headers['content-security-policy']), /^default-src 'none'; style-src 'self'; img-src data:;/);
  assert.doesNotMatch(text, /<script|\son\w+=|\sstyle=/i);
});

suite('in Chromium', { skip: unlessInstalled('chromium'), timeout: 120_000 }, () => {
  let browser: Browser;
  before(async () => {
    const executablePath = findProgram('chromium') ?? 'chromium';
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--no-proxy-server'] });
  });
  after(() => browser.close());

  /** What the browser had to complain about, and everything it asked for. */
  async function open(page: Page): Promise<{ readonly complaints: string[]; readonly requests: string[] }> {
    const [complaints, requests]: [string[], string[]] = [[], []];
    page.on('console', (message) => complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('requestfailed', (request) => complaints.push(`failed: ${request.url()}`));
    page.on('request', (request) => requests.push(request.url()));
    await page.goto(`${cluster.at(0).url}/docs`, { waitUntil: 'networkidle' });
    return { complaints, requests };
  }

  for (const colorScheme of ['light', 'dark'] as const) {
    test(`it has every operation, and nothing to complain of, ${colorScheme}`, async () => {
      const page = await browser.newPage({ colorScheme, viewport: { width: 1280, height: 900 } });
      const { complaints, requests } = await open(page);
      assert.deepEqual(complaints, []);
      const { url } = cluster.at(0);
      const asked = requests.filter((one) => !one.startsWith('data:')).toSorted();
      assert.deepEqual(asked, [`${url}/docs`, `${url}/docs/style.css`]);
      const ids = (await page.evaluate("Array.from(document.querySelectorAll('[id]'), ({ id }) => id)")) as string[];
      assert.deepEqual(
        [...operations.keys()].filter((id) => !ids.includes(id)),
        [],
      );
      assert.equal(new Set(ids).size, ids.length, 'an id is there twice');
      const broken = 'Array.from(document.querySelectorAll(\'a[href^="#"]\'), ({ hash }) => hash.slice(1))';
      const targets = (await page.evaluate(broken)) as string[];
      assert(targets.length > 100);
      assert.deepEqual(
        targets.filter((target) => !ids.includes(target)),
        [],
      );
      const ground = 'getComputedStyle(document.body).backgroundColor';
      assert.equal((await page.evaluate(ground)) === 'rgb(255, 255, 255)', colorScheme === 'light');
      await page.close();
    });
  }

  test('it fits a phone', async () => {
    const page = await browser.newPage({ viewport: { width: 390, height: 844 } });
    const { complaints } = await open(page);
    assert.deepEqual(complaints, []);
    assert.equal(await page.evaluate('document.documentElement.scrollWidth'), 390);
    await page.close();
  });
});

suite('its examples', { skip: unlessInstalled('curl'), timeout: 120_000 }, () => {
  /** In an order in which each finds what it is about. What it prints may give a variable to those behind it. */
  const ORDER: readonly (readonly [id: string, variable?: string, pattern?: RegExp])[] = [
    ['createEntry'],
    ['readFile'],
    ['statFile'],
    ['writeFile'],
    ['listDirectory'],
    ['statDirectory'],
    ['generateLink', 'TOKEN', /"token":"([^"]+)"/],
    ['lookAtLink'],
    ['useLink'],
    ['beginUpload', 'UPLOAD', /location: \/v1\/uploads\/(\S+)/i],
    ['readUpload'],
    ['continueUpload'],
    ['listJobs'],
  ];
  /** What needs more than itself: a job, a second upload, a client that speaks WebSocket. */
  const NOT_RUN = new Set(['readJob', 'endJob', 'endUpload', 'overrideUpload', 'openSocket']);
  const LAST = ['changeEntry', 'removeEntry'];

  test('work as they stand there', async () => {
    const { folder } = cluster;
    writeFileSync(`${folder}/report.txt`, 'fifteen bytes..');
    writeFileSync(`${folder}/.curlrc`, 'fail-with-body\nsilent\nshow-error\n');
    const env: NodeJS.ProcessEnv = { ...process.env, HOME: folder, CALLFS: cluster.at(0).url, KEY: ADMIN_KEY };
    const ordered = new Set([...ORDER.map(([id]) => id), ...LAST]);
    const others = [...operations.keys()].filter((id) => !ordered.has(id) && !NOT_RUN.has(id));
    const all = [...ORDER, ...others.map((id) => [id] as const), ...LAST.map((id) => [id] as const)];
    for (const [id, variable, pattern] of all) {
      const sample = operations.get(id)?.['x-codeSamples'][0]?.source;
      assert(sample, id);
      const { stdout } = await run('sh', ['-c', sample], { cwd: folder, env }).catch((error) => {
        throw new Error(`${id}: ${sample}\n${error.stdout}${error.stderr}`);
      });
      if (variable && pattern) env[variable] = pattern.exec(stdout)?.[1];
    }
    assert(all.length > 40);
  });
});
