/** A local backend on a data root of its own, for tests: what lies there, and what the backend complained of. */
import { readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TestLedger } from '../backend.contract.ts';
import { type LocalBackend, openLocalBackend } from './local-backend.ts';

export class OpenedLocal implements AsyncDisposable {
  readonly root: string;
  readonly ledger: TestLedger;
  readonly lostAndFound: string[] = [];
  readonly failures: unknown[] = [];
  backend: LocalBackend;

  private constructor(root: string, ledger: TestLedger) {
    this.root = root;
    this.ledger = ledger;
    this.backend = undefined as never;
  }

  static async open(ledger = new TestLedger()): Promise<OpenedLocal> {
    const opened = new OpenedLocal(await mkdtemp(join(tmpdir(), 'callfs-local-')), ledger);
    await opened.start();
    return opened;
  }

  async start(instanceId = 'instance'): Promise<void> {
    this.backend = await openLocalBackend({
      root: this.root,
      instanceId,
      ledger: this.ledger,
      holdsFiles: async () => false,
      durable: true,
      onLostAndFound: (_from, to) => this.lostAndFound.push(to),
      onFailure: (error) => this.failures.push(error),
    });
  }

  async restart(): Promise<void> {
    await this.backend[Symbol.asyncDispose]();
    await this.start();
  }

  /** Every file below the root but CallFS's own. */
  files(): string[] {
    return readdirSync(this.root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(this.root.length + 1))
      .filter((name) => !name.startsWith('.callfs/'))
      .sort();
  }

  /** Every directory below the root but CallFS's own. */
  directories(): string[] {
    return readdirSync(this.root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name).slice(this.root.length + 1))
      .filter((name) => name !== '.callfs' && !name.startsWith('.callfs/'))
      .sort();
  }

  staged(): string[] {
    return readdirSync(join(this.root, '.callfs/staging'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.backend[Symbol.asyncDispose]();
    await rm(this.root, { recursive: true });
  }
}
