/** Several processes on one SQLite file, as instances that share a host: real processes, and one of them dies. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ROOT_ID } from '../../core/entry.ts';
import { find, sampleFile } from '../metadata-store.contract.ts';
import { SqlMetadataStore } from './sql-metadata-store.ts';
import { openSqlite } from './sqlite-database.ts';
import type { Acknowledged, Order, Report } from './sqlite-processes.worker.ts';

const WORKER = fileURLToPath(new URL('./sqlite-processes.worker.ts', import.meta.url));

const folder = mkdtempSync(join(tmpdir(), 'callfs-processes-'));
after(() => rmSync(folder, { recursive: true }));

const openAt = async (path: string): Promise<SqlMetadataStore> =>
  new SqlMetadataStore(await openSqlite({ path, durability: 'full' }));

/** A process of its own that obeys one order at a time. */
class StoreProcess {
  readonly #process: ChildProcess = fork(WORKER);
  readonly acknowledged: Acknowledged[] = [];

  constructor() {
    this.#process.on('message', (message: Report) => {
      if (message.did === 'commit') this.acknowledged.push(message);
    });
  }

  send(order: Order): void {
    this.#process.send(order);
  }

  /** The report on an order, which must not be a failure. */
  async ask<D extends Report['did']>(order: Order & { readonly do: D }): Promise<Extract<Report, { readonly did: D }>> {
    const reported = once(this.#process, 'message');
    this.send(order);
    const [report]: Report[] = await reported;
    assert.equal(report?.did, order.do, JSON.stringify(report));
    return report as Extract<Report, { readonly did: D }>;
  }

  /** Resolves when this many commits are acknowledged. */
  async untilAcknowledged(count: number): Promise<void> {
    while (this.acknowledged.length < count) {
      const [report]: Report[] = await once(this.#process, 'message');
      assert.equal(report?.did, 'commit', JSON.stringify(report));
    }
  }

  /** Kills the process without any warning, and resolves when everything it had sent has arrived. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const closed = once(this.#process, 'close');
    this.#process.kill('SIGKILL');
    await closed;
  }
}

describe('Several processes on one SQLite file', { timeout: 120_000 }, () => {
  it('migrate a new file once when they open it at the same time', async () => {
    await using stack = new AsyncDisposableStack();
    const processes = Array.from({ length: 3 }, () => stack.use(new StoreProcess()));
    const allMigrations = readdirSync(new URL('migrations/', import.meta.url)).map((name) => Number.parseInt(name, 10));
    for (let round = 0; round < 8; round++) {
      const path = join(folder, `new-${round}`, 'callfs.sqlite3');
      await Promise.all(processes.map((process) => process.ask({ do: 'open', path })));
      using database = new DatabaseSync(path);
      const migrations = database.prepare('SELECT number FROM migrations').all();
      assert.deepEqual(
        migrations.map((row) => row.number),
        allMigrations,
      );
      assert.equal(database.prepare('SELECT COUNT(*) AS roots FROM entries').get()?.roots, 1);
      await Promise.all(processes.map((process) => process.ask({ do: 'close' })));
    }
  });

  it('give every name to exactly one of them', async () => {
    await using stack = new AsyncDisposableStack();
    const path = join(folder, 'race.sqlite3');
    const processes = Array.from({ length: 3 }, () => stack.use(new StoreProcess()));
    await Promise.all(processes.map((process) => process.ask({ do: 'open', path })));
    const names = Array.from({ length: 200 }, (_, at) => `name-${at}`);
    const reports = await Promise.all(processes.map((process) => process.ask({ do: 'create', names })));
    for (const [at, name] of names.entries()) {
      const kinds = reports.map((report) => report.kinds[at]).sort();
      assert.deepEqual(kinds, ['created', 'exists', 'exists'], name);
    }
    await using store = await openAt(path);
    assert.equal((await store.listChildren(ROOT_ID, undefined, 1000)).length, names.length);
  });

  it('see what another one committed as soon as that is acknowledged', async () => {
    const path = join(folder, 'visible.sqlite3');
    await using store = await openAt(path);
    await using other = new StoreProcess();
    await other.ask({ do: 'open', path });
    for (let round = 0; round < 40; round++) {
      const theirs = `theirs-${round}`;
      assert.equal(await find(store, theirs), undefined);
      assert.deepEqual((await other.ask({ do: 'create', names: [theirs] })).kinds, ['created']);
      assert.equal((await find(store, theirs))?.name, theirs);

      const ours = sampleFile(`ours-${round}`);
      await store.createEntry({ parentId: ROOT_ID, missingParents: [], entry: ours });
      assert.equal((await other.ask({ do: 'find', name: ours.name })).id, ours.id);
    }
  });

  it('lose nothing that was acknowledged when one of them is killed in the middle of its writes', async () => {
    const path = join(folder, 'killed.sqlite3');
    await using store = await openAt(path);
    for (let round = 0; round < 3; round++) {
      await using killed = new StoreProcess();
      await using survivor = new StoreProcess();
      await Promise.all([killed, survivor].map((process) => process.ask({ do: 'open', path })));
      killed.send({ do: 'write-forever', prefix: `killed-${round}` });
      survivor.send({ do: 'write-forever', prefix: `survivor-${round}` });
      await killed.untilAcknowledged(200 + 37 * round);
      await killed[Symbol.asyncDispose]();

      // The others go on: nothing that the dead process held is in their way.
      await survivor.untilAcknowledged(survivor.acknowledged.length + 200);
      await survivor[Symbol.asyncDispose]();
      for (const { name, version } of [...killed.acknowledged, ...survivor.acknowledged]) {
        const entry = await find(store, name);
        assert.ok(entry && entry.version >= version, `${name} of version ${version} is lost`);
      }
    }
    using database = new DatabaseSync(path);
    assert.deepEqual(
      database
        .prepare('PRAGMA integrity_check')
        .all()
        .map((row) => row.integrity_check),
      ['ok'],
    );
    assert.deepEqual(database.prepare('PRAGMA foreign_key_check').all(), []);
  });

  it('leave a file that the next start opens after all of them were killed', async () => {
    const path = join(folder, 'all-killed.sqlite3');
    const writers = [new StoreProcess(), new StoreProcess()];
    await Promise.all(writers.map((process) => process.ask({ do: 'open', path })));
    for (const [at, process] of writers.entries()) process.send({ do: 'write-forever', prefix: `writer-${at}` });
    await Promise.all(writers.map((process) => process.untilAcknowledged(150)));
    await Promise.all(writers.map((process) => process[Symbol.asyncDispose]()));

    await using store = await openAt(path);
    for (const { name, version } of writers.flatMap((process) => process.acknowledged)) {
      const entry = await find(store, name);
      assert.ok(entry && entry.version >= version, `${name} of version ${version} is lost`);
    }
    using database = new DatabaseSync(path);
    assert.deepEqual(
      database
        .prepare('PRAGMA integrity_check')
        .all()
        .map((row) => row.integrity_check),
      ['ok'],
    );
  });
});
