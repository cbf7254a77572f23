/** What every layer can rely on in an error that crosses it. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { CallFSError, metadataUnavailable, notFound, statusByCode, systemErrorCode } from './errors.ts';

it('Every code has a status that says who can do something about it', () => {
  for (const [code, status] of Object.entries(statusByCode)) {
    assert.match(code, /^[A-Z]+(?:_[A-Z]+)*$/);
    assert.ok(status >= 400 && status < 600);
  }
});

it('An error carries its status, its details and its cause', () => {
  const cause = new Error('locked');
  const error = metadataUnavailable(cause);
  assert.ok(error instanceof CallFSError);
  assert.equal(error.status, 503);
  assert.equal(error.cause, cause);
  assert.equal(error.headers['retry-after'], '2');
  assert.doesNotMatch(error.message, /locked/);
  assert.deepEqual(notFound('/a').details, { path: '/a' });
  assert.equal('cause' in notFound('/a'), false);
});

it('The code of a system error is found, and nothing else is taken for one', () => {
  assert.equal(systemErrorCode(Object.assign(new Error('gone'), { code: 'ENOENT' })), 'ENOENT');
  for (const other of [
    new Error('plain'),
    Object.assign(new Error(), { code: 5 }),
    { code: 'ENOENT' },
    'ENOENT',
    null,
  ]) {
    assert.equal(systemErrorCode(other), undefined);
  }
});
