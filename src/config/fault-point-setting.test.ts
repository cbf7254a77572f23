import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFaultSetting } from './fault-point-setting.ts';

test('without the variable there is no setting', () => {
  assert.equal(readFaultSetting({}), undefined);
});

test('names a point, and which of its occurrences', () => {
  const armed = (value: string) => readFaultSetting({ CALLFS_FAULT_POINT: value })?.armed;
  assert.deepEqual(armed('stage:opened'), { point: 'stage:opened', occurrence: 1, action: 'kill' });
  assert.deepEqual(armed('store:after-commit:12'), { point: 'store:after-commit', occurrence: 12, action: 'kill' });
});

test('may leave it to the process that starts the instance', () => {
  assert.deepEqual(readFaultSetting({ CALLFS_FAULT_POINT: 'commanded' }), { armed: undefined });
});

test('refuses everything else, so that nobody sets it by mistake', () => {
  for (const value of ['', '1', 'true', 'stage:nowhere', 'stage:opened:0', 'stage:opened:x', 'stage', ':', 'a\nb']) {
    assert.throws(() => readFaultSetting({ CALLFS_FAULT_POINT: value }), /^Error: CALLFS_FAULT_POINT: .*unset it\.$/);
  }
});
