/** `callfs demo` from outside: started in a folder of its own, watched, and followed as its user would. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { waitFor } from './wait-for.ts';

const CALLFS = fileURLToPath(new URL('../../bin/callfs', import.meta.url));
export const CROSS_SERVER_TEST = fileURLToPath(
  new URL('../../scripts/05-test-enhanced-cross-server.sh', import.meta.url),
);

const IS_UP = 'Ctrl-C stops all instances';

/** A new folder, and what was started in it; disposing kills and removes all. */
export class Playground implements AsyncDisposable {
  readonly folder = realpathSync(mkdtempSync(join(tmpdir(), 'callfs-demo-test-')));
  readonly #demos: Demo[] = [];

  start(args: readonly string[], env: NodeJS.ProcessEnv = {}): Demo {
    const demo = new Demo(this.folder, args, env);
    this.#demos.push(demo);
    return demo;
  }

  async startAndWait(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Demo> {
    const demo = this.start(args, env);
    await demo.up();
    return demo;
  }

  /** Ids of all running processes that were started with a configuration of this folder. */
  instances(): readonly number[] {
    const list = execFileSync('ps', ['-A', '-ww', '-o', 'pid=,args='], { encoding: 'utf8' });
    const lines = list.split('\n').filter((line) => line.includes(` server --config ${this.folder}`));
    return lines.map((line) => Number.parseInt(line, 10));
  }

  /** Ids of all running processes that have this folder among their arguments. */
  processes(): readonly number[] {
    const list = execFileSync('ps', ['-A', '-ww', '-o', 'pid=,args='], { encoding: 'utf8' });
    return list.split('\n').flatMap((line) => (line.includes(this.folder) ? Number.parseInt(line, 10) : []));
  }

  instance(configFile: string): number {
    const list = execFileSync('ps', ['-A', '-ww', '-o', 'pid=,args='], { encoding: 'utf8' });
    const line = list.split('\n').find((candidate) => candidate.includes(` server --config ${configFile}`));
    assert(line, `no process of ${configFile}`);
    return Number.parseInt(line, 10);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const demo of this.#demos) demo.kill('SIGKILL');
    for (const pid of this.instances()) process.kill(pid, 'SIGKILL');
    await waitFor('all processes to end', () => this.processes().length === 0, 30_000);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export class Demo {
  output = '';
  readonly exitCode: Promise<number | null>;
  readonly #process: ChildProcess;

  constructor(cwd: string, args: readonly string[], env: NodeJS.ProcessEnv) {
    const child = spawn(CALLFS, ['demo', ...args], {
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (text) => {
        this.output += text;
      });
    }
    this.#process = child;
    this.exitCode = once(child, 'close').then(([code]) => code as number | null);
  }

  async up(): Promise<void> {
    await waitFor(
      'the demo to be up',
      () => {
        assert.equal(this.#process.exitCode, null, this.output);
        return this.output.includes(IS_UP);
      },
      60_000,
    );
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  async stop(): Promise<number | null> {
    this.kill('SIGINT');
    return this.exitCode;
  }

  get urls(): readonly string[] {
    return [...this.output.matchAll(/^ {2}callfs-(?:localfs|s3)-\d+ +(http:\S+)/gm)].map(([, url]) => String(url));
  }

  keyOf(user: string): string {
    const key = new RegExp(`^ {2}${user} +([0-9a-f]{32})`, 'm').exec(this.output)?.[1];
    assert(key, `no key of ${user} in ${this.output}`);
    return key;
  }

  /** The lines to paste, in their order. */
  get commands(): readonly string[] {
    return [...this.output.matchAll(/^ {2}((?:curl|cat) .*)$/gm)].map(([, line]) => String(line));
  }
}

export interface Finished {
  readonly code: number;
  readonly output: string;
}

export function run(
  command: string,
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv = {},
): Promise<Finished> {
  return new Promise((resolve) => {
    execFile(command, args, { cwd, env: { ...process.env, ...env } }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, output: stdout + stderr });
    });
  });
}

export async function paste(line: string): Promise<string> {
  const { code, output } = await run('bash', ['-c', line.replace(/^curl /, 'curl -sS ')], '/');
  assert.equal(code, 0, output);
  return output.trimEnd();
}

/** The first of four that are free now, outside the range from which the system gives ports to others meanwhile. */
export async function freePort(): Promise<string> {
  for (;;) {
    const first = 10_000 + Math.floor(Math.random() * 20_000);
    if ((await Promise.all([first, first + 1, first + 2, first + 3].map(isFree))).every(Boolean)) return String(first);
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}

/** The one line in which it refuses. */
export async function refusal(demo: Demo): Promise<string> {
  assert.equal(await demo.exitCode, 1);
  const complaints = demo.output.split('\n').filter((line) => line.startsWith('callfs: '));
  assert.equal(complaints.length, 1, demo.output);
  return complaints.join('');
}
