/** One instance of the demo: a process of `bin/callfs server` that writes to its own log file. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { ENVIRONMENT_PREFIX } from '../config/environment.ts';
import { CALLFS, type InstancePlan } from './demo-plan.ts';
import { STOP_WITH_PARENT } from './stop-with-parent.ts';

const LOOK_EVERY_MS = 50;
const START_WITHIN_MS = 60_000;
/** A little longer than an instance itself gives running requests. */
const STOP_WITHIN_MS = 35_000;

export class DemoInstance implements AsyncDisposable {
  readonly plan: InstancePlan;
  /** Resolves when the process has ended, whether asked to or not, with how: `SIGKILL`, `exit code 1`. */
  readonly ended: Promise<string>;
  readonly #process: ChildProcess;
  readonly #logStart: number;
  #isRunning = true;

  constructor(plan: InstancePlan) {
    this.plan = plan;
    const log = openSync(plan.logFile, 'a', 0o600);
    this.#logStart = fstatSync(log).size;
    this.#process = spawn(CALLFS, ['server', '--config', plan.configFile, STOP_WITH_PARENT], {
      stdio: ['ignore', log, log, 'ipc'],
      // A process group of its own: Ctrl-C in the terminal is for the demo, which stops the instances.
      detached: true,
      env: environment(),
    });
    closeSync(log);
    this.ended = this.#waitForEnd();
  }

  /** Undefined: it could not be started. */
  get processId(): number | undefined {
    return this.#process.pid;
  }

  async #waitForEnd(): Promise<string> {
    try {
      const [code, signal] = (await once(this.#process, 'exit')) as [number | null, NodeJS.Signals | null];
      return signal ?? `exit code ${code}`;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    } finally {
      this.#isRunning = false;
    }
  }

  /** Resolves when it serves requests; rejects with one line when it ends instead. */
  async ready(): Promise<void> {
    const { id, url, logFile } = this.plan;
    const giveUpAt = performance.now() + START_WITHIN_MS;
    while (!(await isReady(url))) {
      if (!this.#isRunning) throw new Error(`${id} did not start: ${this.lastLine().replace(/^callfs: /, '')}`);
      if (performance.now() > giveUpAt) throw new Error(`${id} does not become ready; its log is ${logFile}`);
      await delay(LOOK_EVERY_MS);
    }
  }

  /** The last line that this process wrote to its log. */
  lastLine(): string {
    const text = readFileSync(this.plan.logFile).subarray(this.#logStart).toString('utf8');
    return text.trimEnd().split('\n').at(-1) || '(nothing was logged)';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill('SIGTERM');
    // One that somebody suspended has to run in order to stop.
    this.#process.kill('SIGCONT');
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), STOP_WITHIN_MS);
    await this.ended;
    clearTimeout(timer);
  }
}

/** The operator's own, without settings that would win over the configuration file. */
function environment(): NodeJS.ProcessEnv {
  // biome-ignore lint/style/noProcessEnv: nothing is read from it here, it is handed on.
  const entries = Object.entries(process.env).filter(([name]) => !name.startsWith(ENVIRONMENT_PREFIX));
  return Object.fromEntries(entries);
}

async function isReady(url: string): Promise<boolean> {
  try {
    const answer = await fetch(`${url}/ready`);
    await answer.arrayBuffer();
    return answer.ok;
  } catch {
    // Nothing listens yet.
    return false;
  }
}
