/**
 * Any sequence of writes, removals and moves, with the disk following whenever it likes and the process dying between:
 * in the end the disk is what the namespace says, every byte right and nothing taken for foreign.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { isWithin, type VirtualPath } from '../../core/virtual-path.ts';
import { chunksOf, nextContentId, read, TestLedger } from '../backend.contract.ts';
import { OpenedLocal } from './opened-local.testing.ts';

/** A namespace that answers after a while, as of when it was asked, and that can be out of reach as for a dead process. */
class MortalLedger extends TestLedger {
  /** Calls until the process dies; undefined: it lives. */
  callsLeft: number | undefined;
  /** The process dies when it would forget what it has done. */
  diesForgetting = false;
  /** Whether that call forgets a part of what it was given. */
  forgetsPart = false;
  #turns = 0;

  async #answer<T>(value: T): Promise<T> {
    for (let turn = ++this.#turns % 4; turn > 0; turn--) await nextTurn();
    return value;
  }

  #die(): void {
    if (this.callsLeft === undefined) return;
    if (this.callsLeft === 0) throw new Error('This process is dead.');
    this.callsLeft -= 1;
  }

  override async locateContents(contentIds: readonly string[]) {
    this.#die();
    return this.#answer(await super.locateContents(contentIds));
  }

  override async listOutbox(instanceId: string, limit: number) {
    this.#die();
    return this.#answer(await super.listOutbox(instanceId, limit));
  }

  override async forgetOutbox(seqs: readonly number[]): Promise<void> {
    if (this.diesForgetting) {
      this.diesForgetting = false;
      this.callsLeft = 0;
      if (this.forgetsPart) await super.forgetOutbox(seqs.filter((_, at) => at % 2 === 0));
    }
    this.#die();
    await super.forgetOutbox(seqs);
  }
}

type Command =
  | { readonly do: 'put'; readonly path: VirtualPath }
  | { readonly do: 'remove'; readonly path: VirtualPath }
  | { readonly do: 'move'; readonly path: VirtualPath; readonly to: VirtualPath }
  | { readonly do: 'settle' }
  | { readonly do: 'breathe' }
  | { readonly do: 'restart' }
  | { readonly do: 'swap'; readonly one: number; readonly other: number }
  | { readonly do: 'die'; readonly calls: number | undefined; readonly forgetsPart: boolean };

const path = fc
  .array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 2 })
  .map((names) => `/${names.join('/')}` as VirtualPath);

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('put' as const), path }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('remove' as const), path }) },
  { weight: 10, arbitrary: fc.record({ do: fc.constant('move' as const), path, to: path }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('swap' as const), one: fc.nat(20), other: fc.nat(20) }) },
  { weight: 2, arbitrary: fc.constant({ do: 'settle' as const }) },
  { weight: 2, arbitrary: fc.constant({ do: 'breathe' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'restart' as const }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('die' as const),
      calls: fc.oneof(fc.constant(undefined), fc.integer({ min: 0, max: 8 })),
      forgetsPart: fc.boolean(),
    }),
  },
);

interface World {
  readonly opened: OpenedLocal;
  readonly ledger: MortalLedger;
  readonly texts: Map<string, string>;
}

const paths = ({ ledger }: World): VirtualPath[] => [...ledger.paths.keys()];

/** Whether the namespace could have a file at `path`: nothing below it, no file above it. */
function mayHoldFile(world: World, path: VirtualPath): boolean {
  return paths(world).every((other) => other === path || !(isWithin(other, path) || isWithin(path, other)));
}

async function obey(world: World, command: Command): Promise<void> {
  const { opened, ledger } = world;
  switch (command.do) {
    case 'put':
      if (mayHoldFile(world, command.path)) await write(world, command.path);
      return;
    case 'remove':
      for (const path of paths(world)) if (isWithin(path, command.path)) ledger.drop(path);
      return opened.backend.outboxPending();
    case 'move':
      if (move(world, command.path, command.to)) opened.backend.outboxPending();
      return;
    case 'swap':
      swap(world, command.one, command.other);
      return opened.backend.outboxPending();
    case 'settle':
      await opened.backend.settled();
      for (const path of paths(world)) await assertRead(world, path);
      return;
    case 'breathe':
      for (let turn = 0; turn < 5; turn++) await nextTurn();
      return;
    case 'restart':
      return opened.restart();
    case 'die':
      return die(world, command.calls, command.forgetsPart);
  }
}

