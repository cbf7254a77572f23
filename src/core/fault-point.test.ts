import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { armFault, FAULT_POINTS, faultPoint, faultState, takeFaultCounts } from './fault-point.ts';

const MODULE = new URL('./fault-point.ts', import.meta.url).href;

/** Runs a script that has everything of the module in a process of its own, because it is meant to kill that. */
function runScript(script: string) {
  const imports = `import * as faults from '${MODULE}'; import { Worker } from 'node:worker_threads';`;
  const { stdout, signal, status } = spawnSync(process.execPath, ['--input-type=module', '-e', imports + script], {
    encoding: 'utf8',
  });
  return { said: stdout.split('\n').filter((line) => line !== ''), signal, status };
}

test('are off by default: nothing happens, nothing is counted, nothing can be armed', () => {
  for (const name of FAULT_POINTS) faultPoint(name);
  assert.equal(faultState(), undefined);
  assert.deepEqual(new Set(Object.values(takeFaultCounts())), new Set([0]));
  assert.throws(() => armFault({ point: 'stage:opened', occurrence: 1, action: 'kill' }));
});

test('have names of their own', () => {
  assert.equal(new Set(FAULT_POINTS).size, FAULT_POINTS.length);
  for (const name of FAULT_POINTS) assert.match(name, /^[a-z-]+:[a-z-]+$/);
});

test('kill the process at the wanted occurrence of the armed point and nowhere else', () => {
  const { said, signal } = runScript(`
    faults.enableFaultPoints();
    faults.armFault({ point: 'stage:synced', occurrence: 3, action: 'kill' });
    for (let round = 1; round <= 5; round++) {
      faults.faultPoint('stage:opened');
      console.log('before ' + round);
      faults.faultPoint('stage:synced');
      console.log('after ' + round);
    }`);
  assert.equal(signal, 'SIGKILL');
  assert.deepEqual(said, ['before 1', 'after 1', 'before 2', 'after 2', 'before 3']);
});

test('kill the process from another thread, too', () => {
  const { said, signal } = runScript(`
    faults.enableFaultPoints();
    faults.armFault({ point: 'store:after-commit', occurrence: 1, action: 'kill' });
    const thread = \`import * as faults from '${MODULE}'; import { workerData } from 'node:worker_threads';
      faults.enableFaultPoints(workerData);
      faults.faultPoint('store:after-commit');\`;
    const url = new URL('data:text/javascript,' + encodeURIComponent(thread));
    const worker = new Worker(url, { workerData: faults.faultState() });
    worker.once('exit', () => console.log('the thread ended by itself'));`);
  assert.equal(signal, 'SIGKILL');
  assert.deepEqual(said, []);
});

test('count how often each was passed; disarmed they only count', () => {
  const { said, status } = runScript(`
    faults.enableFaultPoints();
    faults.armFault({ point: 'stage:opened', occurrence: 1, action: 'kill' });
    faults.armFault(undefined);
    for (let round = 0; round < 4; round++) faults.faultPoint('stage:opened');
    console.log(faults.takeFaultCounts()['stage:opened'], faults.takeFaultCounts()['stage:opened']);`);
  assert.equal(status, 0);
  assert.deepEqual(said, ['4 0']);
});
