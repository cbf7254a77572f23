/** Who may carry an instance id, played on the memory store. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { waitFor } from '../../test/support/wait-for.ts';
import { MemoryMetadataStore } from '../metadata/memory/memory-metadata-store.ts';
import { Membership, type MembershipOptions } from './membership.ts';
import { processIdentity } from './process-identity.ts';

/** Nothing is known of other processes but their heartbeats. */
const strangers = { own: '', isRunning: () => undefined };

function optionsFor(
  store: MemoryMetadataStore,
  bootId: string,
  over: Partial<MembershipOptions> = {},
): MembershipOptions {
  return {
    store,
    instanceId: 'one',
    bootId,
    version: '1',
    process: strangers,
    endpoint: () => 'http://127.0.0.1:1',
    publicUrl: '',
    clock: { now: () => Date.now() },
    onReplaced: () => {},
    onFailure: () => {},
    ...over,
  };
}

test('a live process keeps its id', async () => {
  await using store = new MemoryMetadataStore();
  await using _first = await Membership.join(optionsFor(store, 'boot-1'));
  await assert.rejects(Membership.join(optionsFor(store, 'boot-2')), /carried by another running instance \(http/);
});

test('after a clean stop the id is free at once', async () => {
  await using store = new MemoryMetadataStore();
  const first = await Membership.join(optionsFor(store, 'boot-1'));
  await first[Symbol.asyncDispose]();
  await using _second = await Membership.join(optionsFor(store, 'boot-2'));
  assert.equal((await store.findInstance('one'))?.bootId, 'boot-2');
});

test('after a crash the id is free when the heartbeat no longer moves, or at once when the process is known to be dead', async () => {
  await using store = new MemoryMetadataStore();
  const crashed = { id: 'one', endpoint: '', publicUrl: '', bootId: 'boot-1', version: '1', process: 'p' };
  await store.registerInstance({ ...crashed, nowMs: Date.now(), replaces: undefined });
  const startedAt = performance.now();
  await using _second = await Membership.join(optionsFor(store, 'boot-2'));
  assert(performance.now() - startedAt > 2000, 'took the id over without watching');
  const known = { own: '', isRunning: () => false };
  const again = performance.now();
  await using _third = await Membership.join(optionsFor(store, 'boot-3', { process: known }));
  assert(performance.now() - again < 1000, 'watched a process that is known to be dead');
});

test('a process that is killed this moment, or that nobody took notice of yet, does not keep its id; one held up does', async () => {
  await using store = new MemoryMetadataStore();
  const crashed = { id: 'one', endpoint: '', publicUrl: '', bootId: 'boot-1', version: '1', process: 'p' };
  await store.registerInstance({ ...crashed, nowMs: Date.now(), replaces: undefined });
  const heldUp = { own: '', isRunning: () => true };
  await assert.rejects(Membership.join(optionsFor(store, 'boot-2', { process: heldUp })), /carried by another/);
  let looks = 0;
  const dying = { own: '', isRunning: () => ++looks < 3 };
  await using _next = await Membership.join(optionsFor(store, 'boot-2', { process: dying }));
  // The shell would reap its child; what takes its place does not.
  const parent = spawn('sh', ['-c', 'sleep 60 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] });
  try {
    const [printed] = await once(parent.stdout, 'data');
    const pid = Number(String(printed));
    await waitFor('the shell to be gone', () => readFileSync(`/proc/${parent.pid}/comm`, 'utf8') === 'sleep\n');
    process.kill(pid, 'SIGKILL');
    const state = (): string | undefined => /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1];
    await waitFor('the process to be a zombie', () => state() === 'Z');
    const { own, isRunning } = processIdentity();
    const start = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[19];
    assert.equal(isRunning(own.replace(/\/\d+\/\d+$/, `/${pid}/${start}`)), false);
    assert.equal(isRunning(own), true);
  } finally {
    parent.kill('SIGKILL');
  }
});

test('who was replaced is told, and its clean stop does not stop the other', async () => {
  await using store = new MemoryMetadataStore();
  let replaced = false;
  const onReplaced = (): void => {
    replaced = true;
  };
  const first = await Membership.join(optionsFor(store, 'boot-1', { onReplaced }));
  const dead = { own: '', isRunning: () => false };
  await using _second = await Membership.join(optionsFor(store, 'boot-2', { process: dead }));
  await waitFor('the first to notice', () => replaced);
  await first[Symbol.asyncDispose]();
  assert.equal((await store.findInstance('one'))?.stopped, false);
});

test('an address that becomes known later is announced', async () => {
  await using store = new MemoryMetadataStore();
  let endpoint = '';
  await using membership = await Membership.join(optionsFor(store, 'boot-1', { endpoint: () => endpoint }));
  endpoint = 'http://127.0.0.1:4711';
  await membership.announce();
  assert.equal((await store.findInstance('one'))?.endpoint, endpoint);
});

for (const [direction, jumpMs] of [
  ['forth', 5 * 3_600_000],
  ['back', -5 * 3_600_000],
] as const) {
  test(`a live process keeps its id although the clock of the one that wants it went ${direction} by hours`, async () => {
    await using store = new MemoryMetadataStore();
    let replaced = false;
    const onReplaced = (): void => {
      replaced = true;
    };
    await using _first = await Membership.join(optionsFor(store, 'boot-1', { onReplaced }));
    const clock = { now: () => Date.now() + jumpMs };
    await assert.rejects(Membership.join(optionsFor(store, 'boot-2', { clock })), /carried by another running/);
    const here = { own: '', isRunning: () => true };
    await assert.rejects(Membership.join(optionsFor(store, 'boot-3', { clock, process: here })), /carried by another/);
    assert.equal(replaced, false);
  });

  test(`the heartbeat goes on when the clock goes ${direction} by hours, and a start after a crash is not refused`, async () => {
    await using store = new MemoryMetadataStore();
    let jump = 0;
    const clock = { now: () => Date.now() + jump };
    const onFailure = (error: unknown): never => assert.fail(String(error));
    const first = await Membership.join(optionsFor(store, 'boot-1', { clock, onFailure }));
    const before = await store.findInstance('one');
    assert(before);
    jump = jumpMs;
    const beats = async (): Promise<boolean> => ((await store.findInstance('one'))?.beat ?? 0) > before.beat + 1;
    await waitFor('the heart to beat on', beats);
    await first[Symbol.asyncDispose]();

    const crashed = { id: 'one', endpoint: '', publicUrl: '', bootId: 'boot-2', version: '1', process: 'p' };
    const replaces = await store.findInstance('one');
    await store.registerInstance({ ...crashed, nowMs: clock.now(), replaces });
    await using _second = await Membership.join(optionsFor(store, 'boot-3'));
    assert.equal((await store.findInstance('one'))?.bootId, 'boot-3');
  });
}