async function write(world: World, path: VirtualPath): Promise<void> {
  const contentId = nextContentId();
  // The same length for all, so that nothing can be told apart by its size.
  const text = `${contentId.padStart(20)} ${'x'.repeat(20)}`;
  world.texts.set(contentId, text);
  const { backend } = world.opened;
  const staged = await backend.stage(contentId, chunksOf(text, 64), { maxBytes: undefined });
  world.ledger.point(path, staged.content);
  backend.committed(staged);
  backend.outboxPending();
}

/** False when the namespace would refuse the move. */
function move(world: World, path: VirtualPath, to: VirtualPath): boolean {
  const { ledger } = world;
  const moved = paths(world).filter((other) => isWithin(other, path));
  if (moved.length === 0 || isWithin(to, path) || !mayHoldFile(world, to)) return false;
  if (ledger.paths.has(to)) {
    if (!ledger.paths.has(path)) return false;
    ledger.drop(to);
  }
  ledger.move(path, to);
  return true;
}

/** Two files or directories that are there change places, over a name that nothing else has. */
function swap(world: World, one: number, other: number): void {
  const there = [...new Set(paths(world).flatMap((path) => [path, path.replace(/\/[^/]*$/, '') || path]))].sort();
  const [a, b] = [there[one % there.length], there[other % there.length]] as [VirtualPath, VirtualPath];
  const spare = '/spare' as VirtualPath;
  if (there.length === 0 || isWithin(a, b) || isWithin(b, a) || !move(world, a, spare)) return;
  assert(move(world, b, a));
  assert(move(world, spare, b));
}

async function die(world: World, calls: number | undefined, forgetsPart: boolean): Promise<void> {
  const { opened, ledger } = world;
  ledger.callsLeft = calls;
  ledger.diesForgetting = calls === undefined;
  ledger.forgetsPart = forgetsPart;
  // The dead process does nothing more that shows: every round of its settler begins with a question to the ledger.
  await opened.backend[Symbol.asyncDispose]();
  ledger.callsLeft = undefined;
  ledger.diesForgetting = false;
  opened.failures.length = 0;
  await opened.start();
}

async function assertRead(world: World, path: VirtualPath): Promise<void> {
  const contentId = world.ledger.paths.get(path)?.contentId ?? '';
  assert.equal(await read(world.opened, path), world.texts.get(contentId), path);
}

async function assertAtRest(world: World): Promise<void> {
  const { opened, ledger } = world;
  await opened.backend.settled();
  assert.deepEqual(opened.failures, []);
  assert.deepEqual(ledger.outbox, []);
  assert.deepEqual(opened.staged(), []);
  assert.deepEqual(readdirSync(join(opened.root, '.callfs/lost+found')), []);
  assert.deepEqual(
    opened.files(),
    paths(world)
      .map((path) => path.slice(1))
      .sort(),
  );
  for (const path of paths(world)) {
    await assertRead(world, path);
    const contentId = ledger.paths.get(path)?.contentId ?? '';
    assert.equal(readFileSync(opened.root + path, 'utf8'), world.texts.get(contentId));
  }
  for (const directory of opened.directories()) {
    assert(
      paths(world).some((path) => path.startsWith(`/${directory}/`)),
      `${directory} is left empty`,
    );
  }
}

test('the disk follows any sequence of writes, removals and moves, also of processes that die', async () => {
  const runs = Number(process.env.CALLFS_LONG_TESTS === '1' ? 3000 : 150);
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 5, maxLength: 40 }), async (commands) => {
      const ledger = new MortalLedger();
      await using opened = await OpenedLocal.open(ledger);
      const world: World = { opened, ledger, texts: new Map() };
      for (const next of commands) await obey(world, next);
      await assertAtRest(world);
    }),
    { numRuns: runs, seed: Number(process.env.CALLFS_TEST_SEED ?? 20_260_102) },
  );
});
