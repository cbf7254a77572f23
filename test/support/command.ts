/** `bin/callfs` from outside: what it prints and how it ends. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export const CALLFS = fileURLToPath(new URL('../../bin/callfs', import.meta.url));

export interface Ended {
  /** Null: ended by a signal. */
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
}

export interface RunOptions {
  readonly cwd?: string;
  /** Added to an environment without any `CALLFS_…` variable. */
  readonly env?: NodeJS.ProcessEnv;
  /** How long it may take before it is killed. */
  readonly patienceMs?: number;
}

const PATIENCE_MS = 20_000;

/** Runs it to its end; one that does not end by itself is killed after a while, so that its exit code is null. */
export async function run(
  args: readonly string[],
  { cwd, env = {}, patienceMs = PATIENCE_MS }: RunOptions = {},
): Promise<Ended> {
  const startedAt = performance.now();
  const child = spawn(CALLFS, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...withoutSettings(process.env), ...env },
    ...(cwd === undefined ? {} : { cwd }),
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (text) => {
    stdout += text;
  });
  child.stderr.on('data', (text) => {
    stderr += text;
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), patienceMs);
  await once(child, 'close');
  clearTimeout(timer);
  return { exitCode: child.exitCode, stdout, stderr, ms: performance.now() - startedAt };
}

function withoutSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('CALLFS_')));
}
