/** A running `callfs adopt --watch`: what it says, and how it ends. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { TestInstance } from './cluster.ts';
import { CALLFS } from './command.ts';
import { waitFor } from './wait-for.ts';

export interface WatchLine {
  readonly event: string;
  readonly path?: string;
  readonly [field: string]: unknown;
}

export class AdoptWatch implements AsyncDisposable {
  readonly lines: WatchLine[] = [];
  stderr = '';
  readonly #process: ChildProcess;
  readonly #ended: Promise<unknown>;

  private constructor(command: string, args: readonly string[]) {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#process = child;
    this.#ended = once(child, 'close');
    child.stderr.on('data', (text) => {
      this.stderr += text;
    });
    createInterface({ input: child.stdout }).on('line', (line) => this.lines.push(JSON.parse(line) as WatchLine));
  }

  /** Resolves when everything that is there is adopted. */
  static async start({ configFile }: TestInstance, ...args: readonly string[]): Promise<AdoptWatch> {
    return AdoptWatch.run(CALLFS, ['adopt', '-c', configFile, '--watch', '--json', '--owner', 'alice', ...args]);
  }

  static async run(command: string, args: readonly string[]): Promise<AdoptWatch> {
    const watching = new AdoptWatch(command, args);
    try {
      await watching.told('watching');
    } catch (error) {
      await watching[Symbol.asyncDispose]();
      throw error;
    }
    return watching;
  }

  get isRunning(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  all(event: string): WatchLine[] {
    return this.lines.filter((line) => line.event === event);
  }

  has(event: string, path?: string): boolean {
    return this.lines.some((line) => line.event === event && (path === undefined || line.path === path));
  }

  /** Resolves when it has said so. */
  async told(event: string, path?: string): Promise<WatchLine> {
    return await waitFor(`"${event}" ${path ?? ''}`, () => {
      if (!this.isRunning) throw new Error(`It ended: ${this.stderr}`);
      return this.lines.find((line) => line.event === event && (path === undefined || line.path === path));
    });
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.#process.kill(signal);
    await this.#ended;
    return this.#process.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('SIGKILL');
  }
}
