/** A whole test file as a part of another: run once more, in an environment of its own. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const FOLDER = fileURLToPath(new URL('..', import.meta.url));
const SHOWN_CHARACTERS = 20_000;

/** Fails with the end of its output unless all its tests pass, and there are some. @param name without `.test.ts` */
export async function assertTestFilePasses(name: string, env: NodeJS.ProcessEnv, signal: AbortSignal): Promise<void> {
  const { NODE_TEST_CONTEXT: _ofThisProcess, ...own } = process.env;
  const child = spawn(process.execPath, ['--test-reporter=spec', `${FOLDER}${name}.test.ts`], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...own, ...env },
    signal,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (text) => {
      output += text;
    });
  }
  await once(child, 'close');
  assert.equal(child.exitCode, 0, output.slice(-SHOWN_CHARACTERS));
  const passed = /^ℹ pass (\d+)$/m.exec(output)?.[1];
  assert(Number(passed) > 0, `nothing ran:\n${output}`);
}
