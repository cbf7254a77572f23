/** A data root that is not there, or not the one that is expected: nothing is concluded and nothing is written. */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { waitFor } from '../../../test/support/wait-for.ts';
import { CallFSError } from '../../core/errors.ts';
import { chunksOf, nextContentId, TestLedger, testPath } from '../backend.contract.ts';
import { type LocalBackend, openLocalBackend } from './local-backend.ts';

let folder: string;
let root: string;
let ledger: TestLedger;
let failures: unknown[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'callfs-root-'));
  root = join(folder, 'data');
  ledger = new TestLedger();
  failures = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function open(holdsFiles = false): Promise<LocalBackend> {
  return openLocalBackend({
    root,
    instanceId: 'own',
    ledger,
    holdsFiles: async () => holdsFiles,
    durable: false,
    onLostAndFound: () => assert.fail('something was moved aside'),
    onFailure: (error) => failures.push(error),
  });
}

async function write(backend: LocalBackend, name: string, text: string): Promise<void> {
  const staged = await backend.stage(nextContentId(), chunksOf(text), { maxBytes: undefined });
  ledger.point(testPath(name), staged.content);
  backend.committed(staged);
  await backend.settled();
}

function contentOf(name: string) {
  const content = ledger.paths.get(testPath(name));
  assert(content);
  return content;
}

async function kindAt(backend: LocalBackend, name: string): Promise<string> {
  return backend.probe(contentOf(name), testPath(name));
}

const isUnavailable = (error: unknown): boolean => error instanceof CallFSError && error.code === 'BACKEND_UNAVAILABLE';

const replacements: readonly (readonly [string, (away: string) => void])[] = [
  ['nothing', () => {}],
  ['an empty folder', () => mkdirSync(root)],
  ['the data root of another instance', () => makeRoot('another')],
  ['a copy of the root', (away) => cpSync(away, root, { recursive: true, preserveTimestamps: true })],
];

function makeRoot(instanceId: string): void {
  mkdirSync(join(root, '.callfs', 'staging'), { recursive: true });
  writeFileSync(join(root, '.callfs', 'instance.json'), JSON.stringify({ instance_id: instanceId, format: 1 }));
}

for (const [what, replace] of replacements) {
  test(`while there is ${what} in the place of the root, nothing is read, written, adopted or forgotten`, async () => {
    await using backend = await open();
    await write(backend, 'kept', 'kept');
    await write(backend, 'dropped', 'dropped');
    const away = join(folder, 'away');
    renameSync(root, away);
    replace(away);
    if (what === 'a copy of the root') writeFileSync(join(root, 'kept'), 'another');
    const before = existsSync(root) ? readdirSync(root, { recursive: true }).sort() : undefined;

    await assert.rejects(backend.check(), isUnavailable);
    await assert.rejects(kindAt(backend, 'kept'), isUnavailable);
    await assert.rejects(backend.observe(testPath('kept'), nextContentId()), isUnavailable);
    await assert.rejects(backend.stage(nextContentId(), chunksOf('new'), { maxBytes: undefined }), isUnavailable);
    ledger.drop(testPath('dropped'));
    await backend.settled();
    await backend.settled();
    assert.equal(ledger.outbox.length, 1, 'the removal was forgotten');
    assert.deepEqual(existsSync(root) ? readdirSync(root, { recursive: true }).sort() : undefined, before);
    assert.equal(failures.length, 1, 'told once');

    rmSync(root, { recursive: true, force: true });
    renameSync(away, root);
    await backend.check();
    assert.equal(await kindAt(backend, 'kept'), 'intact');
    await write(backend, 'new', 'new');
    await waitFor('the removal', () => ledger.outbox.length === 0);
    assert.deepEqual(readdirSync(root).sort(), ['.callfs', 'kept', 'new']);
  });
}

test('an empty or missing root is refused when files are expected in it, and stays as it is', async () => {
  await assert.rejects(open(true), /has no \.callfs\/instance\.json, but the namespace has files of own: is the disk/);
  assert(!existsSync(root));
  mkdirSync(root);
  await assert.rejects(open(true), /has no \.callfs\/instance\.json/);
  assert.deepEqual(readdirSync(root), []);
});

test('who says on purpose that files are gone can start', async () => {
  const refusal = await open(true).catch((error: Error) => error.message);
  const text = /write (\{.*\}) to that file/.exec(String(refusal))?.[1];
  assert(text);
  mkdirSync(join(root, '.callfs'), { recursive: true });
  writeFileSync(join(root, '.callfs', 'instance.json'), text);
  await using backend = await open(true);
  await backend.check();
});

test('a root whose identity is known is not asked about its files', async () => {
  await (await open())[Symbol.asyncDispose]();
  await using backend = await open(true);
  await backend.check();
});
