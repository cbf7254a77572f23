/** `callfs node drain` as tests run it: started, watched, stopped or killed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { TestCluster, TestInstance } from './cluster.ts';
import { CALLFS, type Ended } from './command.ts';
import { queryStore } from './test-store.ts';

export class RunningDrain implements AsyncDisposable {
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;

  /** @param by the instance whose configuration the command uses */
  constructor(instance: TestInstance, by: TestInstance, args: readonly string[] = []) {
    const startedAt = performance.now();
    this.#child = spawn(CALLFS, ['node', 'drain', instance.id, '--config', by.configFile, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    this.#child.stdout?.on('data', (text) => {
      stdout += text;
    });
    this.#child.stderr?.on('data', (text) => {
      stderr += text;
    });
    this.ended = once(this.#child, 'close').then(() => {
      return { exitCode: this.#child.exitCode, stdout, stderr, ms: performance.now() - startedAt };
    });
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async end(signal: NodeJS.Signals): Promise<Ended> {
    this.#child.kill(signal);
    return this.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.isRunning) await this.end('SIGKILL');
  }
}

/** Files and directories that the namespace says an instance holds, read from outside. */
export async function heldBy(
  { folder }: TestCluster,
  { id }: TestInstance,
): Promise<{ readonly files: number; readonly directories: number }> {
  const sql = `SELECT type, COUNT(*) AS held FROM entries WHERE instance_id = '${id}' GROUP BY type`;
  const rows = (await queryStore(folder, sql)) as readonly { readonly type: string; readonly held: unknown }[];
  const counts = new Map(rows.map(({ type, held }) => [type, Number(held)]));
  return { files: counts.get('file') ?? 0, directories: counts.get('directory') ?? 0 };
}
