/** Process identity: what it promises. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { processIdentity } from './process-identity.ts';

const LINUX = existsSync('/proc/self/stat');

test('this process is running, by its own identity', { skip: !LINUX && 'needs /proc' }, () => {
  const identity = processIdentity();
  assert.equal(identity.isRunning(identity.own), true);
});

test('a process that ended is known to be dead, also when its number is used again', {
  skip: !LINUX && 'needs /proc',
}, async () => {
  const identity = processIdentity();
  const child = spawn(process.execPath, ['-e', '']);
  const another = identity.own.replace(/\/\d+\/\d+$/, `/${child.pid}/1`);
  assert.equal(identity.isRunning(another), false);
  await once(child, 'exit');
  assert.equal(identity.isRunning(another), false);
});

test('a process of another host cannot be known', () => {
  assert.equal(processIdentity().isRunning('another-boot/pid:[1]/1/1'), undefined);
  assert.equal(processIdentity().isRunning(''), undefined);
});
